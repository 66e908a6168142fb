package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
	"github.com/chorus-net/chorus/overlay/client"
)

// TestBenchWASM: a module is called at a new ring, and at a running peer.
func TestBenchWASM(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	dir := t.TempDir()
	path, trap := filepath.Join(dir, "echo.wasm"), filepath.Join(dir, "trap.wasm")
	for name, module := range map[string][]byte{path: wasmtest.EchoReactor, trap: wasmtest.Trap} {
		if err := os.WriteFile(name, module, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.run("bench", "wasm", path, "--peers", "-1").fails(client.CodeUsage, "--peers must be")
	s.run("bench", "wasm", path, "--calls", "0").fails(client.CodeUsage, "--calls must be")
	s.run("bench", "wasm", path).fails(client.CodeNoPeer)
	if testing.Short() {
		return // what follows starts peers
	}
	check := func(doc benchWASMDoc, via string) {
		t.Helper()
		if doc.Peers != 1 || doc.Via != via || doc.Calls != 50 || doc.ModuleBytes != len(wasmtest.EchoReactor) ||
			doc.FirstMS <= 0 || doc.P50us <= 0 || doc.P99us < doc.P50us || doc.CallsS <= 0 {
			t.Errorf("%+v", doc)
		}
	}
	var doc benchWASMDoc
	s.doc(&doc, "bench", "wasm", path, "--input", "hello", "--calls", "50", "--peers", "1")
	check(doc, "process")
	if r := s.run("bench", "wasm", trap, "--peers", "1"); r.code == 0 {
		t.Errorf("a module that traps: %s", r.out)
	}
	var running benchWASMDoc
	startPeers(t, "anna")[0].doc(&running, "bench", "wasm", path, "--calls", "50")
	check(running, "socket")
}
