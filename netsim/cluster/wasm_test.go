package cluster_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// Modules that import fd_read, fd_write and proc_exit of WASI preview 1, and
// export a memory of one page and _start, whose bodies differ.
const (
	wasmFrame = "0061736d0100000001100360047f7f7f7f017f60017f0060000002670316776173695f736e617073686f745f70726576696577310766645f72" +
		"656164000016776173695f736e617073686f745f70726576696577310866645f7772697465000016776173695f736e617073686f745f70726576696577" +
		"310970726f635f657869740001030201020503010001071302066d656d6f72790200065f73746172740003"
	// loop { read 32 KiB from 0; if none { exit 0 }; write them to 1 }
	wasmEcho = wasmFrame + "0a4701450003404100418008360200410441808002360200410041004101410810001a4108280200450440410010020b410441082802003602" +
		"00410141004101410810011a0c000b0b"
	wasmTrap = wasmFrame + "0a05010300000b"         // unreachable
	wasmSpin = wasmFrame + "0a0901070003400c000b0b" // loop {}
)

func module(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

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
	began := time.Now()
	j := run(overlay.JobSpec{Code: overlay.Code{Module: module(t, wasmEcho)}, Inputs: inputs})
	allDone(t, j)
	for i, r := range j.Results {
		if string(r.Output) != string(inputs[i]) {
			t.Errorf("task %d: %q", i, r.Output)
		}
	}
	t.Logf("60 tasks after %v, by %v", time.Since(began).Round(time.Millisecond), j.ByPeer)
	if len(j.ByPeer) < 2 {
		t.Errorf("the module ran at %d peers", len(j.ByPeer))
	}

	j = run(overlay.JobSpec{Code: overlay.Code{Module: module(t, wasmTrap)}, Inputs: [][]byte{nil}})
	if j.State != "failed" || !strings.Contains(j.Results[0].Error, "unreachable") {
		t.Errorf("trap: %s, %+v", j.State, j.Results)
	}
	j = run(overlay.JobSpec{Code: overlay.Code{Module: module(t, wasmSpin)}, Inputs: [][]byte{nil}, Time: 300 * time.Millisecond})
	if j.State != "failed" || !strings.Contains(j.Results[0].Error, "time") {
		t.Errorf("endless loop: %s, %+v", j.State, j.Results)
	}
	j = run(overlay.JobSpec{Code: overlay.Code{Module: module(t, wasmEcho)}, Inputs: [][]byte{[]byte("and on")}})
	allDone(t, j)

	for what, code := range map[string]overlay.Code{
		"text":       {Module: []byte("#!/bin/sh")},
		"cut module": {Module: module(t, wasmEcho)[:60]},
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
