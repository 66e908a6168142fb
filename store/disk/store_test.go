package disk

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"

	ds "github.com/ipfs/go-datastore"
	dstest "github.com/ipfs/go-datastore/test"

	"github.com/chorus-net/chorus/store"
)

const testShards = 16

// eachEngine runs a test for all engines: they are one suite's.
func eachEngine(t *testing.T, test func(t *testing.T, d *home)) {
	for _, e := range []Engine{Badger4, Badger, Memory} {
		t.Run(string(e), func(t *testing.T) {
			test(t, &home{t: t, dir: t.TempDir(), o: Options{Engine: e, Shards: testShards, Memory: NewMemoryDisk()}})
		})
	}
}

// home is where a test's store lives, and how it is opened.
type home struct {
	t   testing.TB
	dir string
	o   Options
}

func (h *home) open() *Store {
	h.t.Helper()
	s, err := Open(h.t.Context(), h.dir, h.o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { s.Close() })
	return s
}

func version(clock int) store.Version { return store.Version{Clock: uint64(clock), Writer: 7} }

// record makes a record of a key at its place.
func record(full string, clock int, value string) (store.ShardID, []byte) {
	ns, key := store.SplitKey(full)
	r := store.Record{
		Namespace: ns, Key: key, Position: store.Route(ns, key),
		Version: version(clock), Dot: store.Dot{Actor: 7, Counter: uint64(clock)}, Value: []byte(value),
	}
	return store.Shard(r.Position, testShards), r.AppendTo(nil)
}

func tombstone(full string, clock int) (store.ShardID, []byte) {
	ns, key := store.SplitKey(full)
	r := store.Record{Namespace: ns, Key: key, Position: store.Route(ns, key), Version: version(clock), Tombstone: true}
	return store.Shard(r.Position, testShards), r.AppendTo(nil)
}

func (h *home) apply(s *Store, shard store.ShardID, b []byte) Outcome {
	h.t.Helper()
	o, err := s.Apply(h.t.Context(), shard, b)
	if err != nil {
		h.t.Fatal(err)
	}
	return o
}

func (h *home) want(s *Store, full, value string) {
	h.t.Helper()
	ns, key := store.SplitKey(full)
	r, found, err := s.Get(store.Shard(store.Route(ns, key), testShards), ns, key)
	if err != nil || !found || string(r.Value) != value {
		h.t.Fatalf("get %s: %q, %v, %v; want %q", full, r.Value, found, err, value)
	}
}

// Most of go-datastore's suite is a test of all combinations of a query's parts,
// which takes a minute an engine.
func TestDatastore(t *testing.T) {
	all := dstest.BasicSubtests
	defer func() { dstest.BasicSubtests = all }()
	dstest.BasicSubtests = slices.DeleteFunc(slices.Clone(all), func(f func(*testing.T, ds.Datastore)) bool {
		return reflect.ValueOf(f).Pointer() == reflect.ValueOf(dstest.SubtestCombinations).Pointer()
	})
	testDatastore(t)
}

func TestSoakDatastore(t *testing.T) {
	soak(t)
	testDatastore(t)
}

func soak(t *testing.T) {
	if os.Getenv("CHORUS_SOAK") == "" {
		t.Skip("takes minutes: set CHORUS_SOAK")
	}
}

func testDatastore(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		h.o.NoSync = true // thousands of single writes, of which none is to be kept
		e, err := openEngine(h.dir, h.o.withDefaults(), true)
		if err != nil {
			t.Fatal(err)
		}
		dstest.SubtestAll(t, e)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLastWriterWins(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		shard, two := record("a/k", 2, "two")
		if o := h.apply(s, shard, two); !o.Stored || o.Held != version(2) {
			t.Fatalf("first write: %+v", o)
		}
		if o := h.apply(s, shard, two); o.Stored || o.Held != version(2) || o.Superseded(version(2)) {
			t.Fatalf("same write again: %+v", o)
		}
		_, one := record("a/k", 1, "one")
		if o := h.apply(s, shard, one); o.Stored || o.Held != version(2) || !o.Superseded(version(1)) {
			t.Fatalf("older write: %+v", o)
		}
		h.want(s, "a/k", "two")
		_, three := record("a/k", 3, "three")
		if o := h.apply(s, shard, three); !o.Stored || o.Held != version(3) {
			t.Fatalf("newer write: %+v", o)
		}
		h.want(s, "a/k", "three")
		_, gone := tombstone("a/k", 4)
		h.apply(s, shard, gone)
		if r, found, err := s.Get(shard, "a", "k"); err != nil || !found || !r.Tombstone {
			t.Fatalf("get of a deleted key: %+v, %v, %v", r, found, err)
		}
	})
}

