package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// A ring of one keeps keys by itself and says so; while it grows to five,
// every acknowledged write is readable at every peer, and no call fails.
func TestGrow(t *testing.T) {
	long(t)
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 1, Dir: t.TempDir(), Node: overlay.Config{ReplaceAfter: time.Second}})
	first := c.Nodes()[0]
	r, err := first.Put(ctx, "alone/0", []byte("value of alone/0"))
	if err != nil {
		t.Fatal(err)
	}
	r.Version = ""
	want := overlay.Receipt{Key: "alone/0", Acks: []client.Ack{{Peer: first.ID(), Synced: true}}, Hints: []string{}, W: 1, N: 1, Epoch: 1}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("receipt of a ring of one (-want +got):\n%s", diff)
	}
	const keys = 60
	put(t, ctx, c.Live(), "alone/", keys)
	readAll(t, ctx, first, "alone/", keys)

	x := newTraffic(t, c, 2)
	for size := 2; size <= 5; size++ {
		x.goOn(20)
		if _, err := c.Add(ctx); err != nil {
			t.Fatal(err)
		}
		agree(t, c)
		if size == 3 {
			eventually(t, "three replicas of a write", func() error {
				r, err := first.Put(ctx, "alone/0", []byte("value of alone/0"))
				if err != nil || r.N != 3 || r.W != 2 {
					return fmt.Errorf("receipt %+v, %w", r, err)
				}
				return nil
			})
		}
	}
	x.goOn(50)
	x.endClean()
	put(t, ctx, c.Live()[:1], "traffic/", len(x.keys))
	for _, node := range c.Live() {
		readAll(t, ctx, node, "alone/", keys)
	}
	eventually(t, "three voters of each key", func() error {
		copies := 0
		for _, node := range c.Live() {
			s, err := node.Status(ctx)
			if err != nil || s.UnderReplicated != 0 {
				return fmt.Errorf("%s: %d keys lack a replica, %w", node.Name(), s.UnderReplicated, err)
			}
			copies += s.Keys
		}
		if want := 3 * (keys + len(x.keys)); copies != want {
			return fmt.Errorf("%d copies held by voters, want %d", copies, want)
		}
		return nil
	})
}
