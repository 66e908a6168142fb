package overlay

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// raiseAll has every horizon of a ring raised beyond what was written before, by a deleted
// key in each shard.
func raiseAll(t *testing.T, n *Node) {
	t.Helper()
	below := make(map[store.ShardID]uint64)
	for i := 0; len(below) < n.ring.Shards; i++ {
		key := fmt.Sprintf("k/%d", i)
		if id := store.Shard(store.Route(store.SplitKey(key)), n.ring.Shards); below[id] == 0 {
			r, err := n.Delete(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			v, err := store.ParseVersion(r.Version)
			if err != nil {
				t.Fatal(err)
			}
			below[id] = v.Clock
		}
	}
	soon(t, "all horizons raised", func() error {
		for id, clock := range below {
			if n.shards.config(id).Horizon < clock {
				return fmt.Errorf("not that of shard %d", id)
			}
		}
		return nil
	})
}

// A voter that was away while chunks were forgotten, and their tombstones dropped by
// the others, brings them back; they go again.
func TestChunksThatComeBackAreCollected(t *testing.T) {
	cfg := Config{
		chunkTimes:   chunkTimes{reuse: time.Hour, commit: time.Hour, keep: time.Second, sweep: 500 * time.Millisecond},
		ReclaimAfter: 200 * time.Millisecond, RepairEvery: 300 * time.Millisecond, ReplaceAfter: time.Hour,
	}
	first := joinTest(t, nil, cfg)
	second := joinTest(t, first, cfg)
	away := cfg
	away.Home = t.TempDir()
	third := joinTest(t, first, away)
	nodes := []*Node{first, second, third}
	soon(t, "three replicas", func() error { return alike(nodes, 3) })
	if _, err := first.PutStream(t.Context(), "large", bytes.NewReader(noise(7, 6*chunk.Size)), WithW(All)); err != nil {
		t.Fatal(err)
	}
	raiseAll(t, first)
	// As if it were a voter of the chunks' shards only: with the note it would lead there itself.
	shard := store.Shard(store.Route(largeSpace, "large"), third.ring.Shards)
	note, found, err := third.disk.Get(shard, largeSpace, "large")
	if err != nil || !found {
		t.Fatalf("note: %v, %v", found, err)
	}
	if _, err := third.disk.Remove(t.Context(), shard, largeSpace, "large", note.Version); err != nil {
		t.Fatal(err)
	}
	third.Kill()
	if _, err := first.Delete(t.Context(), "large"); err != nil {
		t.Fatal(err)
	}
	soon(t, "no trace of chunks", func() error {
		for _, n := range nodes[:2] {
			for id := range n.shards.all() {
				page, err := n.disk.Scan(id, disk.Query{Prefix: chunkSpace + "/"})
				if err != nil || len(page.Entries) > 0 {
					return fmt.Errorf("%d in shard %d, %w", len(page.Entries), id, err)
				}
			}
		}
		return nil
	})
	time.Sleep(4 * cfg.chunkTimes.sweep) // as long as it would take to be done with the key
	third = joinTest(t, first, away)
	if have := chunks(third); have == 0 {
		t.Fatal("the peer that was away has no chunks")
	}
	gone(t, "chunks, notes and tombstones", 0, first, second, third)
}

// Whoever reads a large value that is deleted has until a sweep later.
func TestChunksOfADeletedValueStay(t *testing.T) {
	n := joinTest(t, nil, Config{chunkTimes: chunkTimes{reuse: time.Hour, commit: time.Hour, keep: time.Nanosecond, sweep: time.Hour}})
	const large = "large"
	value := noise(7, 6*chunk.Size)
	if _, err := n.PutStream(t.Context(), large, bytes.NewReader(value)); err != nil {
		t.Fatal(err)
	}
	s, err := n.GetStream(t.Context(), large)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := n.Delete(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	sweep := func() {
		t.Helper()
		for id := range n.shards.all() {
			if err := n.collectShard(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
	sweep()
	sweep()
	if have := chunks(n); have != 6 {
		t.Fatalf("%d chunks of 6 right after the delete", have)
	}
	shard := store.Shard(store.Route(largeSpace, large), n.ring.Shards)
	note, found, err := n.disk.Get(shard, largeSpace, large)
	if err != nil || !found {
		t.Fatalf("note: %v, %v", found, err)
	}
	if since, ok := goneSince(note.Value); !ok || time.Since(since) > time.Hour {
		t.Fatalf("the note says %q", note.Value)
	}
	note.Value = appendGone(nil, time.Now().Add(-time.Hour))
	if err := n.replaceExactly(t.Context(), 0, note); err != nil {
		t.Fatal(err)
	}
	sweep()
	if have := chunks(n); have != 0 {
		t.Errorf("%d chunks an hour after the delete", have)
	}
	sweep()
	if note, _, err = n.disk.Get(shard, largeSpace, large); err != nil || !note.Tombstone {
		t.Errorf("the note is still there: %+v, %v", note, err)
	}
}
