package overlay

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// Keys of one replica whose peer is gone for good stay closed until the operator says that it
// is: then their shards begin anew, he is told which, and a peer that comes back all the same
// brings what was not written since.
func TestReopenLost(t *testing.T) {
	cfg := Config{ReplaceAfter: time.Minute, RepairEvery: time.Second}
	home := cfg
	home.Home = t.TempDir()
	first := joinTest(t, nil, cfg)
	second, lost := joinTest(t, first, cfg), joinTest(t, first, home)
	nodes := []*Node{first, second, lost}
	soon(t, "three voters", func() error { return alike(nodes, 3) })
	ctx := t.Context()
	if _, err := second.SetNamespace(ctx, Namespace{Name: "solo", Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	const keys = 40
	var theirs, others []string // keys that the lost peer holds, and those that it does not
	for i := range keys {
		key := fmt.Sprintf("solo/%d", i)
		if _, err := second.Put(ctx, key, []byte("old")); err != nil {
			t.Fatal(err)
		}
		trace, err := second.Trace(ctx, key)
		if err != nil || len(trace.Voters) != 1 {
			t.Fatalf("trace %s: %+v, %v", key, trace, err)
		}
		if trace.Voters[0].ID == lost.ID() {
			theirs = append(theirs, key)
		} else {
			others = append(others, key)
		}
	}
	if len(theirs) < 2 || len(others) == 0 {
		t.Fatalf("%d keys of %d are at one peer", len(theirs), keys)
	}
	lost.Kill()
	nodes = nodes[:2]
	soon(t, "it is missed", func() error {
		for _, n := range nodes {
			if v := n.view(); v.Len() != 2 {
				return fmt.Errorf("%d peers", v.Len())
			}
		}
		return nil
	})
	if _, err := first.Get(ctx, theirs[0]); !errors.Is(err, ErrQuorum) {
		t.Errorf("get before the word: %v", err)
	}
	var e *client.Error
	if f, err := first.Forget(ctx, client.ForgetSpec{Peer: lost.ID()}); !errors.As(err, &e) || e.Code != client.CodeQuorumLost {
		t.Errorf("forget without force: %+v, %v", f, err)
	}
	f, err := first.Forget(ctx, client.ForgetSpec{Peer: lost.ID(), Force: true})
	if err != nil || len(f.Lost) == 0 || !slices.Equal(f.Lost, f.Forced) || len(f.Waits) != 0 || f.Told != 2 {
		t.Errorf("forget by force: %+v, %v", f, err)
	}
	soon(t, "its keys are gone", func() error {
		for _, key := range theirs {
			for _, n := range nodes {
				if _, err := n.Get(ctx, key); !errors.Is(err, ErrNotFound) {
					return fmt.Errorf("get %s at %s: %w", key, n.Name(), err)
				}
			}
		}
		return nil
	})
	for _, key := range others {
		if rec, err := first.Get(ctx, key); err != nil || string(rec.Value) != "old" {
			t.Errorf("get %s, which had another replica: %+v, %v", key, rec, err)
		}
	}
	if r, err := second.Put(ctx, theirs[0], []byte("new"), WithW(All)); err != nil || r.N != 1 {
		t.Errorf("put after it: %+v, %v", r, err)
	}
	forced := 0
	for _, n := range nodes {
		s, err := n.Status(ctx)
		if err != nil || len(s.Forced) != 1 || s.Forced[0].Peer != lost.ID() || s.Forced[0].By != first.ID() {
			t.Errorf("status at %s: %+v, %v", n.Name(), s.Forced, err)
		}
		forced = max(forced, s.ForcedShards)
	}
	if forced == 0 {
		t.Error("no status tells of forced shards")
	}

	nodes = append(nodes, joinTest(t, first, home))
	want := map[string]string{theirs[0]: "new", theirs[1]: "old"}
	soon(t, "what it held is back, and no older than what was written since", func() error {
		for key, value := range want {
			for _, n := range nodes {
				if rec, err := n.Get(ctx, key); err != nil || string(rec.Value) != value {
					return fmt.Errorf("get %s at %s: %q, %w", key, n.Name(), rec.Value, err)
				}
			}
		}
		return nil
	})
}
