package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// Where a majority is gone for good the operator forces the shards: they wait until
// all who are missing are named, go on with what is left, and take those who come
// back after all for new ones.
func TestForgetByForce(t *testing.T) {
	const keys = 40
	cfg := Config{ReplaceAfter: time.Minute, RepairEvery: time.Second}
	home := func() Config {
		c := cfg
		c.Home = t.TempDir()
		return c
	}
	homes := []Config{home(), home(), home()}
	first := joinTest(t, nil, homes[0])
	second, third := joinTest(t, first, homes[1]), joinTest(t, first, homes[2])
	soon(t, "three voters", func() error { return alike([]*Node{first, second, third}, 3) })
	put := func(by *Node, i int, level Level) {
		t.Helper()
		if _, err := by.Put(t.Context(), fmt.Sprintf("k/%d", i), []byte("v"), WithW(level)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range keys {
		put(first, i, All)
	}
	second.Kill()
	third.Kill()
	soon(t, "both are missed", func() error {
		if v := first.view(); v.Len() > 1 {
			return fmt.Errorf("%d peers", v.Len())
		}
		return nil
	})
	forget := func(n *Node, force bool) client.Forgotten {
		t.Helper()
		f, err := first.Forget(t.Context(), client.ForgetSpec{Peer: n.ID(), Force: force})
		var e *client.Error
		if lost := errors.As(err, &e) && e.Code == client.CodeQuorumLost; lost == force || (err == nil) != force {
			t.Errorf("forget, force %v: %+v, %v", force, f, err)
		}
		return f
	}
	forget(second, false)
	f := forget(second, true)
	if len(f.Forced) != first.ring.Shards || !slices.Equal(f.Waits, []string{third.ID()}) || f.Shards != first.ring.Shards {
		t.Errorf("forced: %+v", f)
	}
	for id := range first.shards.all() {
		if c := first.shards.config(id); c.Forces() > 0 {
			t.Errorf("shard %d went on without the word on all: %v", id, c)
		}
	}
	if f := forget(third, true); len(f.Forced) != first.ring.Shards || len(f.Waits) != 0 {
		t.Errorf("forced: %+v", f)
	}
	soon(t, "one voter", func() error { return alike([]*Node{first}, 1) })
	for i := range keys {
		if _, err := first.Get(t.Context(), fmt.Sprintf("k/%d", i)); err != nil {
			t.Error(err)
		}
		put(first, keys+i, Quorum)
	}
	check := func() {
		t.Helper()
		s, err := first.Status(t.Context())
		if err != nil || len(s.Forced) != 2 || s.ForcedShards != first.ring.Shards || s.Forced[0].Peer != second.ID() || s.Forced[0].By != first.ID() {
			t.Errorf("status: %+v from %d shards, %v", s.Forced, s.ForcedShards, err)
		}
	}
	check()

	second, third = joinTest(t, first, homes[1]), joinTest(t, first, homes[2])
	soon(t, "three voters again", func() error { return alike([]*Node{first, second, third}, 3) })
	for i := range 2 * keys {
		if _, err := third.Get(t.Context(), fmt.Sprintf("k/%d", i)); err != nil {
			t.Error(err)
		}
	}
	check()
	soon(t, "the forces are done", func() error {
		for _, f := range first.forgotten.list().Forces {
			if !f.Done {
				return fmt.Errorf("that of %s is not", first.label(f.Voter.Peer))
			}
		}
		return nil
	})
}

// What is on record of forces survives a restart, and is bounded.
func TestForgottenKeepsForces(t *testing.T) {
	var saved []byte
	open := func() *forgotten {
		t.Helper()
		f, err := loadForgotten(saved, func(_ context.Context, b []byte) error {
			saved = b
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := open()
	voter := func(i int) store.Voter { return store.Voter{Peer: "p", Incarnation: uint64(i)} }
	for i := range keepForces + 10 {
		word := wire.Forgotten{Voters: []store.Voter{voter(i)}, Forces: []wire.Force{{Voter: voter(i), By: "q", At: time.UnixMilli(int64(i))}}}
		for want := range 2 { // the second time it is no news
			changed, err := f.mark(t.Context(), word)
			if err != nil || changed != (want == 0) {
				t.Fatalf("mark: %v, %v", changed, err)
			}
		}
		if f = open(); !f.forced(voter(i)) || !f.has(voter(i)) {
			t.Fatalf("force %d is forgotten by the disk", i)
		}
		if err := f.unmark(t.Context(), word.Voters); err != nil {
			t.Fatal(err)
		}
		if f = open(); f.forced(voter(i)) || f.has(voter(i)) {
			t.Fatalf("force %d has not ended", i)
		}
	}
	list := f.list()
	if len(list.Forces) != keepForces || list.Forces[0].At != time.UnixMilli(10) || len(f.active().Forces) != 0 {
		t.Errorf("%d forces are kept, from %v", len(list.Forces), list.Forces[0].At)
	}

	// One that was forced once, came back, and is forgotten again without force.
	if _, err := f.mark(t.Context(), wire.Forgotten{Voters: []store.Voter{voter(20)}}); err != nil || f.forced(voter(20)) {
		t.Errorf("forced by a former word: %v", err)
	}
}
