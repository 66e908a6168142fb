package overlay

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
)

// An outbox whose peer takes nothing is full some day, and says so.
func TestOutboxBound(t *testing.T) {
	n := new(Node)
	n.group.close() // nothing is sent
	o := newOutboxes(n)
	to := store.Voter{Peer: "b", Incarnation: 1}
	o.to[to.Peer] = &outbox{peer: to.Peer, senders: maxSenders} // who do not come back
	for i := range maxOutbox {
		if err := o.send(to, 0, goesBy{}, []byte("record"), slot[store.WriteReply]{}); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
	if err := o.send(to, 0, goesBy{}, []byte("record"), slot[store.WriteReply]{}); !errors.Is(err, errOutboxFull) {
		t.Fatalf("one more: %v", err)
	}
	if err := o.send(store.Voter{Peer: "c"}, 0, goesBy{}, nil, slot[store.WriteReply]{}); !errors.Is(err, ErrClosed) {
		t.Fatal("a peer's full outbox stands in another's way")
	}
}

// Writes that are made at the same time share calls, and outboxes go when they
// are empty.
func TestOutboxGathers(t *testing.T) {
	first := joinTest(t, nil, Config{})
	second := joinTest(t, first, Config{})
	soon(t, "two replicas", func() error { return alike([]*Node{first, second}, 2) })
	const callers, each = 64, 8
	before := first.host.Stats().Calls
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				r, err := first.Put(t.Context(), fmt.Sprintf("k/%d/%d", c, i), []byte("v"))
				if err != nil || len(r.Acks) < r.W {
					t.Errorf("%+v, %v", r, err)
				}
			}
		})
	}
	wg.Wait()
	if calls := first.host.Stats().Calls - before; calls > callers*each/2 {
		t.Errorf("%d calls for %d writes", calls, callers*each)
	}
	soon(t, "empty outboxes", func() error {
		first.outboxes.mu.Lock()
		defer first.outboxes.mu.Unlock()
		if n := len(first.outboxes.to); n > 0 {
			return fmt.Errorf("%d outboxes", n)
		}
		return nil
	})
}

// Each of several writes has an answer of its own.
func TestWritesApart(t *testing.T) {
	n := joinTest(t, nil, Config{})
	record := func(key string) (store.ShardID, []byte) {
		r := store.Record{Key: key, Position: store.Route("", key), Value: []byte("v")}
		if err := n.stamp(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		return store.Shard(r.Position, n.ring.Shards), r.AppendTo(nil)
	}
	write := func(key string) wire.Write {
		shard, b := record(key)
		return wire.Write{
			Shard: shard, Epoch: n.shards.config(shard).Epoch,
			Request: store.WriteRequest{Target: store.Target{Incarnation: n.self.Incarnation}, Record: b},
		}
	}
	good, again := write("a"), write("b")
	damaged, stranger, behind, elsewhere := write("c"), write("d"), write("e"), write("f")
	damaged.Request.Record[len(damaged.Request.Record)-1] ^= 1
	stranger.Request.Incarnation++
	behind.Epoch++
	elsewhere.Shard = store.ShardID((store.MaxN + 1) * n.ring.Shards)
	got := n.replica.writes(t.Context(), []wire.Write{good, damaged, stranger, behind, elsewhere, again})
	for i, want := range []struct {
		status store.Status
		fails  bool
	}{
		{status: store.StatusOK},
		{fails: true},
		{status: store.StatusNotMember},
		{status: store.StatusBehind},
		{fails: true},
		{status: store.StatusOK},
	} {
		if (got[i].Err != nil) != want.fails || got[i].Reply.Status != want.status {
			t.Errorf("write %d: %+v, want %+v", i, got[i], want)
		}
	}
	for _, key := range []string{"a", "b"} {
		if r, err := n.Get(t.Context(), key); err != nil || string(r.Value) != "v" {
			t.Errorf("get %s: %+v, %v", key, r, err)
		}
	}
	for id := range n.shards.all() {
		if g := &n.shards.at(id).gate; g.now != 0 || g.former != 0 {
			t.Errorf("shard %d: writes left over: %+v", id, g)
		}
	}
}
