package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

// Without two of three voters nothing is written or promised, errors say who is
// missing, and a read that asks for one voter still works. Once they are back, so
// is everything.
func TestQuorumLostAndBack(t *testing.T) {
	long(t)
	t.Parallel()
	const keys = 40
	c, ctx := start(t, cluster.Settings{Peers: 3, Dir: t.TempDir()})
	put(t, ctx, c.Live(), "q/", keys)
	settled(t, ctx, c, "q/", keys, 3)
	survivor := c.Nodes()[0]
	before, epochs := positions(t, ctx, survivor), epochsOf(t, ctx, survivor)
	for _, i := range []int{1, 2} {
		if err := c.Kill(i); err != nil {
			t.Fatal(err)
		}
	}

	began := time.Now()
	_, err := survivor.Put(ctx, "lost", []byte("too late"))
	if took := time.Since(began); took > patience {
		t.Errorf("a put without a quorum took %v", took)
	}
	missing := func(verb string, err error) {
		t.Helper()
		if !errors.Is(err, overlay.ErrQuorum) {
			t.Fatalf("%s without a quorum: %v", verb, err)
		}
		for _, i := range []int{1, 2} {
			if id := c.Nodes()[i].ID(); !strings.Contains(err.Error(), id) {
				t.Errorf("%s: error does not name %s: %v", verb, id, err)
			}
		}
	}
	missing("put", err)
	_, err = survivor.Get(ctx, "q/1")
	missing("get", err)
	_, err = survivor.Delete(ctx, "lost")
	missing("delete", err)
	if _, err := survivor.List(ctx, "q/", "", 0); !errors.Is(err, overlay.ErrQuorum) {
		t.Errorf("list without a quorum: %v", err)
	}
	if rec, err := survivor.Get(ctx, "q/2", overlay.WithR(overlay.One)); err != nil || string(rec.Value) != "value of q/2" {
		t.Errorf("get at level one: %q, %v", rec.Value, err)
	}
	if r, err := survivor.Put(ctx, "one", nil, overlay.WithW(overlay.One)); err != nil || r.W != 1 || r.N != 3 {
		t.Errorf("put at level one: %+v, %v", r, err)
	}

	for _, i := range []int{1, 2} {
		if _, err := c.Restart(ctx, i); err != nil {
			t.Fatal(err)
		}
	}
	agree(t, c)
	for _, node := range c.Live() {
		readAll(t, ctx, node, "q/", keys)
	}
	if diff := cmp.Diff(before, positions(t, ctx, survivor)); diff != "" {
		t.Errorf("IDs and positions changed (-before +after):\n%s", diff)
	}
	for key, epoch := range epochsOf(t, ctx, survivor) {
		if epoch < epochs[key] {
			t.Errorf("epoch of %s went back from %d to %d", key, epochs[key], epoch)
		}
	}
}

// positions are those of all peers of a ring, by ID.
func positions(t *testing.T, ctx context.Context, node *overlay.Node) map[string][]string {
	t.Helper()
	r, err := node.Ring(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, p := range r.Peers {
		all[p.ID] = p.Positions
	}
	return all
}

// epochsOf writes some keys and returns the epochs that they were written under.
func epochsOf(t *testing.T, ctx context.Context, node *overlay.Node) map[string]uint64 {
	t.Helper()
	epochs := make(map[string]uint64)
	for i := range 30 {
		r, err := node.Put(ctx, fmt.Sprintf("epoch/%d", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		epochs[r.Key] = r.Epoch
	}
	return epochs
}

// A peer that stays away is replaced in a ring of four, and keeps its seats in
// one of three: a crash never shrinks a configuration.
func TestReplace(t *testing.T) {
	long(t)
	const keys = 40
	cfg := overlay.Config{ReplaceAfter: time.Second}
	t.Run("of four", func(t *testing.T) {
		t.Parallel()
		c, ctx := start(t, cluster.Settings{Peers: 4, Node: cfg})
		put(t, ctx, c.Live(), "r/", keys)
		settled(t, ctx, c, "r/", keys, 3)
		gone := c.Nodes()[2].ID()
		if err := c.Kill(2); err != nil {
			t.Fatal(err)
		}
		agree(t, c)
		settled(t, ctx, c, "r/", keys, 3)
		for i := range keys {
			r, err := c.Live()[i%3].Put(ctx, fmt.Sprintf("r/%d", i), nil, overlay.WithW(overlay.All))
			if err != nil || len(r.Acks) != 3 {
				t.Errorf("put at level all: %+v, %v", r, err)
			}
			for _, ack := range r.Acks {
				if ack.Peer == gone {
					t.Errorf("%s was acknowledged by the peer that is gone", r.Key)
				}
			}
		}
	})
	t.Run("of three", func(t *testing.T) {
		t.Parallel()
		c, ctx := start(t, cluster.Settings{Peers: 3, Node: cfg})
		put(t, ctx, c.Live(), "r/", keys)
		settled(t, ctx, c, "r/", keys, 3)
		gone := c.Nodes()[2].ID()
		if err := c.Kill(2); err != nil {
			t.Fatal(err)
		}
		agree(t, c)
		// Watched for several times ReplaceAfter.
		for began := time.Now(); time.Since(began) < 4*cfg.ReplaceAfter; time.Sleep(50 * time.Millisecond) {
			r, err := c.Live()[0].Put(ctx, "r/0", nil)
			if err != nil || r.W != 2 || r.N != 3 {
				t.Fatalf("put with one of three voters gone: %+v, %v", r, err)
			}
			rec, err := c.Live()[1].Get(ctx, "r/1")
			if err != nil || !slices.Contains(rec.Holders, gone) {
				t.Fatalf("get with one of three voters gone: %+v, %v", rec, err)
			}
		}
		s, err := c.Live()[0].Status(ctx)
		if err != nil || s.UnderReplicated == 0 {
			t.Errorf("status says that %d keys lack a replica, %v", s.UnderReplicated, err)
		}
	})
}
