package cluster_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

// TestKeysSurviveKill puts keys at one peer, kills another, reads all of them
// at a third, and starts the killed one again.
func TestKeysSurviveKill(t *testing.T) {
	long(t)
	c, ctx := start(t, cluster.Settings{Peers: 5, Dir: t.TempDir()})
	nodes := c.Nodes()
	const keys = 100
	for i := range keys {
		r, err := nodes[i%5].Put(ctx, fmt.Sprintf("k/%d", i), fmt.Appendf(nil, "v%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Acks) < r.W {
			t.Fatalf("receipt %+v", r)
		}
	}
	if err := c.Kill(3); err != nil {
		t.Fatal(err)
	}
	read := func(n *overlay.Node) {
		t.Helper()
		for i := range keys {
			rec, err := n.Get(ctx, fmt.Sprintf("k/%d", i))
			if err != nil || string(rec.Value) != fmt.Sprintf("v%d", i) {
				t.Fatalf("get k/%d at %s: %q, %v", i, n.Name(), rec.Value, err)
			}
		}
	}
	read(nodes[1])
	if err := c.Agree(ctx); err != nil {
		t.Fatal(err)
	}
	back, err := c.Restart(ctx, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Agree(ctx); err != nil {
		t.Fatal(err)
	}
	if back.ID() != nodes[3].ID() {
		t.Errorf("came back as %s, was %s", back.ID(), nodes[3].ID())
	}
	read(back)
	if _, err := back.Get(ctx, "k/none"); !errors.Is(err, overlay.ErrNotFound) {
		t.Errorf("get of a key that is not there: %v", err)
	}
	all, err := back.List(ctx, "k/", "", 0)
	if err != nil || len(all) != keys {
		t.Errorf("listed %d keys, %v", len(all), err)
	}
}
