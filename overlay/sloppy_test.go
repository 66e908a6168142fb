package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// seatsOfKey returns the peers that are voters of a key, and the others.
func seatsOfKey(nodes []*Node, key string) (voters, others []*Node) {
	ns, name := store.SplitKey(key)
	c := newestConfig(nodes, store.Shard(store.Route(ns, name), nodes[0].ring.Shards))
	for _, n := range nodes {
		if c.IsVoter(n.self) {
			voters = append(voters, n)
		} else {
			others = append(others, n)
		}
	}
	return voters, others
}

// While most replicas of a key are away it can be written sloppily: other peers keep
// the record, no read finds it, and the replicas have it once they are back.
func TestSloppy(t *testing.T) {
	cfg := Config{ReplaceAfter: time.Hour, RepairEvery: time.Hour}
	var nodes []*Node
	homes := make(map[chord.PeerID]Config)
	for range 5 {
		c := cfg
		c.Home = t.TempDir()
		var contact *Node
		if len(nodes) > 0 {
			contact = nodes[0]
		}
		n := joinTest(t, contact, c)
		nodes, homes[n.self.Peer] = append(nodes, n), c
	}
	soon(t, "seats", func() error { return alike(nodes, 3) })
	voters, others := seatsOfKey(nodes, "k")
	by := others[0]
	// Whoever takes too long to answer is out of reach for a sloppy put.
	soon(t, "while all are there", func() error {
		r, err := by.Put(t.Context(), "k", []byte("before"), WithW(Sloppy))
		if err != nil || len(r.Hints) != 0 || len(r.Acks) < 2 {
			return fmt.Errorf("%+v, %w", r, err)
		}
		return nil
	})
	voters[1].Kill()
	voters[2].Kill()
	if _, err := by.Put(t.Context(), "k", []byte("strict")); !errors.Is(err, ErrQuorum) {
		t.Errorf("a strict put without a quorum: %v", err)
	}
	var r Receipt
	soon(t, "a sloppy put", func() (err error) { // once it is known who is there
		r, err = by.Put(t.Context(), "k", []byte("sloppy"), WithW(Sloppy))
		return err
	})
	if len(r.Hints) == 0 || len(r.Acks)+len(r.Hints) != 2 || r.W != 2 || r.N != 3 {
		t.Errorf("receipt %+v", r)
	}
	for _, ack := range r.Acks {
		if ack.Peer != voters[0].ID() {
			t.Errorf("a dead peer acknowledged: %+v", r)
		}
	}
	for _, keeper := range r.Hints {
		if keeper != others[0].ID() && keeper != others[1].ID() {
			t.Errorf("a replica keeps a hint: %+v", r)
		}
	}
	if _, err := by.Get(t.Context(), "k"); !errors.Is(err, ErrQuorum) {
		t.Errorf("a get without a quorum: %v", err)
	}
	kept := func() (n int) {
		for _, o := range others {
			s, err := o.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n += s.Hints
		}
		return n
	}
	if kept() < 1 {
		t.Error("no status tells of a hint")
	}
	if _, err := by.PutStream(t.Context(), "k", bytes.NewReader(make([]byte, store.MaxValue+1)), WithW(Sloppy)); !isUsage(err) {
		t.Errorf("a large value: %v", err)
	}

	for _, v := range voters[1:] {
		joinTest(t, by, homes[v.self.Peer])
	}
	soon(t, "handed over", func() error {
		if n := kept(); n > 0 {
			return fmt.Errorf("%d are kept", n)
		}
		return nil
	})
	soon(t, "all are back", func() error {
		rec, err := by.Get(t.Context(), "k")
		if err == nil && string(rec.Value) != "sloppy" {
			t.Fatalf("read %q", rec.Value)
		}
		return err
	})
}

