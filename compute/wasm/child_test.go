//go:build unix

package wasm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
)

// pids lists the pool's processes.
func pids(p *Pool) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []int
	for c := range p.children {
		list = append(list, c.cmd.Process.Pid)
	}
	return list
}

func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return bytes.Contains(stat, []byte(") Z ")) // its new parent has not reaped it
}

func TestKilledFromOutside(t *testing.T) {
	p := newPool(t, nil)
	mustEcho(t, p, "warm up")
	failed := make(chan error)
	go func() {
		_, err := p.Run(context.Background(), Request{Module: wasmtest.Spin})
		failed <- err
	}()
	waitFor(t, func() bool { return p.Stats().Runs == 2 })
	for _, pid := range pids(p) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	f := wantKind(t, <-failed, KindCrashed)
	if !strings.Contains(f.Text, "killed") {
		t.Errorf("error %q does not say how it ended", f)
	}
	mustEcho(t, p, "still here")
}

// A child that dies without work is replaced without a failed run.
func TestKilledWhileIdle(t *testing.T) {
	p := newPool(t, nil)
	mustEcho(t, p, "warm up")
	for _, pid := range pids(p) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return gone(pid) })
	}
	waitFor(t, func() bool { // reaped
		p.mu.Lock()
		defer p.mu.Unlock()
		return !p.idle[0].alive()
	})
	mustEcho(t, p, "still here")
}

// parentVariable makes the test program play the parent that dies.
const parentVariable = "CHORUS_WASM_TEST_PARENT"

// dyingParent runs a module that never ends, and prints its child's process ID.
func dyingParent(dir string) {
	p, err := New(Config{CacheDir: dir, Lent: true})
	if err != nil {
		panic(err)
	}
	go p.Run(context.Background(), Request{Module: wasmtest.Spin})
	for p.Stats().Runs == 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(pids(p)[0])
	select {}
}

func TestDiesWithParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if gone(pid) {
		t.Fatal("the child is gone already")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	waitFor(t, func() bool { return gone(pid) })
}

