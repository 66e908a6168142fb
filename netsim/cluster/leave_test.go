package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

// Peers leave one after the other while others write and read: each hands over
// all of its shards and gives its tasks back before Leave returns, until one
// is left, which refuses.
func TestLeave(t *testing.T) {
	long(t)
	t.Parallel()
	const keys = 40
	c, ctx := start(t, cluster.Settings{Peers: 4, Dir: t.TempDir(), Node: overlay.Config{Workers: 2}})
	first := c.Nodes()[0]
	put(t, ctx, c.Live(), "l/", keys)
	x := newTraffic(t, c, 2)
	for i := 3; i > 0; i-- {
		leaver := c.Nodes()[i]
		job := submitSleeps(t, ctx, first, 100, 50*time.Millisecond)
		awaitTasksAt(t, first, job, leaver.ID())
		x.goOn(10)
		began := time.Now()
		if err := leaver.Leave(ctx); err != nil {
			t.Fatal(err)
		}
		t.Logf("left a ring of %d in %v", i+1, time.Since(began).Round(time.Millisecond))
		for k := range keys {
			rec, err := first.Get(ctx, fmt.Sprintf("l/%d", k))
			if err != nil || slices.Contains(rec.Holders, leaver.ID()) {
				t.Errorf("after the leave of %s: %+v, %v", leaver.ID(), rec, err)
			}
		}
		agree(t, c)
		if err := leaver.Close(); err != nil {
			t.Errorf("close after leave: %v", err)
		}
		if _, err := leaver.Get(ctx, "l/0"); !errors.Is(err, overlay.ErrClosed) {
			t.Errorf("get at a peer that left: %v", err)
		}
		done, err := first.Wait(ctx, job)
		if err != nil {
			t.Fatal(err)
		}
		allDone(t, done)
		for _, r := range done.Results {
			for _, a := range r.History {
				if a.Outcome == "lost" || a.Outcome == "crashed" {
					t.Errorf("task %d: attempt at %s was %s, not given back", r.Index, a.Peer, a.Outcome)
				}
			}
		}
	}
	x.goOn(10)
	x.endClean()
	readAll(t, ctx, first, "l/", keys)
	if err := first.Leave(ctx); !errors.Is(err, overlay.ErrLastPeer) {
		t.Errorf("leave of the last peer: %v", err)
	}
	readAll(t, ctx, first, "l/", keys)
}

// Two of five peers leave at the same time, and one of them comes back later
// with what it still has on its disk.
func TestLeaveTogether(t *testing.T) {
	long(t)
	t.Parallel()
	const keys = 40
	c, ctx := start(t, cluster.Settings{Peers: 5, Dir: t.TempDir(), Node: overlay.Config{ReplaceAfter: time.Second}})
	put(t, ctx, c.Live(), "l/", keys)
	x := newTraffic(t, c, 2)
	x.goOn(10)
	errs := make(chan error, 2)
	for _, i := range []int{1, 4} {
		go func() { errs <- c.Nodes()[i].Leave(ctx) }()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	agree(t, c)
	settled(t, ctx, c, "l/", keys, 3)
	for i := range keys / 2 {
		if _, err := c.Nodes()[0].Delete(ctx, fmt.Sprintf("l/%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	back, err := c.Restart(ctx, 4)
	if err != nil {
		t.Fatal(err)
	}
	agree(t, c)
	eventually(t, "it is a voter again", func() error {
		if s, err := back.Status(ctx); err != nil || s.Keys == 0 {
			return fmt.Errorf("%d keys, %w", s.Keys, err)
		}
		return nil
	})
	x.goOn(10)
	x.endClean()
	for _, node := range c.Live() {
		for i := range keys {
			_, err := node.Get(ctx, fmt.Sprintf("l/%d", i))
			if deleted := errors.Is(err, overlay.ErrNotFound); deleted != (i < keys/2) || err != nil && !deleted {
				t.Errorf("get l/%d at %s: %v", i, node.Name(), err)
			}
		}
	}
}

// A leave that cannot be completed in time says why, and the peer stays.
func TestLeaveWithoutQuorum(t *testing.T) {
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 3})
	put(t, ctx, c.Live(), "l/", 20)
	settled(t, ctx, c, "l/", 20, 3)
	for _, i := range []int{1, 2} {
		if err := c.Kill(i); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	node := c.Nodes()[0]
	if err := node.Leave(short); err == nil {
		t.Fatal("a peer left with shards that nobody else could take")
	} else {
		t.Log(err)
	}
	if !node.Alive() {
		t.Fatal("the peer stopped all the same")
	}
	if rec, err := node.Get(ctx, "l/1", overlay.WithR(overlay.One)); err != nil || string(rec.Value) != "value of l/1" {
		t.Errorf("get at level one: %q, %v", rec.Value, err)
	}
}
