package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/overlay"
)

// TestReadsPreferNear reads, from a peer that is no voter, a key of which one
// voter is far away and two are near: the far one must not be waited for.
func TestReadsPreferNear(t *testing.T) {
	if testing.Short() {
		t.Skip("real time")
	}
	const (
		near = time.Millisecond
		far  = 200 * time.Millisecond
	)
	c, ctx := start(t, cluster.Settings{Peers: 4, Network: &simnet.Settings{Latency: near}})
	nodes := c.Nodes()
	put(t, ctx, nodes, "k", 32)
	settled(t, ctx, c, "k", 32, 3)

	const reader = 0
	var keys []string // of which the reader holds no copy
	for i := range 32 {
		rec, err := nodes[reader].Get(ctx, fmt.Sprintf("k%d", i))
		if err != nil {
			t.Fatal(err)
		}
		held := false
		for _, h := range rec.Holders {
			held = held || h == nodes[reader].ID()
		}
		if !held {
			keys = append(keys, rec.Key)
		}
	}
	if len(keys) == 0 {
		t.Skip("the reader keeps every key")
	}
	for distant := 1; distant < len(nodes); distant++ {
		for i := 1; i < len(nodes); i++ {
			c.Network().SetLatency(reader, i, near)
		}
		c.Network().SetLatency(reader, distant, far)
		// The averages follow what is measured: a ping is a measurement.
		eventually(t, nodes[distant].Name()+" is known to be far", func() error {
			for i := 1; i < len(nodes); i++ {
				if _, err := nodes[reader].Ping(ctx, nodes[i].ID()); err != nil {
					return err
				}
			}
			if took := slowest(t, c, keys); took > far {
				return fmt.Errorf("a read took %v", took)
			}
			return nil
		})
		// Once it is known, no read waits for it.
		if took := slowest(t, c, keys); took > far {
			t.Errorf("%s is far: a read took %v, as long as the way there and back", nodes[distant].Name(), took)
		}
	}
}

// slowest reads the keys at the first peer and returns how long the slowest
// read took.
func slowest(t *testing.T, c *cluster.Cluster, keys []string) time.Duration {
	t.Helper()
	var most time.Duration
	for _, key := range keys {
		began := time.Now()
		if _, err := c.Nodes()[0].Get(t.Context(), key, overlay.WithR(overlay.Quorum)); err != nil {
			t.Fatal(err)
		}
		most = max(most, time.Since(began))
	}
	return most
}
