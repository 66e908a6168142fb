package main

import (
	"strings"
	"testing"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
)

// Modules that several peers run answer alike, each in a process of its own: random numbers
// follow from the task, and nothing is left of the runs before. What divides itself is refused.
func TestVerifiedModules(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	peer := startPeers(t, "anna", "bert", "carl")[0]
	for _, test := range []struct {
		name   string
		module []byte
		tasks  string
		flags  []string
		output string // if not empty
		fails  string // what the error of each task says, if it fails
	}{
		{name: "echo", module: wasmtest.EchoReactor, tasks: "5", output: "say so"},
		{name: "echo-durable", module: wasmtest.EchoReactor, tasks: "3", flags: []string{"--durable"}, output: "say so"},
		{name: "random", module: wasmtest.Random, tasks: "5"},
		{name: "counter", module: wasmtest.Counter, tasks: "8"},
		{name: "ready", module: wasmtest.Ready, tasks: "2", output: "\x07\x00\x00\x00"},
		{name: "refuse", module: wasmtest.Refuse, tasks: "2", fails: "5"},
		{name: "divided", module: wasmtest.Halves, tasks: "2", fails: "may not be divided"},
	} {
		s := peer.submitModule(test.name, test.module, append([]string{"--input", "say so", "--n", test.tasks, "--verify", "3"}, test.flags...)...)
		if want := map[bool]string{false: "done", true: "failed"}[test.fails != ""]; s.State != want || len(s.Results) == 0 {
			t.Errorf("%s is %s, want %s: %+v", test.name, s.State, want, s.Results)
			continue
		}
		for _, r := range s.Results {
			if test.output != "" && string(r.Output) != test.output || test.fails == "" && len(r.Output) == 0 || !strings.Contains(r.Error, test.fails) {
				t.Errorf("%s: task %d put out %q, %q", test.name, r.Index, r.Output, r.Error)
			}
			peers := make(map[string]bool)
			for _, v := range r.Votes {
				if peers[v.Peer] = true; !v.Agrees {
					t.Errorf("%s: task %d: votes %+v", test.name, r.Index, r.Votes)
				}
			}
			if len(peers) != 3 {
				t.Errorf("%s: task %d was run by %d peers: %+v", test.name, r.Index, len(peers), r)
			}
		}
	}
}
