package disk

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/chorus-net/chorus/store"
)

// askCAS has a register answer a request.
func (h *home) askCAS(s *Store, q store.CASRequest) (store.CASReply, error) {
	h.t.Helper()
	ticket, err := s.QueueCAS(store.Shard(store.Route(q.Namespace, q.Key), testShards), &q)
	if err != nil {
		h.t.Fatal(err)
	}
	return ticket.Wait(h.t.Context())
}

// ballot returns one of few, so that they meet.
func ballot(r *rapid.T) store.CASBallot {
	return store.CASBallot{
		Epoch:  uint64(rapid.IntRange(1, 2).Draw(r, "epoch")),
		Ballot: store.Ballot{Counter: uint64(rapid.IntRange(1, 3).Draw(r, "counter")), Proposer: uint64(rapid.IntRange(1, 2).Draw(r, "proposer"))},
	}
}

// stateOf is the only state that is proposed at a ballot.
func stateOf(b store.CASBallot) store.CASState {
	return store.CASState{Version: b.Counter, Dot: store.Dot{Actor: b.Proposer, Counter: b.Epoch<<8 | b.Counter}, Value: []byte{byte(b.Epoch), byte(b.Counter)}}
}

// Whatever is asked of registers, merged into them, closed and crashed, they answer as
// registers in a map would, and what they accepted are records like others.
func TestCASTwin(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		n := 0
		rapid.Check(t, func(r *rapid.T) {
			if n++; n > 3 && h.o.Engine != Memory {
				return
			}
			h := &home{t: t, dir: t.TempDir(), o: h.o}
			h.o.Memory = NewMemoryDisk()
			s := h.open()
			defer func() { s.Close() }()
			want := make(map[string]*store.Register)
			keys := []string{"a", "b/c", "x/"}
			draw := func(r *rapid.T) (string, *store.Register) {
				key := rapid.SampledFrom(keys).Draw(r, "key")
				if want[key] == nil {
					want[key] = new(store.Register)
				}
				return key, want[key]
			}
			ask := func(accept bool) func(*rapid.T) {
				return func(r *rapid.T) {
					key, reg := draw(r)
					q := store.CASRequest{Namespace: store.RegisterNamespace, Key: key, Ballot: ballot(r), Accept: accept}
					if accept {
						q.State = stateOf(q.Ballot)
					}
					wanted, _, _ := reg.Step(&q)
					got, err := h.askCAS(s, q)
					if diff := cmp.Diff(wanted, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
						r.Fatalf("%q at %+v: %v\n%s", key, q.Ballot, err, diff)
					}
				}
			}
			r.Repeat(map[string]func(*rapid.T){
				"prepare": ask(false),
				"accept":  ask(true),
				"merge": func(r *rapid.T) {
					key, reg := draw(r)
					b := ballot(r)
					o := store.Register{Promised: b, Accepted: b, State: stateOf(b)}
					rec := o.Record(key)
					h.apply(s, store.Shard(rec.Position, testShards), rec.AppendTo(nil))
					reg.Merge(o)
				},
				"close": func(*rapid.T) { s.Close(); s = h.open() },
				"crash": func(*rapid.T) { s.Crash(); s = h.open() },
				"": func(r *rapid.T) {
					for key, reg := range want {
						rec, found, err := s.Get(store.Shard(store.Route(store.RegisterNamespace, key), testShards), store.RegisterNamespace, key)
						if err != nil || found == reg.Accepted.IsZero() || found && rec.Version != reg.Accepted.Version() {
							r.Fatalf("record of %q: %+v, %t, %v; want %+v", key, rec, found, err, reg)
						}
					}
				},
			})
		})
	})
}

// A request that carries a second state at one ballot fails and changes nothing, and
// the promises of a shard go with its records.
func TestCASRefusesAndDrops(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		defer s.Close()
		b := store.CASBallot{Epoch: 1, Ballot: store.Ballot{Counter: 2, Proposer: 1}}
		q := store.CASRequest{Namespace: store.RegisterNamespace, Key: "k", Ballot: b, Accept: true, State: stateOf(b)}
		if r, err := h.askCAS(s, q); err != nil || r.Status != store.StatusOK {
			t.Fatalf("accept: %+v, %v", r, err)
		}
		q.State.Dot.Counter++
		if _, err := h.askCAS(s, q); err == nil {
			t.Error("a ballot was accepted with two states")
		}
		prepare := store.CASRequest{Namespace: store.RegisterNamespace, Key: "k", Ballot: b}
		prepare.Ballot.Counter = 9
		if r, err := h.askCAS(s, prepare); err != nil || r.State.Version != 2 {
			t.Fatalf("prepare: %+v, %v", r, err)
		}
		shard := store.Shard(store.Route(q.Namespace, q.Key), testShards)
		if err := s.DropShard(t.Context(), shard); err != nil {
			t.Fatal(err)
		}
		prepare.Ballot.Counter = 1
		if r, err := h.askCAS(s, prepare); err != nil || r.Status != store.StatusOK || r.State.Version != 0 {
			t.Errorf("prepare after the shard was dropped: %+v, %v", r, err)
		}
		if _, err := s.QueueCAS((shard+1)%testShards, &q); err == nil {
			t.Error("a register came to another shard")
		}
	})
}

// A register whose record is damaged answers nothing: it may have accepted what it
// cannot tell any more.
func TestCASDamaged(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		defer s.Close()
		b := store.CASBallot{Epoch: 1, Ballot: store.Ballot{Counter: 1, Proposer: 1}}
		o := store.Register{Promised: b, Accepted: b, State: stateOf(b)}
		rec := o.Record("k")
		encoded := rec.AppendTo(nil)
		shard := store.Shard(rec.Position, testShards)
		encoded[len(encoded)-1] ^= 1
		if err := s.engine.commit([]op{{recordKey(shard, rec.Namespace, rec.Key), encoded}}); err != nil {
			t.Fatal(err)
		}
		b.Counter = 2
		if _, err := h.askCAS(s, store.CASRequest{Namespace: store.RegisterNamespace, Key: "k", Ballot: b}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a damaged register answered: %v", err)
		}
	})
}
