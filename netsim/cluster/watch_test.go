package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// A delete that a watch's voter was cut off from, and that all others have
// forgotten when it is back, shows, or the watch ends by name.
func TestSoakWatch(t *testing.T) {
	if *soak == 0 {
		t.Skip("it takes more than the skew that clocks are allowed")
	}
	c, _ := start(t, cluster.Settings{
		Peers:   5,
		Network: &simnet.Settings{Latency: 2 * time.Millisecond, Seed: 5},
		Node:    overlay.Config{ReplaceAfter: time.Second, RepairEvery: time.Second, ReclaimAfter: time.Second, Workers: -1},
	})
	ctx, nodes := t.Context(), c.Nodes()
	put(t, ctx, nodes, "k/", 40)
	settled(t, ctx, c, "k/", 40, 3)
	w, err := nodes[4].Watch(ctx, client.WatchSpec{Prefix: "k/"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	victim := ""
	for i := range 40 {
		rec, err := nodes[0].Get(ctx, fmt.Sprintf("k/%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(rec.Holders, nodes[4].ID()) {
			victim = rec.Key
		}
	}
	if victim == "" {
		t.Fatal("the watch's peer holds no key")
	}
	c.Network().Partition([]int{0, 1, 2, 3}, []int{4})
	eventually(t, "deleted", func() error {
		_, err := nodes[0].Delete(ctx, victim)
		return err
	})
	deleted := time.Now()
	eventually(t, "forgotten", func() error {
		for _, n := range nodes[:4] {
			if s, err := n.Status(ctx); err != nil || s.Deleted > 0 {
				return fmt.Errorf("%d deleted, %w", s.Deleted, err)
			}
		}
		return nil
	})
	time.Sleep(time.Until(deleted.Add(store.DefaultSkew + 15*time.Second)))
	c.Network().Heal()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		e, err := w.Next(ctx)
		if errors.Is(err, overlay.ErrLapsed) || err == nil && e.Key == victim && e.Kind == client.EventDelete {
			return
		}
		if err != nil {
			t.Fatalf("the delete of %s never showed: %v", victim, err)
		}
	}
}
