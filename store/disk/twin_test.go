package disk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/chorus-net/chorus/store"
)

// twin is what a store should hold: a map, and nothing clever.
type twin map[string]held

// Whatever is stored, removed, dropped, closed and crashed, the store holds what
// a map would, in order, and its totals are those of a slow count.
func TestTwin(t *testing.T) { testTwin(t, 3) }

func TestSoakTwin(t *testing.T) {
	soak(t)
	testTwin(t, 100)
}

// testTwin runs all of rapid's cases in memory, and so many on disk, where a
// case, which opens and closes several times, takes its time.
func testTwin(t *testing.T, cases int) {
	eachEngine(t, func(t *testing.T, h *home) {
		n := 0
		rapid.Check(t, func(r *rapid.T) {
			if n++; n > cases && h.o.Engine != Memory {
				return
			}
			h := &home{t: t, dir: t.TempDir(), o: h.o}
			h.o.Memory = NewMemoryDisk()
			want := make(twin)
			s := h.open()
			defer func() { s.Close() }()
			keys := rapid.SampledFrom([]string{"a", "a/", "a//", "a/b", "a/b/c", "ab", "b/..", "/b", "\x00", "a\xff", "日本"})
			r.Repeat(map[string]func(*rapid.T){
				"put": func(r *rapid.T) {
					full, clock := keys.Draw(r, "key"), rapid.IntRange(1, 9).Draw(r, "clock")
					shard, b := record(full, clock, strings.Repeat("v", clock))
					if rapid.IntRange(0, 3).Draw(r, "delete") == 0 {
						shard, b = tombstone(full, clock)
					}
					shard = banked(full, shard)
					v, _ := store.OpenRecord(b)
					o := h.apply(s, shard, b)
					if stored := want[full].version.Less(v.Version()); stored != o.Stored {
						r.Fatalf("put %q: %+v over %+v", full, o, want[full])
					} else if stored {
						want[full] = heldOf(v)
					}
				},
				"remove": func(r *rapid.T) {
					full, clock := keys.Draw(r, "key"), rapid.IntRange(1, 9).Draw(r, "clock")
					ns, key := store.SplitKey(full)
					shard, _ := record(full, 1, "")
					o, err := s.Remove(t.Context(), banked(full, shard), ns, key, version(clock))
					if is := want[full].version == version(clock); err != nil || o.Stored != is {
						r.Fatalf("remove %q: %+v, %v", full, o, err)
					} else if is {
						delete(want, full)
					}
				},
				"drop": func(r *rapid.T) {
					shard := store.ShardID(rapid.IntRange(0, twinShards-1).Draw(r, "shard"))
					if err := s.DropShard(t.Context(), shard); err != nil {
						r.Fatal(err)
					}
					maps.DeleteFunc(want, func(full string, _ held) bool {
						of, _ := record(full, 1, "")
						return banked(full, of) == shard
					})
				},
				"close": func(*rapid.T) { s.Close(); s = h.open() },
				"crash": func(*rapid.T) { s.Crash(); s = h.open() },
				"":      func(r *rapid.T) { want.check(r, s) },
			})
		})
	})
}

// twinShards are those of three banks, over which banked spreads keys.
const twinShards = 3 * testShards

func banked(full string, shard store.ShardID) store.ShardID {
	return shard.In(len(full)%3, testShards)
}

func (w twin) check(r *rapid.T, s *Store) {
	sums := make([]total, twinShards)
	keys := make([][]string, twinShards)
	for _, full := range slices.Sorted(maps.Keys(w)) {
		shard, b := record(full, 1, "")
		shard = banked(full, shard)
		v, _ := store.OpenRecord(b)
		sums[shard].replace(v, held{}, w[full])
		keys[shard] = append(keys[shard], full)
	}
	for i, want := range sums {
		shard := store.ShardID(i)
		if s.Fingerprint(shard) != want.print || s.Counts(shard) != want.counts {
			r.Fatalf("shard %d: %+v %+v, want %+v %+v", i, s.Fingerprint(shard), s.Counts(shard), want.print, want.counts)
		}
		var got []string
		for q := (Query{Limit: 2}); ; {
			p, err := s.Scan(shard, q)
			if err != nil || len(p.Entries) > 2 || p.More && len(p.Entries) == 0 {
				r.Fatalf("scan: %+v, %v", p, err)
			}
			for _, e := range p.Entries {
				if e.Version != w[e.Key].version || e.Deleted != w[e.Key].tombstone {
					r.Fatalf("scan: %+v, want %+v", e, w[e.Key])
				}
				got = append(got, e.Key)
			}
			if q.After = p.Last; !p.More {
				break
			}
		}
		if !slices.Equal(got, keys[i]) {
			r.Fatalf("shard %d holds %q, want %q", i, got, keys[i])
		}
	}
	trees := make([]store.Tree, twinShards)
	for _, full := range slices.Sorted(maps.Keys(w)) {
		shard, _ := record(full, 1, "")
		ns, key := store.SplitKey(full)
		trees[banked(full, shard)].Put(store.ItemOf([]byte(ns), []byte(key), w[full].version))
	}
	for i := range trees {
		err := s.Tree(r.Context(), store.ShardID(i), func(got *store.Tree) {
			if diff := cmp.Diff(trees[i].Node(0), got.Node(0), cmpopts.EquateEmpty()); diff != "" {
				r.Fatalf("tree of shard %d (-want +got):\n%s", i, diff)
			}
		})
		if err != nil {
			r.Fatal(err)
		}
	}
	shards, err := countAll(s.engine)
	shards.at(twinShards - 1) // it ends with the last that holds something
	if err != nil || !slices.Equal([]total(shards), sums) {
		r.Fatalf("count: %+v, %v; want %+v", shards, err, sums)
	}
}

