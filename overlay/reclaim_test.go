package overlay

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
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

// The status names the peer that deletes wait for. Once it is forgotten they do
// not, the shards go on without it, and it may come back like a new peer.
func TestForget(t *testing.T) {
	const keys = 40
	cfg := Config{ReplaceAfter: time.Minute, RepairEvery: time.Second, ReclaimAfter: 300 * time.Millisecond}
	first := joinTest(t, nil, cfg)
	second := joinTest(t, first, cfg)
	away := cfg
	away.Home = t.TempDir()
	third := joinTest(t, first, away)
	for i := range keys {
		if _, err := first.Put(t.Context(), fmt.Sprintf("k/%d", i), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := first.Forget(t.Context(), client.ForgetSpec{Peer: third.ID()}); err == nil {
		t.Error("forgot a peer that is there")
	}
	third.Kill()
	for i := range keys / 2 {
		if _, err := first.Delete(t.Context(), fmt.Sprintf("k/%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "the status names who is missing", func() error {
		s, err := second.Status(t.Context())
		if err != nil || s.Deleted != keys/2 || len(s.Blockers) != 1 || s.Blockers[0].Peer != third.ID() || s.Blockers[0].Keys != keys/2 {
			return fmt.Errorf("%d deleted, waiting for %v, %w", s.Deleted, s.Blockers, err)
		}
		return nil
	})
	soon(t, "forgotten", func() error { // not before the ring has missed it
		f, err := first.Forget(t.Context(), client.ForgetSpec{Peer: third.ID()[len(third.ID())-8:]})
		if err == nil && (f.ID != third.ID() || f.Shards != first.ring.Shards || f.Told != 2 || f.Of != 2) {
			t.Errorf("forgotten: %+v", f)
		}
		return err
	})
	gone(t, "without the peer that was forgotten", keys, first, second)
	soon(t, "two voters", func() error { return alike([]*Node{first, second}, 2) })
	if _, err := first.Forget(t.Context(), client.ForgetSpec{Peer: third.ID()}); err == nil {
		t.Error("forgot a peer that no shard counts on")
	}
	if _, err := first.Forget(t.Context(), client.ForgetSpec{Peer: second.ID()}); err == nil {
		t.Error("forgot a peer that is there")
	}

	third = joinTest(t, second, away)
	soon(t, "three voters again", func() error { return alike([]*Node{first, second, third}, 3) })
	gone(t, "in the end", 3*keys/2, first, second, third)
}

// A voter that answers, and refuses to settle what was deleted and what has expired, is
// named with the reason by those who lead the shards, until it refuses no more.
func TestStatusNamesWhoRefuses(t *testing.T) {
	const deleted, expired = 20, 10
	cfg := Config{ReplaceAfter: time.Minute, RepairEvery: time.Second, ReclaimAfter: 300 * time.Millisecond}
	first := joinTest(t, nil, cfg)
	second := joinTest(t, first, cfg)
	var in1970 atomic.Bool
	cfg.now = func() time.Time {
		if in1970.Load() {
			return time.Unix(60, 0)
		}
		return time.Now()
	}
	third := joinTest(t, first, cfg)
	nodes := []*Node{first, second, third}
	soon(t, "three voters", func() error { return alike(nodes, 3) })
	in1970.Store(true)
	for i := range deleted + expired {
		var opts []PutOption
		if i >= deleted {
			opts = append(opts, WithTTL(100*time.Millisecond))
		}
		if _, err := first.Put(t.Context(), fmt.Sprintf("k/%d", i), []byte("v"), append(opts, WithW(All))...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range deleted {
		if _, err := first.Delete(t.Context(), fmt.Sprintf("k/%d", i), WithW(All)); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "the status names who refuses", func() error {
		keys := 0 // each of which one peer leads
		for _, n := range nodes {
			s, err := n.Status(t.Context())
			if err != nil || s.Deleted != deleted+expired {
				return fmt.Errorf("%d wait, %w", s.Deleted, err)
			}
			for _, b := range s.Blockers {
				if b.Peer != third.ID() || b.Why != errClockBehind.Error() {
					return fmt.Errorf("waiting for %+v", b)
				}
				keys += b.Keys
			}
		}
		if keys != deleted+expired {
			return fmt.Errorf("%d of %d", keys, deleted+expired)
		}
		return nil
	})
	in1970.Store(false)
	gone(t, "with its clock right", 0, nodes...)
	soon(t, "nothing waits", func() error {
		for _, n := range nodes {
			if s, err := n.Status(t.Context()); err != nil || s.Deleted != 0 || len(s.Blockers) != 0 {
				return fmt.Errorf("%d wait for %+v, %w", s.Deleted, s.Blockers, err)
			}
		}
		return nil
	})
}

// A peer without which its shards lack a majority cannot be forgotten.
func TestForgetNotAMajority(t *testing.T) {
	cfg := Config{ReplaceAfter: time.Minute}
	first := joinTest(t, nil, cfg)
	second := joinTest(t, first, cfg)
	soon(t, "two voters", func() error { return alike([]*Node{first, second}, 2) })
	second.Kill()
	soon(t, "the peer is missed", func() error {
		_, err := first.Forget(t.Context(), client.ForgetSpec{Peer: second.ID()})
		var e *client.Error
		if !errors.As(err, &e) || e.Code != client.CodeQuorumLost {
			return fmt.Errorf("forget: %w", err)
		}
		return nil
	})
}
