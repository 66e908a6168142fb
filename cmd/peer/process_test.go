package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is `peer run` in a process of its own.
type process struct {
	*shell
	cmd   *exec.Cmd
	addr  string // by which others join
	ended chan struct{}

	mu  sync.Mutex
	log bytes.Buffer // standard error
}

var readyLine = regexp.MustCompile(`^ready: peer (\S+) id (\S+) listening on ([^\s,]+)`)

const readyWithin = 30 * time.Second

// start runs a peer with the flags and waits until it is ready. It is stopped
// when the test ends.
func (s *shell) start(args ...string) *process {
	s.t.Helper()
	p := &process{shell: s, ended: make(chan struct{})}
	run := []string{"run", "--listen", "/ip4/127.0.0.1/tcp/0"}
	if s.netns != "" {
		run = run[:1] // the default, on a network of its own
	}
	p.cmd = s.command(append(run, args...)...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ready := make(chan string, 1)
	go p.watch(stderr, ready)
	s.t.Cleanup(p.stop)
	select {
	case p.addr = <-ready:
	case <-p.ended:
		s.t.Fatalf("peer run ended before it was ready:\n%s", p.logs())
	case <-time.After(readyWithin):
		s.t.Fatalf("peer run was not ready within %v:\n%s", readyWithin, p.logs())
	}
	return p
}

// watch keeps what the process writes, and waits for it.
func (p *process) watch(stderr io.Reader, ready chan<- string) {
	defer close(p.ended)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.mu.Lock()
		p.log.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			ready <- m[3]
		}
	}
	_ = p.cmd.Wait() // its exit status is in ProcessState
}

func (p *process) logs() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// signal sends a signal and returns the exit status, -1 after a kill.
func (p *process) signal(sig os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

// wait returns the exit status once the process has ended, which takes 10 s at
// the most.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(12 * time.Second):
		p.t.Fatalf("peer run did not end:\n%s", p.logs())
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) stop() {
	select {
	case <-p.ended:
	default:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	if p.t.Failed() {
		p.t.Logf("%s wrote:\n%s", filepath.Base(p.home), p.logs())
	}
}

// startPeers starts peers with the names, each in a home of its own, as one
// ring.
func startPeers(t *testing.T, names ...string) []*process {
	t.Helper()
	return startPeersWith(t, nil, names...)
}

// startPeersWith is startPeers with further flags for each.
func startPeersWith(t *testing.T, flags []string, names ...string) []*process {
	t.Helper()
	dir := t.TempDir()
	var peers []*process
	for i, name := range names {
		s := &shell{t: t, home: filepath.Join(dir, name)}
		if i == 0 {
			s.ok("init", "--open", "--ring", "choir")
			peers = append(peers, s.start(append(flags, "--name", name)...))
			continue
		}
		peers = append(peers, s.start(append(flags, "--name", name, "--join", peers[0].addr)...))
	}
	agreed(t, peers)
	return peers
}

// agreed waits until all peers see the same ring of all of them.
func agreed(t *testing.T, peers []*process) {
	t.Helper()
	eventually(t, time.Minute, func() bool {
		for _, p := range peers {
			var ring struct {
				Peers     []struct{ ID string }
				Agree, Of int
			}
			p.doc(&ring, "ring")
			if len(ring.Peers) != len(peers) || ring.Agree != len(peers) || ring.Of != len(peers) {
				return false
			}
		}
		return true
	}, func() string {
		sees := ""
		for _, p := range peers {
			sees += filepath.Base(p.home) + " sees:\n" + p.ok("ring")
		}
		return "the ring does not agree:\n" + sees
	})
}

// eventually waits for a condition.
func eventually(t *testing.T, limit time.Duration, holds func() bool, why func() string) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); {
		if time.Now().After(end) {
			t.Fatal(why())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// during runs a command, calls act a moment after its start, and returns what
// the command left.
func (s *shell) during(act func(cmd *exec.Cmd), args ...string) result {
	s.t.Helper()
	var out, stderr bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	// Nothing shows from outside when the command waits for its answer; whether it
	// does, or is about to ask, it must end alike.
	time.Sleep(300 * time.Millisecond)
	act(cmd)
	_ = cmd.Wait() // its exit status is in ProcessState
	return result{t: s.t, line: "peer " + strings.Join(args, " "), out: out.String(), err: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

func interrupt(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGINT) }
