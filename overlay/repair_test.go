package overlay

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/store"
)

var repairKeys = flag.Int("repair.keys", 5000, "keys that TestRepairCost spreads over the replicas")

// fill writes versions of keys straight to the disks of peers, past the ring.
func fill(t *testing.T, nodes []*Node, from, to int, clock uint64) {
	t.Helper()
	batches := make(map[store.ShardID][][]byte)
	for i := from; i < to; i++ {
		r := store.Record{Namespace: "k", Key: fmt.Sprintf("user-%d", i), Version: store.Version{Clock: clock, Writer: 1}, Value: []byte("v")}
		r.Position = store.Route(r.Namespace, r.Key)
		shard := store.Shard(r.Position, nodes[0].ring.Shards)
		batches[shard] = append(batches[shard], r.AppendTo(nil))
	}
	for shard, records := range batches {
		for _, n := range nodes {
			if _, err := n.disk.ApplyMany(t.Context(), shard, records); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A replica finds out in which of its keys it is behind without hearing of the
// others: 100 of any number of keys cost about 1 KB each, at the most.
func TestRepairCost(t *testing.T) {
	const differ, budget = 100, 256 << 10
	cfg := Config{RepairEvery: time.Hour}
	first := joinTest(t, nil, cfg)
	nodes := []*Node{first, joinTest(t, first, cfg), joinTest(t, first, cfg)}
	soon(t, "three voters", func() error { return alike(nodes, 3) })

	clock := uint64(time.Now().UnixMilli()) << 16
	fill(t, nodes, 0, *repairKeys, clock)
	fill(t, nodes[:2], 0, differ, clock+1)
	meta := func() (sum uint64) {
		for _, n := range nodes {
			sum += n.puller.stats.meta.Load()
		}
		return sum
	}
	before, pulled := meta(), nodes[2].puller.stats.records.Load()
	nodes[2].puller.kick()
	soon(t, "repaired", func() error { return alike(nodes, 3) })
	pulled = nodes[2].puller.stats.records.Load() - pulled
	t.Logf("%d differing keys of %d: %d records pulled for %d bytes of metadata", differ, *repairKeys, pulled, meta()-before)
	if pulled != differ || meta()-before > budget {
		t.Errorf("%d records pulled for %d bytes, want %d and at most %d", pulled, meta()-before, differ, budget)
	}
}
