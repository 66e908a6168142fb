package cluster_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/overlay"
)

// Over a network with latency and loss, split into three and two peers, the
// larger part goes on and the smaller one refuses. When the split ends they are
// one ring again, and nothing that was acknowledged is lost.
func TestPartition(t *testing.T) {
	long(t)
	t.Parallel()
	const keys = 30
	c, ctx := start(t, cluster.Settings{
		Peers:   5,
		Network: &simnet.Settings{Latency: 5 * time.Millisecond, Jitter: 15 * time.Millisecond, Loss: 0.01, Seed: 1},
		// With five replicas, the majority of every shard is in the larger part.
		Node: overlay.Config{Replicas: 5, ReplaceAfter: 2 * time.Second, RepairEvery: time.Second},
	})
	nodes := c.Nodes()
	put(t, ctx, nodes, "before/", keys)
	settled(t, ctx, c, "before/", keys, 5)

	c.Network().Partition([]int{0, 1, 2}, []int{3, 4})
	var wg sync.WaitGroup
	began := time.Now()
	for i := range keys {
		wg.Go(func() {
			key := fmt.Sprintf("split/%d", i)
			_, err := nodes[3+i%2].Put(ctx, key, []byte("of the minority"))
			if !errors.Is(err, overlay.ErrQuorum) {
				t.Errorf("put in the minority: %v", err)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("put in the minority took %v", took)
			}
		})
		wg.Go(func() {
			key := fmt.Sprintf("split/%d", i)
			if _, err := nodes[i%3].Put(ctx, key, []byte("value of "+key)); err != nil {
				t.Errorf("put in the majority: %v", err)
			}
		})
	}
	wg.Wait()
	began = time.Now()
	for i := range 3 {
		readAll(t, ctx, nodes[i], "before/", keys)
		if listed, err := nodes[i].List(ctx, "before/", "", 0); err != nil || len(listed) != keys {
			t.Errorf("listed %d keys in the majority, %v", len(listed), err)
		}
	}
	t.Logf("read all keys in the majority in %v", time.Since(began).Round(time.Millisecond))

	c.Network().Heal()
	began = time.Now()
	agree(t, c)
	t.Logf("one ring again %v after the split", time.Since(began).Round(time.Millisecond))
	for _, node := range nodes {
		readAll(t, ctx, node, "before/", keys)
		for i := range keys {
			// What the minority could not promise may show all the same, if it is
			// the newer one; what nobody wrote may not.
			key := fmt.Sprintf("split/%d", i)
			rec, err := node.Get(ctx, key)
			if v := string(rec.Value); err != nil || v != "value of "+key && v != "of the minority" {
				t.Errorf("get %s at %s: %q, %v", key, node.Name(), v, err)
			}
		}
	}
	put(t, ctx, nodes, "split/", keys)
	for _, node := range nodes {
		readAll(t, ctx, node, "split/", keys)
	}
	settled(t, ctx, c, "before/", keys, 5)
}

// With three replicas, either part of a split ring may hold the majority of a
// shard. They never both write to it.
func TestPartitionHasOneMajority(t *testing.T) {
	long(t)
	t.Parallel()
	const keys = 40
	c, ctx := start(t, cluster.Settings{
		Peers:   5,
		Network: &simnet.Settings{Latency: 5 * time.Millisecond, Seed: 2},
		Node:    overlay.Config{ReplaceAfter: time.Second, RepairEvery: time.Second},
	})
	nodes := c.Nodes()
	put(t, ctx, nodes, "k/", keys)
	settled(t, ctx, c, "k/", keys, 3)
	c.Network().Partition([]int{0, 1, 2}, []int{3, 4})
	var wg sync.WaitGroup
	written := make([][2]int, keys)
	for i := range keys {
		for side, node := range []*overlay.Node{nodes[i%3], nodes[3+i%2]} {
			wg.Go(func() {
				for range 2 { // before and after the parts have noticed
					_, err := node.Put(ctx, fmt.Sprintf("k/%d", i), fmt.Appendf(nil, "side %d", side))
					switch {
					case err == nil:
						written[i][side]++
					case !errors.Is(err, overlay.ErrQuorum):
						t.Errorf("put at %s: %v", node.Name(), err)
					}
				}
			})
		}
	}
	wg.Wait()
	c.Network().Heal()
	agree(t, c)
	sides := [2]int{}
	for i, w := range written {
		if w[0] > 0 && w[1] > 0 {
			t.Errorf("both parts wrote k/%d", i)
			continue
		}
		for side := range w {
			if w[side] > 0 {
				sides[side]++
			}
		}
		for _, node := range nodes {
			rec, err := node.Get(ctx, fmt.Sprintf("k/%d", i))
			if err != nil || w[0]+w[1] > 0 && string(rec.Value) == "value of "+rec.Key {
				t.Errorf("get k/%d at %s, written %v: %q, %v", i, node.Name(), w, rec.Value, err)
			}
		}
	}
	t.Logf("%d keys were written by the three, %d by the two, of %d", sides[0], sides[1], keys)
	if sides[0] == 0 {
		t.Error("the larger part wrote nothing")
	}
}