// Records of one group are compared with each other: a queue that is filled
// while the disk is busy is one group.
func TestOneGroup(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		clocks := []int{5, 3, 9, 1, 9, 7}
		var tickets []Ticket
		for _, c := range clocks {
			shard, b := record("k", c, fmt.Sprint(c))
			ticket, err := s.Queue(shard, b)
			if err != nil {
				t.Fatal(err)
			}
			tickets = append(tickets, ticket)
		}
		newest := 0
		for i, c := range clocks {
			o, err := tickets[i].Wait(t.Context())
			if err != nil || o.Stored != (c > newest) || o.Held != version(max(c, newest)) {
				t.Fatalf("write %d after %d: %+v, %v", c, newest, o, err)
			}
			newest = max(c, newest)
		}
		h.want(s, "k", "9")
		if c := s.Totals(); c.Live != 1 {
			t.Fatalf("totals %+v", c)
		}
	})
}

func TestManyCallers(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		var wg sync.WaitGroup
		for caller := range 16 {
			wg.Go(func() {
				for i := range 20 {
					shard, b := record(fmt.Sprintf("c/%d/%d", caller, i), 1, "v")
					if _, err := s.Apply(t.Context(), shard, b); err != nil {
						t.Error(err)
					}
					if _, found, err := s.Get(shard, "c", fmt.Sprintf("%d/%d", caller, i)); err != nil || !found {
						t.Errorf("own write not read: %v, %v", found, err)
					}
				}
			})
		}
		wg.Wait()
		if c := s.Totals(); c.Live != 320 {
			t.Fatalf("totals %+v", c)
		}
	})
}

func TestReopen(t *testing.T) {
	for _, how := range []string{"close", "crash"} {
		t.Run(how, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, h *home) {
				s := h.open()
				for i := range 100 {
					shard, b := record(fmt.Sprintf("k/%d", i), 1, fmt.Sprint(i))
					h.apply(s, shard, b)
				}
				shard, b := tombstone("k/5", 2)
				h.apply(s, shard, b)
				if err := s.SaveRegister(t.Context(), 3, []byte("three")); err != nil {
					t.Fatal(err)
				}
				if err := s.PutMeta(t.Context(), "identity", []byte("me")); err != nil {
					t.Fatal(err)
				}
				totals, print, life := s.Totals(), s.Fingerprint(shard), s.Incarnation()
				if how == "crash" {
					s.Crash()
					if _, err := s.Apply(t.Context(), shard, b); !errors.Is(err, ErrClosed) {
						t.Fatalf("apply after crash: %v", err)
					}
				} else if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if _, _, err := s.Get(shard, "k", "5"); !errors.Is(err, ErrClosed) {
					t.Fatalf("get after %s: %v", how, err)
				}
				s = h.open()
				if s.Totals() != totals || s.Fingerprint(shard) != print || s.Incarnation() != life {
					t.Fatalf("was %+v %+v %x, is %+v %+v %x",
						totals, print, life, s.Totals(), s.Fingerprint(shard), s.Incarnation())
				}
				h.want(s, "k/99", "99")
				regs, err := s.LoadRegisters()
				if err != nil || len(regs) != 1 || regs[0].Shard != 3 || string(regs[0].State) != "three" {
					t.Fatalf("registers %+v, %v", regs, err)
				}
				if v, found, err := s.GetMeta("identity"); err != nil || !found || string(v) != "me" {
					t.Fatalf("meta %q, %v, %v", v, found, err)
				}
			})
		})
	}
}
