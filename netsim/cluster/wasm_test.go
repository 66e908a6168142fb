package cluster_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// A module submitted at one peer runs at several, which fetch it from the
// ring; traps and time limits are errors of the task alone.
func TestModules(t *testing.T) {
	long(t)
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 3, Node: overlay.Config{Workers: 1}})
	owner := c.Nodes()[1]
	run := func(spec overlay.JobSpec) overlay.Job {
		t.Helper()
		id, err := owner.Submit(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		j, err := owner.Wait(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	var inputs [][]byte
	for i := range 60 {
		inputs = append(inputs, fmt.Appendf(nil, "input %d", i))
	}
	eventually(t, "tasks at several peers", func() error {
		j := run(overlay.JobSpec{Code: overlay.Code{Module: wasmtest.Echo}, Inputs: inputs})
		allDone(t, j)
		for i, r := range j.Results {
			if string(r.Output) != string(inputs[i]) {
				t.Errorf("task %d: %q", i, r.Output)
			}
		}
		if len(j.ByPeer) < 2 { // nobody came in time to steal one
			return fmt.Errorf("only at %v", j.ByPeer)
		}
		return nil
	})

	j := run(overlay.JobSpec{Code: overlay.Code{Module: wasmtest.Trap}, Inputs: [][]byte{nil}})
	if j.State != "failed" || !strings.Contains(j.Results[0].Error, "unreachable") {
		t.Errorf("trap: %s, %+v", j.State, j.Results)
	}
	j = run(overlay.JobSpec{Code: overlay.Code{Module: wasmtest.Spin}, Inputs: [][]byte{nil}, Time: 300 * time.Millisecond})
	if j.State != "failed" || !strings.Contains(j.Results[0].Error, "time") {
		t.Errorf("endless loop: %s, %+v", j.State, j.Results)
	}
	j = run(overlay.JobSpec{Code: overlay.Code{Module: wasmtest.Echo}, Inputs: [][]byte{[]byte("and on")}})
	allDone(t, j)

	// A reactor, which divides its task into one for each byte of its input.
	const text = "desserts, I said, and this goes on until it is worth sharing"
	want := []byte(text)
	slices.Reverse(want)
	j = run(overlay.JobSpec{Code: overlay.Code{Module: wasmtest.Halves}, Inputs: [][]byte{[]byte(text)}})
	if j.State != "done" || string(j.Results[0].Output) != string(want) {
		t.Errorf("reversed in parts: %s, %q", j.State, j.Results[0].Output)
	}
	if j.Tasks != 2*len(text)-1 {
		t.Errorf("%d tasks, want one for each byte and one for each pair of halves", j.Tasks)
	}

	// What was submitted once is known by its hash, at other peers too.
	hash := sha256.Sum256(wasmtest.Sum)
	named := overlay.JobSpec{Code: overlay.Code{Hash: hex.EncodeToString(hash[:])}, Inputs: [][]byte{[]byte("hash me")}}
	if _, err := owner.Submit(ctx, named); !errors.Is(err, overlay.ErrNotFound) {
		t.Errorf("a module that nobody stored: %v", err)
	}
	j = run(overlay.JobSpec{Code: overlay.Code{Module: wasmtest.Sum}, Inputs: named.Inputs})
	allDone(t, j)
	digest := j.Results[0].Output
	for _, owner = range c.Nodes() {
		j = run(named)
		allDone(t, j)
		if !bytes.Equal(j.Results[0].Output, digest) {
			t.Errorf("by its hash: %x, want %x", j.Results[0].Output, digest)
		}
	}

	for what, code := range map[string]overlay.Code{
		"text":       {Module: []byte("#!/bin/sh")},
		"cut module": {Module: wasmtest.Echo[:60]},
	} {
		_, err := owner.Submit(ctx, overlay.JobSpec{Code: code, Inputs: [][]byte{nil}})
		if e := client.AsError(err); e == nil || e.Code != client.CodeNotWasm || e.Fix == "" {
			t.Errorf("submit %s: %v", what, err)
		}
	}
	if keys, err := owner.List(ctx, "", "", 0); err != nil || len(keys) != 0 {
		t.Errorf("modules are listed among keys: %q, %v", keys, err)
	}
}

// A module uses the namespace that its task was granted, at whichever peer it runs,
// and is told by name what it may not.
func TestModuleGrant(t *testing.T) {
	long(t)
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 3, Node: overlay.Config{Workers: 1}})
	owner := c.Nodes()[0]
	run := func(module []byte, grant, key string) overlay.Job {
		t.Helper()
		id, err := owner.Submit(ctx, overlay.JobSpec{Code: overlay.Code{Module: module}, Grant: grant, Inputs: [][]byte{[]byte(key)}})
		if err != nil {
			t.Fatal(err)
		}
		j, err := owner.Wait(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	if j := run(wasmtest.Keep, "books", "books/moby"); j.State != "done" {
		t.Errorf("a put: %+v", j)
	}
	if j := run(wasmtest.Fetch, "books", "books/moby"); j.State != "done" || string(j.Results[0].Output) != "kept" {
		t.Errorf("a get: %+v", j)
	}
	for _, test := range []struct{ grant, key, says string }{
		{"books", "safe/code", `key "safe/code": not granted: the task may use keys of namespace "books"`},
		{"", "books/moby", `key "books/moby": not granted`},
		{"books", "books/none", "books/none"},
	} {
		j := run(wasmtest.Fetch, test.grant, test.key)
		if j.State != "failed" || !strings.Contains(j.Results[0].Log, test.says) {
			t.Errorf("with %q, %q: %+v", test.grant, test.key, j)
		}
	}
	if _, err := c.Nodes()[1].Get(ctx, "safe/code"); !errors.Is(err, overlay.ErrNotFound) {
		t.Errorf("what was refused: %v", err)
	}
}
