package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster/history"
	"github.com/chorus-net/chorus/overlay/client"
)

func TestRegisterCommands(t *testing.T) {
	p := startPeers(t, "ada")[0]
	p.run("get", "leader", "--register").fails(client.CodeNotFound, "never set", "--if-version 0")
	if out := p.ok("put", "leader", "anna", "--if-version", "0"); out != "leader is at version 1\n" {
		t.Errorf("put --if-version: %q", out)
	}
	conflict := p.run("put", "leader", "bert", "--if-version", "0")
	conflict.fails(client.CodeConflict, "version 1, not 0", "peer get leader --register")
	if conflict.code != 7 {
		t.Errorf("a conflict has exit status %d", conflict.code)
	}
	p.in = "carl"
	var set struct {
		Key     string
		Version uint64
	}
	p.doc(&set, "put", "leader", "-", "--if-version", "1")
	var reg client.Register
	p.doc(&reg, "get", "leader", "--register")
	if set.Key != "leader" || set.Version != 2 || reg.Version != 2 || string(reg.Value) != "carl" {
		t.Errorf("set %+v, read %+v", set, reg)
	}
	if out := p.ok("get", "leader", "--register"); out != "carl" {
		t.Errorf("get --register: %q", out)
	}
	p.run("get", "leader").fails(client.CodeNotFound)
	p.run("put", "leader", "x", "--if-version", "2", "--ttl", "1h").fails(client.CodeUsage, "--ttl")
	p.run("get", "leader", "--register", "--r", "one").fails(client.CodeUsage, "--register")
	p.run("put", "leader", strings.Repeat("x", 100), "--if-version", "-1").fails(client.CodeUsage, "-1")
}

// Processes that are stopped, killed and started again tell their callers what single
// registers would.
func TestRegistersOfProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Parallel()
	peers := startPeers(t, "anna", "bert", "carl", "dora")
	ctx, stop := context.WithCancel(t.Context())
	var (
		h  history.Registers
		wg sync.WaitGroup
	)
	defer wg.Wait()
	defer stop()
	for i, p := range peers {
		wg.Go(func() { swapAt(ctx, &h, p.home, i) })
	}
	goOn := func(n int) {
		t.Helper()
		before := h.Counts().Applied
		eventually(t, time.Minute, func() bool { return h.Counts().Applied >= before+n }, func() string { return fmt.Sprintf("stuck at %+v", h.Counts()) })
	}
	goOn(20)
	for i, p := range peers {
		// Two at a time, so that there is no quorum of some registers for a while.
		next := peers[(i+1)%len(peers)]
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			for _, q := range []*process{p, next} {
				if err := q.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(700 * time.Millisecond) // how long they stand still
		}
		p.signal(syscall.SIGKILL)
		goOn(10)
		peers[i] = p.shell.start("--join", next.addr)
		agreed(t, peers)
	}
	stop()
	wg.Wait()
	t.Logf("%+v", h.Counts())
	if err := h.Check(time.Minute); err != nil {
		t.Error(err)
	}
}

// swapAt changes and reads registers at the peer of a home until the context ends.
func swapAt(ctx context.Context, h *history.Registers, home string, caller int) {
	known := make(map[string]uint64)
	for n := 0; ctx.Err() == nil; n++ {
		cl, err := client.Dial(ctx, home)
		if err != nil {
			time.Sleep(20 * time.Millisecond) // it is down
			continue
		}
		for ; ctx.Err() == nil; n++ {
			key := fmt.Sprintf("r/%d", n%3)
			call, cancel := context.WithTimeout(ctx, time.Second)
			var reg client.Register
			if n%4 == 0 {
				reg, err = h.Read(call, cl, key)
			} else {
				reg, err = h.Swap(call, cl, key, known[key], fmt.Appendf(nil, "%d of %d", n, caller))
			}
			cancel()
			if reg.Version > 0 {
				known[key] = reg.Version
			} else if err != nil {
				n++
				time.Sleep(20 * time.Millisecond)
				break // it was killed, or cannot answer: begin anew
			}
		}
		_ = cl.Close()
	}
}