// startAlone starts a child that no pool owns.
func startAlone(t *testing.T, deathSignal bool) *child {
	t.Helper()
	c, theirs, err := newChild()
	if err != nil {
		t.Fatal(err)
	}
	if !deathSignal {
		c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, end := range theirs {
		end.Close()
	}
	go c.wait()
	t.Cleanup(func() {
		c.kill(ErrClosed)
		<-c.exited
	})
	return c
}

// Where no signal tells it, a looping child sees the end of its request pipe.
func TestEndsWithItsPipe(t *testing.T) {
	c := startAlone(t, false)
	ctx := context.Background()
	if err := c.hello(ctx, setupFrame{version: protocolVersion, data: 1 << 30, cache: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if err := c.load(ctx, sum(wasmtest.Spin), wasmtest.Spin, time.Minute, 8); err != nil {
		t.Fatal(err)
	}
	frame := runFrame{seq: 2, hash: sum(wasmtest.Spin), memory: 1 << 20}
	if err := writeFrame(c.in, frameRun, frame.encode()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.exited:
		t.Fatal("it ended by itself")
	case <-time.After(50 * time.Millisecond):
	}
	c.in.Close()
	select {
	case <-c.exited:
	case <-time.After(patience):
		t.Fatal("it goes on without a parent")
	}
}

// Whatever a child says, the parent reports it as crashed and kills it.
func TestLyingChild(t *testing.T) {
	frame := func(kind frameKind, parts ...[]byte) []byte {
		var b bytes.Buffer
		if err := writeFrame(&b, kind, parts...); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	seq := binary.LittleEndian.AppendUint32(nil, 1)
	limits := Limits{Time: patience, Memory: pageSize, Output: 100, Log: 100}
	for what, answer := range map[string][]byte{
		"garbage":              bytes.Repeat([]byte{0xfe, 0xca}, 1000),
		"zeroes":               make([]byte, 1000),
		"huge frame":           {byte(frameDone), 0xff, 0xff, 0xff, 0xff},
		"unknown frame":        frame(99),
		"request's frame":      frame(frameRun, seq),
		"answer to a load":     frame(frameLoaded, (&doneFrame{seq: 1}).encode()),
		"short answer":         frame(frameDone, seq),
		"other request":        frame(frameDone, (&doneFrame{seq: 7}).encode()),
		"unknown outcome":      frame(frameDone, (&doneFrame{seq: 1, outcome: 200}).encode()),
		"too much output":      frame(frameDone, (&doneFrame{seq: 1}).encode(), make([]byte, 101)),
		"text without an end":  frame(frameDone, seq, []byte{1}, make([]byte, 20), []byte{0xff, 0xff, 0, 0}),
		"too much log":         frame(frameLog, seq, make([]byte, 101)),
		"log of another run":   frame(frameLog, []byte{9, 0, 0, 0}, []byte("x")),
		"short log":            frame(frameLog, []byte{1}),
		"other run's question": frame(frameAsk, (&askFrame{seq: 7, ask: askGet}).encode()),
		"unknown question":     frame(frameAsk, (&askFrame{seq: 1, ask: 9}).encode()),
		"get with a value":     frame(frameAsk, (&askFrame{seq: 1, ask: askGet}).encode(), []byte("x")),
		"put too large":        frame(frameAsk, (&askFrame{seq: 1, ask: askPut}).encode(), make([]byte, MaxValue+1)),
		"long key":             frame(frameAsk, (&askFrame{seq: 1, ask: askGet, key: strings.Repeat("k", MaxKey+1)}).encode()),
		"short question":       frame(frameAsk, seq),
		"parts without an end": frame(frameDone, append((&doneFrame{seq: 1}).encode()[:doneFrameSize], 9, 0, 0, 0)),
		"too many parts":       frame(frameDone, append((&doneFrame{seq: 1}).encode()[:doneFrameSize], 0xff, 0xff, 0, 0)),
		"parts too large":      frame(frameDone, (&doneFrame{seq: 1, spawned: [][]byte{make([]byte, MaxPartBytes+1)}}).encode()),
		"half a frame":         frame(frameDone, (&doneFrame{seq: 1}).encode())[:9],
	} {
		t.Run(what, func(t *testing.T) {
			c := startAlone(t, true)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			c.out.Close()
			c.out, c.answers = r, bufio.NewReader(r)
			go func() {
				w.Write(answer)
				w.Close()
			}()
			_, err = c.run(context.Background(), [32]byte{}, &Request{}, limits)
			t.Log(err)
			wantKind(t, err, KindCrashed)
			if c.alive() {
				t.Error("it was not killed")
			}
		})
	}
}

// A child that does not answer, and does not even read, is killed like any other.
func TestStoppedChild(t *testing.T) {
	p := newPool(t, nil)
	mustEcho(t, p, "warm up")
	if err := syscall.Kill(pids(p)[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, err := p.Run(context.Background(), Request{
		Module: wasmtest.Echo, Input: make([]byte, 1<<20), Limits: Limits{Time: 100 * time.Millisecond},
	})
	wantKind(t, err, KindTime)
	mustEcho(t, p, "still here")
}

// The parent's secrets do not reach a child.
func TestNothingInherited(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("the kernel does not show a process's descriptors")
	}
	t.Setenv("CHORUS_TEST_SECRET", "swordfish")
	var leaky [2]int // without O_CLOEXEC, as a C library would open it
	if err := syscall.Pipe(leaky[:]); err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leaky[0])
	defer syscall.Close(leaky[1])

	p := newPool(t, nil)
	mustEcho(t, p, "warm up")
	proc := fmt.Sprintf("/proc/%d/", pids(p)[0])
	environ, err := os.ReadFile(proc + "environ")
	if err != nil {
		t.Fatal(err)
	}
	for variable := range strings.SplitSeq(strings.TrimRight(string(environ), "\x00"), "\x00") {
		if !strings.HasPrefix(variable, childVariable+"=") && !strings.HasPrefix(variable, "GO") {
			t.Errorf("it has the variable %q", variable)
		}
	}
	if cwd, err := os.Readlink(proc + "cwd"); err != nil || cwd != "/" {
		t.Errorf("its directory is %q, %v", cwd, err)
	}
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	pipes := 0
	for _, fd := range fds {
		target, err := os.Readlink(proc + "fd/" + fd.Name())
		switch {
		case errors.Is(err, os.ErrNotExist): // closed since
		case strings.HasPrefix(target, "pipe:"):
			pipes++
		case target != "/dev/null" && !strings.HasPrefix(target, "anon_inode:[event"):
			t.Errorf("descriptor %s is %q", fd.Name(), target)
		}
	}
	if pipes != 4 { // requests, answers, and one for both standard output and error
		t.Errorf("it has %d pipes", pipes)
	}
}
