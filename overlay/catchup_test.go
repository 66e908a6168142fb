package overlay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/store"
)

// A catch-up that was cut off goes on where it was, and sends nothing again.
func TestCatchUpResumes(t *testing.T) {
	cfg := Config{RepairEvery: time.Hour}
	first := joinTest(t, nil, cfg)
	second := joinTest(t, first, cfg)
	soon(t, "two voters", func() error { return alike([]*Node{first, second}, 2) })

	// Some pages of versions, for their keys are long, and beyond two thirds of them a
	// record that nobody takes.
	const shard, keys, bad = 0, 900, 600
	var records [][]byte
	var names []string
	for i := 0; len(records) < keys; i++ {
		r := store.Record{Namespace: "k", Key: fmt.Sprintf("%06d-%s", i, strings.Repeat("k", 900)), Value: []byte("v")}
		r.Version = store.Version{Clock: uint64(time.Now().UnixMilli()) << 16, Writer: 1}
		r.Position = store.Route(r.Namespace, r.Key)
		if store.Shard(r.Position, first.ring.Shards) != shard {
			continue
		}
		if len(records) == bad {
			r.Class = store.ClassPaxos
		}
		records, names = append(records, r.AppendTo(nil)), append(names, r.Key)
	}
	if _, err := first.disk.ApplyMany(t.Context(), shard, records); err != nil {
		t.Fatal(err)
	}

	p, c := second.puller, second.shards.config(shard)
	catch := newCatch(c)
	run := func() (synced bool, meta uint64) {
		catch.running, catch.done = true, make(chan struct{})
		before := p.stats.meta.Load()
		p.catchFrom(shard, c, catch)
		return slices.Contains(catch.from, first.self), p.stats.meta.Load() - before
	}
	synced, whole := run()
	if synced || catch.reached[first.self] == "" {
		t.Fatalf("synchronised: %t, up to %q: the first run was to be cut off", synced, catch.reached[first.self])
	}
	if _, again := run(); again > whole/2 { // up to the same record
		t.Errorf("cut off again, after %d bytes of metadata: it took %d the first time", again, whole)
	}
	fix := store.Record{Namespace: "k", Key: names[bad], Version: store.Version{Clock: uint64(time.Now().UnixMilli())<<16 + 1, Writer: 1}}
	fix.Position = store.Route(fix.Namespace, fix.Key)
	if _, err := first.disk.Apply(t.Context(), shard, fix.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	synced, _ = run()
	if a, b := first.disk.Fingerprint(shard), second.disk.Fingerprint(shard); !synced || a != b {
		t.Errorf("synchronised: %t, fingerprints %v and %v", synced, a, b)
	}
}