func TestScan(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		h.o.Shards = 1
		s := h.open()
		var records [][]byte
		for _, full := range []string{"b/2", "a/1", "a/2", "a", "a/10", "c"} {
			_, b := record(full, 1, "v")
			records = append(records, b)
		}
		if _, err := s.ApplyMany(t.Context(), 0, records); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			q    Query
			want string
			more bool
		}{
			{Query{}, "a a/1 a/10 a/2 b/2 c", false},
			{Query{Prefix: "a/"}, "a/1 a/10 a/2", false},
			{Query{Prefix: "a/1"}, "a/1 a/10", false},
			{Query{After: "a/1"}, "a/10 a/2 b/2 c", false},
			{Query{After: "a/11"}, "a/2 b/2 c", false},
			{Query{Prefix: "a/", After: "a/2"}, "", false},
			{Query{Prefix: "b/", After: "a/1"}, "b/2", false},
			{Query{Limit: 2}, "a a/1", true},
			{Query{Limit: 2, After: "b/1"}, "b/2 c", false},
			{Query{Bytes: 1}, "a", true},
			{Query{Prefix: "x"}, "", false},
		} {
			p, err := s.Scan(0, c.q)
			var got []string
			for _, e := range p.Entries {
				got = append(got, e.Key)
			}
			if err != nil || strings.Join(got, " ") != c.want || p.More != c.more {
				t.Errorf("%+v: %q, more %v, %v; want %q, more %v", c.q, got, p.More, err, c.want, c.more)
			}
		}
	})
}

// More than the queue holds, and more than a group holds, is stored in order.
func TestApplyMany(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		h.o.Shards = 1
		s := h.open()
		var records [][]byte
		for i := range maxQueued + 1000 {
			_, b := record(fmt.Sprint("k/", i%1500), 1+i, "v")
			records = append(records, b)
		}
		outcomes, err := s.ApplyMany(t.Context(), 0, records)
		if err != nil || len(outcomes) != len(records) {
			t.Fatal(len(outcomes), err)
		}
		for i, o := range outcomes {
			if !o.Stored || o.Held != version(1+i) {
				t.Fatalf("record %d: %+v", i, o)
			}
		}
		checkTotals(t, s)
	})
}

func TestMeta(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		for _, name := range []string{"peer/a", "peer/b", "positions", "peer//..", "\x00"} {
			if err := s.PutMeta(t.Context(), name, []byte("of "+name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.PutMeta(t.Context(), "empty", nil); err != nil {
			t.Fatal(err)
		}
		if v, found, err := s.GetMeta("peer//.."); err != nil || !found || string(v) != "of peer//.." {
			t.Errorf("%q, %v, %v", v, found, err)
		}
		if v, found, err := s.GetMeta("empty"); err != nil || !found || len(v) != 0 {
			t.Errorf("empty: %q, %v, %v", v, found, err)
		}
		if v, found, err := s.GetMeta("none"); err != nil || found || v != nil {
			t.Errorf("none: %q, %v, %v", v, found, err)
		}
		names, err := s.ListMeta("peer/")
		if want := []string{"peer//..", "peer/a", "peer/b"}; err != nil || !slices.Equal(names, want) {
			t.Errorf("list: %q, %v; want %q", names, err, want)
		}
		if err := s.PutMeta(t.Context(), "large", make([]byte, MaxMeta+1)); err == nil {
			t.Error("a value over MaxMeta was taken")
		}
		if err := s.PutMeta(t.Context(), "large", make([]byte, MaxMeta)); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"peer/a", "none"} {
			if err := s.DropMeta(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
		if _, found, err := s.GetMeta("peer/a"); err != nil || found {
			t.Errorf("dropped: %v, %v", found, err)
		}
		if names, err = s.ListMeta("peer/"); err != nil || len(names) != 2 {
			t.Errorf("list after a drop: %q, %v", names, err)
		}
	})
}

// The largest record fits a transaction, alone and beside others.
func TestLargest(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		var tickets []Ticket
		for i := range 5 {
			r := store.Record{
				Namespace: "ns", Key: strings.Repeat("k", store.MaxKey-4) + fmt.Sprint(i), Version: version(1),
				Owner: make([]byte, store.MaxOwner), Value: make([]byte, store.MaxValue),
			}
			r.Position = store.Route(r.Namespace, r.Key)
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			ticket, err := s.Queue(store.Shard(r.Position, testShards), r.AppendTo(nil))
			if err != nil {
				t.Fatal(err)
			}
			tickets = append(tickets, ticket)
		}
		for _, ticket := range tickets {
			if o, err := ticket.Wait(t.Context()); err != nil || !o.Stored {
				t.Fatalf("%+v, %v", o, err)
			}
		}
		checkTotals(t, s)
	})
}

// What is not a record of that shard is refused before it is queued.
func TestRefused(t *testing.T) {
	h := &home{t: t, o: Options{Engine: Memory, Shards: testShards}}
	s := h.open()
	shard, b := record("k", 1, "v")
	if _, err := s.Apply(t.Context(), shard+1, b); err == nil {
		t.Error("a record of another shard was stored")
	}
	if _, err := s.Apply(t.Context(), shard, b[:len(b)-1]); err == nil {
		t.Error("half a record was stored")
	}
	b[len(b)-1] ^= 1
	if _, err := s.Apply(t.Context(), shard, b); err == nil {
		t.Error("a record with a wrong checksum was stored")
	}
	if err := s.SaveRegister(t.Context(), (store.MaxN+1)*testShards, nil); err == nil {
		t.Error("a register of no shard was saved")
	}
	for _, o := range []Options{{Engine: Memory, Shards: 3}, {Engine: Memory, Quota: -1}} {
		if _, err := Open(t.Context(), "", o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