// A hint of what was deleted, and the delete forgotten, is refused by those it is
// handed to, and dropped; so is one that nobody took in time.
func TestHintsEnd(t *testing.T) {
	cfg := Config{RepairEvery: time.Second, ReclaimAfter: 300 * time.Millisecond, Home: t.TempDir()}
	n := joinTest(t, nil, cfg)
	put := func(key string) (store.ShardID, []byte) {
		t.Helper()
		r, err := n.Put(t.Context(), key, []byte("v"))
		if err != nil {
			t.Fatal(err)
		}
		version, err := store.ParseVersion(r.Version)
		if err != nil {
			t.Fatal(err)
		}
		rec := store.Record{Key: key, Position: store.Route("", key), Version: version, Value: []byte("v")}
		return store.Shard(rec.Position, n.ring.Shards), rec.AppendTo(nil)
	}
	shard, record := put("deleted")
	if _, err := n.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	gone(t, "the delete is forgotten", 0, n)
	if err := n.hints.keep(t.Context(), shard, record); err != nil {
		t.Fatal(err)
	}
	n.hints.kick()
	soon(t, "refused or too old", func() error {
		if n.hints.count() > 0 || n.hints.refused.Load()+n.hints.expired.Load() != 1 {
			return fmt.Errorf("%d kept, %d refused, %d too old", n.hints.count(), n.hints.refused.Load(), n.hints.expired.Load())
		}
		return nil
	})
	if _, err := n.Get(t.Context(), "deleted"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a hint brought back what was deleted: %v", err)
	}
	stored, err := n.hints.write(t.Context(), shard, record, mustOpen(t, record).Version())
	if err != nil || stored {
		t.Errorf("a write below the horizon: stored %v, %v", stored, err)
	}
	if names, err := n.disk.ListMeta(hintPrefix); err != nil || len(names) != 0 {
		t.Errorf("on disk are %q, %v", names, err)
	}
}

func isUsage(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Code == client.CodeUsage
}

func mustOpen(t *testing.T, record []byte) store.View {
	t.Helper()
	v, err := store.OpenRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What other peers ask to be kept is checked and bounded, and found again after a
// restart.
func TestHintsKeep(t *testing.T) {
	n := joinTest(t, nil, Config{})
	h, err := loadHints(n) // beside that of n, which hands over what it has
	if err != nil {
		t.Fatal(err)
	}
	record := func(key string, at time.Time) (store.ShardID, []byte) {
		ns, name := store.SplitKey(key)
		rec := store.Record{Namespace: ns, Key: name, Position: store.Route(ns, name), Version: store.Version{Clock: store.ClockAt(at), Writer: 7}, Value: []byte(key)}
		return store.Shard(rec.Position, n.ring.Shards), rec.AppendTo(nil)
	}
	now := time.Now()
	keep := func(key string, at time.Time) error {
		shard, b := record(key, at)
		return h.keep(t.Context(), shard, b)
	}
	for range 2 { // the second is the first
		if err := keep("k", now); err != nil || h.count() != 1 {
			t.Fatalf("%d kept, %v", h.count(), err)
		}
	}
	if err := keep("k", now.Add(time.Second)); err != nil || h.count() != 2 {
		t.Errorf("another version: %d kept, %v", h.count(), err)
	}
	if err := keep("k", now.Add(10*365*24*time.Hour)); !errors.Is(err, store.ErrSkew) {
		t.Errorf("of a clock that is years ahead: %v", err)
	}
	if err := keep("_ns/k", now); err == nil {
		t.Error("of the system: no error")
	}
	shard, b := record("k", now)
	if err := h.keep(t.Context(), (shard+1)%store.ShardID(n.ring.Shards), b); !errors.Is(err, errNoShard) {
		t.Errorf("of another shard: %v", err)
	}
	if err := h.keep(t.Context(), shard, b[:len(b)-1]); err == nil {
		t.Error("a damaged record: no error")
	}
	if again, err := loadHints(n); err != nil || again.count() != 2 || again.bytes != h.bytes {
		t.Errorf("after a restart: %d, %v", again.count(), err)
	}

	h.bytes += maxHintBytes
	if err := keep("l", now); !errors.Is(err, errHintsFull) {
		t.Errorf("beyond the bytes that it may keep: %v", err)
	}
	h.bytes -= maxHintBytes
	for i := range maxHints - 2 {
		h.kept[fmt.Sprint(i)] = 1
	}
	if err := keep("l", now); !errors.Is(err, errHintsFull) {
		t.Errorf("beyond the number that it may keep: %v", err)
	}
	for i := range maxHints - 2 {
		delete(h.kept, fmt.Sprint(i))
	}
	h.handAll(context.Background())
	if h.count() != 0 || h.handed.Load() != 2 {
		t.Errorf("%d kept, %d handed over", h.count(), h.handed.Load())
	}
	if rec, err := n.Get(t.Context(), "k"); err != nil || string(rec.Value) != "k" {
		t.Errorf("handed over: %q, %v", rec.Value, err)
	}
	if _, err := n.Get(t.Context(), "k", WithR(Sloppy)); !isUsage(err) {
		t.Errorf("a sloppy get: %v", err)
	}
	if _, err := n.SetNamespace(t.Context(), Namespace{Name: "a", W: Sloppy}); !isUsage(err) {
		t.Errorf("a namespace whose puts are sloppy: %v", err)
	}
}
