package overlay

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// records returns how many records peers have on disk, live ones and tombstones.
func records(nodes ...*Node) (live, tombstones int64) {
	for _, n := range nodes {
		counts := n.disk.Totals()
		live, tombstones = live+counts.Live, tombstones+counts.Tombstones
	}
	return live, tombstones
}

// gone waits until peers hold so many live records and no tombstone.
func gone(t *testing.T, what string, want int64, nodes ...*Node) {
	t.Helper()
	soon(t, what, func() error {
		if live, tombstones := records(nodes...); live != want || tombstones != 0 {
			return fmt.Errorf("%d records and %d tombstones", live, tombstones)
		}
		return nil
	})
}

// Records of deleted and expired keys leave the disks of all voters, and wait for
// one that is down. A peer that was replaced while it was down, and had the
// deleted values on its disk, does not bring them back when it takes seats again.
func TestReclaim(t *testing.T) {
	const keys = 40
	cfg := Config{ReplaceAfter: time.Second, RepairEvery: time.Second, ReclaimAfter: 300 * time.Millisecond}
	home := t.TempDir()
	first := joinTest(t, nil, cfg)
	second := joinTest(t, first, cfg)
	away := cfg
	away.Home = home
	third := joinTest(t, first, away)
	nodes := []*Node{first, second, third}
	key := func(i int) string { return fmt.Sprintf("k/%d", i) }
	put := func(from, to int, opts ...PutOption) {
		t.Helper()
		for i := from; i < to; i++ {
			if _, err := first.Put(t.Context(), key(i), []byte("v"), opts...); err != nil {
				t.Fatal(err)
			}
		}
	}
	del := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			if _, err := second.Delete(t.Context(), key(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0, keys)
	put(keys, keys+10, WithTTL(100*time.Millisecond))
	del(0, keys/4)
	gone(t, "deleted and expired keys", 3*(keys-keys/4), nodes...)
	soon(t, "all alike", func() error { return alike(nodes, 3) })

	third.Kill()
	del(keys/4, keys/2)
	time.Sleep(4 * cfg.ReclaimAfter) // as long as it would take
	if _, tombstones := records(first, second); tombstones != 2*keys/4 {
		t.Errorf("%d tombstones while a voter is down", tombstones)
	}
	fourth := joinTest(t, first, cfg)
	gone(t, "without the peer that was replaced", 3*keys/2, first, second, fourth)

	// It comes back with all that was deleted last, and is needed.
	third = joinTest(t, first, away)
	if err := fourth.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	soon(t, "seats taken again", func() error { return alike([]*Node{first, second, third}, 3) })
	for i := range keys {
		_, err := third.Get(t.Context(), key(i), WithR(One))
		if there := err == nil; there != (i >= keys/2) || !there && !errors.Is(err, ErrNotFound) {
			t.Errorf("get %s: %v", key(i), err)
		}
	}
	gone(t, "in the end", 3*keys/2, first, second, third)
}
