package overlay

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chorus-net/chorus/store"
)

// A register changes by one version at a time, at any peer; a conflict tells what is
// there; it moves with its shard, and nothing else shows it.
func TestCompareAndSwap(t *testing.T) {
	cfg := Config{RepairEvery: time.Hour, ReplaceAfter: time.Second}
	nodes := []*Node{joinTest(t, nil, cfg)}
	nodes = append(nodes, joinTest(t, nodes[0], cfg))
	ctx := t.Context()
	is := func(reg Register, version uint64, value string) bool {
		return reg.Key == "ns/leader" && reg.Version == version && string(reg.Value) == value
	}

	if reg, err := nodes[0].ReadRegister(ctx, "ns/leader"); err != nil || !is(reg, 0, "") {
		t.Fatalf("read before it was set: %+v, %v", reg, err)
	}
	if reg, err := nodes[1].CompareAndSwap(ctx, "ns/leader", 0, []byte("anna")); err != nil || !is(reg, 1, "anna") {
		t.Fatalf("first swap: %+v, %v", reg, err)
	}
	if reg, err := nodes[0].CompareAndSwap(ctx, "ns/leader", 0, []byte("bert")); !errors.Is(err, ErrConflict) || !is(reg, 1, "anna") {
		t.Fatalf("swap of an old version: %+v, %v", reg, err)
	}
	if reg, err := nodes[0].CompareAndSwap(ctx, "ns/leader", 1, nil); err != nil || !is(reg, 2, "") {
		t.Fatalf("swap to nothing: %+v, %v", reg, err)
	}
	if _, err := nodes[0].Get(ctx, "ns/leader"); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of a register: %v", err)
	}
	if keys, err := nodes[0].List(ctx, "", "", 0); err != nil || len(keys) != 0 {
		t.Errorf("a register is listed: %q, %v", keys, err)
	}

	nodes = append(nodes, joinTest(t, nodes[0], cfg), joinTest(t, nodes[1], cfg))
	soon(t, "four peers", func() error { return alike(nodes, 3) })
	for _, n := range nodes {
		if reg, err := n.ReadRegister(ctx, "ns/leader"); err != nil || !is(reg, 2, "") {
			t.Errorf("read at %s: %+v, %v", n.Name(), reg, err)
		}
	}
}

// Of many peers that swap at once each gets through, and every version was made once.
func TestCompareAndSwapContended(t *testing.T) {
	nodes := []*Node{joinTest(t, nil, Config{})}
	for range 2 {
		nodes = append(nodes, joinTest(t, nodes[0], Config{}))
	}
	const each = 10
	var wg sync.WaitGroup
	for _, n := range nodes {
		for range 2 {
			wg.Go(func() {
				for done := 0; done < each; {
					reg, err := n.ReadRegister(t.Context(), "counter")
					if err == nil {
						_, err = n.CompareAndSwap(t.Context(), "counter", reg.Version, append(reg.Value, '+'))
					}
					switch {
					case err == nil:
						done++
					case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrQuorum):
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	reg, err := nodes[0].ReadRegister(t.Context(), "counter")
	// A swap of unknown outcome was made again, and may count twice.
	if err != nil || reg.Version < 6*each || uint64(len(reg.Value)) != reg.Version {
		t.Errorf("%d swaps made version %d, %d bytes, %v", 6*each, reg.Version, len(reg.Value), err)
	}
}

func TestCompareAndSwapRefuses(t *testing.T) {
	n := joinTest(t, nil, Config{})
	if _, err := n.CompareAndSwap(t.Context(), "k", 0, make([]byte, store.MaxRegister+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a value too large: %v", err)
	}
	if _, err := n.CompareAndSwap(t.Context(), "k", 0, bytes.Repeat([]byte("v"), store.MaxRegister)); err != nil {
		t.Errorf("the largest value: %v", err)
	}
	for key, code := range map[string]string{
		"": "bad-key", "_cas/k": "bad-key", strings.Repeat("k", store.MaxKey+1): "key-too-long", strings.Repeat("k", store.MaxKey): "key-too-long",
	} {
		if _, err := n.ReadRegister(t.Context(), key); codeOf(err) != code {
			t.Errorf("key of %d bytes: %v, want %s", len(key), err, code)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.CompareAndSwap(gone, "late", 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("swap without time: %v", err)
	}
}

// Replicas refuse what no correct peer sends: a register that is written, or a record
// in its place that is none.
func TestRegistersAreNotWritten(t *testing.T) {
	n := joinTest(t, nil, Config{})
	if _, err := n.CompareAndSwap(t.Context(), "k", 0, []byte("v")); err != nil {
		t.Fatal(err)
	}
	pos := store.Route(store.RegisterNamespace, "k")
	id := store.Shard(pos, 16)
	held, _, err := n.disk.Get(id, store.RegisterNamespace, "k")
	if err != nil {
		t.Fatal(err)
	}
	held.Version.Clock++
	plain := store.Record{Namespace: store.RegisterNamespace, Key: "k", Position: pos, Version: held.Version, Value: []byte("v")}
	for _, tt := range []struct {
		what   string
		rec    store.Record
		repair bool
	}{
		{"a register that is written", held, false},
		{"a register that differs from its record", held, true},
		{"a plain record", plain, true},
	} {
		req := store.WriteRequest{Target: store.Target{Incarnation: n.self.Incarnation}, Repair: tt.repair, Record: tt.rec.AppendTo(nil)}
		if reply, err := n.replica.write(t.Context(), id, n.shards.config(id).Epoch, req); err == nil {
			t.Errorf("%s: %+v", tt.what, reply)
		}
	}
}
