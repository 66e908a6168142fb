package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
	"github.com/chorus-net/chorus/overlay/client"
)

// patience is how long a test waits for what should take no time.
const patience = time.Minute

// submitted is what submit and job show print as JSON.
type submitted struct {
	Job     string
	State   string
	Results []client.TaskResult
}

// submitModule writes a module to a file, submits it and returns what became of it.
func (p *process) submitModule(name string, module []byte, flags ...string) submitted {
	p.t.Helper()
	path := filepath.Join(p.home, name+".wasm")
	if err := os.WriteFile(path, module, 0o600); err != nil {
		p.t.Fatal(err)
	}
	r := p.run(append([]string{"submit", path, "-o", "json"}, flags...)...)
	var s submitted
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		p.t.Fatalf("%s: exit %d, %v in %q\n%s", r.line, r.code, err, r.out, r.err)
	}
	return s
}

// A peer outlives twenty hostile modules in a row. Each is over soon after its
// limit, and the peer stays small.
func TestHostileModules(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Parallel()
	peer := startPeersWith(t, []string{"--workers", "1", "--metrics", ":0"}, "anna")[0]
	const limit = 200 * time.Millisecond
	echo := func() {
		t.Helper()
		s := peer.submitModule("echo", wasmtest.EchoReactor, "--input", "still here")
		if len(s.Results) != 1 || string(s.Results[0].Output) != "still here" {
			t.Fatalf("a good module: %+v", s)
		}
	}
	echo()
	for _, test := range []struct {
		name   string
		module []byte
		says   string
	}{
		{"spin", wasmtest.Spin, "time-limit"},
		{"spin-reactor", wasmtest.SpinReactor, "time-limit"},
		{"spin-at-start", wasmtest.SpinAtStart, "time-limit"},
		{"spin-when-made", wasmtest.SpinWhenMade, "time-limit"},
		{"recurse", wasmtest.Recurse, ""}, // its stack, its time or its memory, whichever is first
		{"grow", wasmtest.Grow, "memory-limit"},
		{"grow-touch", wasmtest.GrowTouch, ""},
		{"huge", wasmtest.Huge, "memory-limit"},
		{"table", wasmtest.Table, "memory-limit"},
		{"table-grow", wasmtest.TableGrow, ""},
		{"flood-out", wasmtest.FloodOut, "output-limit"},
		{"flood-log", wasmtest.FloodLog, "time-limit"},
		{"flood-log-by-call", wasmtest.FloodLogByCall, "time-limit"},
		{"flood-spawn", wasmtest.FloodSpawn, "spawn-limit"},
		{"flood-store", wasmtest.FloodStore, "time-limit"},
		{"trap", wasmtest.Trap, "trap"},
		{"out-of-bounds", wasmtest.OutOfBounds, "trap"},
		{"exit", wasmtest.Exit3, "exit"},
		{"mistyped", wasmtest.Mistyped, "not-wasm"},
		{"mistyped-handle", wasmtest.MistypedHandle, "not-wasm"},
		{"unknown-import", wasmtest.Unknown, "not-wasm"},
	} {
		limit := limit
		if test.says != "time-limit" && test.says != "" { // it ends for another reason, in its own time
			limit = patience
		}
		s := peer.submitModule(test.name, test.module, "--limit", limit.String(), "--grant", "books")
		if s.State == "done" || len(s.Results) != 1 || !strings.Contains(s.Results[0].Error, test.says) {
			t.Errorf("%s: %+v", test.name, s)
			continue
		}
		for i, a := range s.Results[0].History {
			late := a.MS - float64(limit.Milliseconds())
			t.Logf("%s, attempt %d: over after %.0f ms, the limit was %v: %.70s", test.name, i+1, a.MS, limit, a.Error)
			if late > float64(patience.Milliseconds()) {
				t.Errorf("%s was over %.0f ms after its limit", test.name, late)
			}
		}
		echo()
	}
	path := filepath.Join(peer.home, "stranger.wasm")
	if err := os.WriteFile(path, wasmtest.Stranger, 0o600); err != nil {
		t.Fatal(err)
	}
	peer.run("submit", path).fails(client.CodeNotWasm, "env")
	peer.run("submit", "wasm:12345").fails(client.CodeUsage, "64 hex digits")
	peer.run("submit", "wasm:"+strings.Repeat("ab", 32)).fails(client.CodeNotFound, "does not have it")
	peer.run("submit", path, "--grant", "_code").fails(client.CodeBadKey, "system")

	for kind, want := range map[string]float64{"trap": 2, "exit": 1, "not-wasm": 3, "output-limit": 1, "spawn-limit": 1} {
		if got := peer.metric(fmt.Sprintf("chorus_wasm_failed_total{kind=%q}", kind)); got < want {
			t.Errorf("%v of kind %s are counted, want at least %v", got, kind, want)
		}
	}
	if most := peer.peakMiB(); most > 256 {
		t.Errorf("the peer took %d MiB", most)
	} else {
		t.Logf("the peer took %d MiB at most", most)
	}
}

// peakMiB returns the most memory that the peer had; 0 where the kernel does not tell.
func (p *process) peakMiB() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				p.t.Fatal(err)
			}
			return kib >> 10
		}
	}
	return 0
}

// sandboxes returns the processes that the peer runs modules in.
func (p *process) sandboxes() (pids []int) {
	p.t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		p.t.Skip("the kernel does not list a process's children")
	}
	for _, file := range tasks {
		list, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has ended
		}
		for pid := range strings.FieldsSeq(string(list)) {
			n, err := strconv.Atoi(pid)
			if err != nil {
				p.t.Fatal(err)
			}
			pids = append(pids, n)
		}
	}
	return pids
}

// A sandbox that is killed costs an attempt, and one whose job is cancelled is
// killed.
func TestSandboxKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	peer := startPeersWith(t, []string{"--workers", "1"}, "anna")[0]
	var shown submitted
	id := peer.submitModule("spin", wasmtest.Spin, "--limit", "1h", "--wait=false").Job
	running := func(attempts int) (pid int) {
		t.Helper()
		eventually(t, patience, func() bool {
			peer.doc(&shown, "job", "show", id)
			pids := peer.sandboxes()
			if len(shown.Results) != 1 || len(shown.Results[0].History) != attempts-1 || shown.Results[0].State != "running" || len(pids) != 1 {
				return false
			}
			pid = pids[0]
			return true
		}, func() string { return fmt.Sprintf("attempt %d does not run: %+v", attempts, shown) })
		return pid
	}
	first := running(1)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := running(2)
	if second == first {
		t.Fatal("it runs in the process that was killed")
	}
	if a := shown.Results[0].History[0]; a.Outcome != "crashed" {
		t.Errorf("the attempt that was killed: %+v", a)
	}
	peer.ok("job", "cancel", id)
	eventually(t, patience, func() bool { return syscall.Kill(second, 0) != nil },
		func() string { return "a sandbox outlived its job" })
	s := peer.submitModule("echo", wasmtest.Echo, "--input", "still here")
	if len(s.Results) != 1 || string(s.Results[0].Output) != "still here" {
		t.Errorf("a good module: %+v", s)
	}
}
