package overlay

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
)

// A peer whose clock was ten years ahead when it wrote is alone with that, whichever
// way it goes: others neither take its records nor give way to them.
func TestClockFarAhead(t *testing.T) {
	nodes := trio(t, Config{RepairEvery: time.Hour})
	bad, good, third := nodes[0], nodes[1], nodes[2]
	future := store.Version{Clock: store.ClockAt(time.Now().AddDate(10, 0, 0)), Writer: bad.self.Incarnation}
	plant := func(ns, key string, value []byte) (store.ShardID, []byte) {
		t.Helper()
		rec := store.Record{Namespace: ns, Key: key, Position: store.Route(ns, key), Version: future, Value: value}
		shard, b := store.Shard(rec.Position, bad.ring.Shards), rec.AppendTo(nil)
		if _, err := bad.disk.Apply(t.Context(), shard, b); err != nil {
			t.Fatal(err)
		}
		return shard, b
	}
	value := noise(7, 3*chunk.Size)
	shard, record := plant("", "k", []byte("of the future"))
	for at := 0; at < len(value); at += chunk.Size {
		part := value[at : at+chunk.Size]
		plant(chunkSpace, chunkName("large", sha256.Sum256(part)), part)
	}
	c := good.shards.config(shard)

	for _, repair := range []bool{false, true} {
		req := store.WriteRequest{Target: store.Target{Incarnation: good.self.Incarnation}, Repair: repair, Record: record}
		if r, err := good.replica.write(t.Context(), shard, c.Epoch, req); err != nil || r.Status != store.StatusSkewed {
			t.Errorf("write, repair %v: %+v, %v", repair, r, err)
		}
		results := good.replica.writes(t.Context(), []wire.Write{{Shard: shard, Epoch: c.Epoch, Request: req}})
		if r := results[0]; r.Err != nil || r.Reply.Status != store.StatusSkewed {
			t.Errorf("one of many writes, repair %v: %+v", repair, r)
		}
	}
	if err := good.hints.keep(t.Context(), shard, record); err == nil {
		t.Error("a hint is kept")
	}
	if err := good.puller.repair(t.Context(), sourceOf(shard, c, bad.self)); err != nil {
		t.Error(err)
	}
	for _, by := range nodes {
		if _, err := by.Put(t.Context(), "k", []byte("of "+by.Name())); err != nil {
			t.Errorf("put at %s: %v", by.Name(), err)
		}
		for _, reader := range nodes {
			if rec, err := reader.Get(t.Context(), "k"); err != nil || string(rec.Value) != "of "+by.Name() {
				t.Errorf("get at %s: %q, %v", reader.Name(), rec.Value, err)
			}
		}
	}

	// Chunks of that clock must not pass for young ones for ten years.
	r, err := third.PutStream(t.Context(), "large", bytes.NewReader(value))
	if err != nil || r.Reused != 0 {
		t.Fatalf("put of a large value: %+v, %v", r, err)
	}
	s, err := good.GetStream(t.Context(), "large")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, value) {
		t.Errorf("%d bytes read, %v", len(got), err)
	}
	for _, n := range []*Node{good, third} {
		for _, key := range []string{"k", chunkSpace + "/" + chunkName("large", sha256.Sum256(value[:chunk.Size]))} {
			ns, name := store.SplitKey(key)
			rec, found, err := n.disk.Get(store.Shard(store.Route(ns, name), n.ring.Shards), ns, name)
			if err != nil || found && rec.Version == future {
				t.Errorf("%s holds %.40s of the future: %v", n.Name(), key, err)
			}
		}
	}
}
