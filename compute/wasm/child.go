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
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	startTime = 15 * time.Second // a child that has not said hello by then is given up
	// childSpare is what a child may use beside modules' memory: compiled code,
	// the compiler's own memory, input and output.
	childSpare = 1 << 30
	// childHeap is where the child's garbage collector starts to work harder.
	childHeap = "256MiB"
)

// child is the parent's handle of one sandbox process. One goroutine at a time
// uses it; kill may be called from any.
type child struct {
	cmd     *exec.Cmd
	in      *os.File
	out     *os.File
	answers *bufio.Reader
	stderr  head
	exited  chan struct{}   // closed once the process is reaped
	life    context.Context // ends when it is killed
	end     context.CancelFunc

	seq     uint32
	modules [][hashSize]byte // what the child has compiled, least recently used first
	idle    *time.Timer      // ends the child, while it is without work
	since   time.Time        // without work since

	mu    sync.Mutex
	cause error // why it was killed; the first one counts
	gone  bool  // reaped: its process ID may be somebody else's
}

// newChild prepares a child; the caller starts cmd and then calls started.
func newChild() (*child, []*os.File, error) {
	path, err := executable()
	if err != nil {
		return nil, nil, err
	}
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, childIn.Close(), in.Close())
	}
	widen(childIn)
	widen(childOut)
	c := &child{
		in:      in,
		out:     out,
		answers: bufio.NewReaderSize(out, 64<<10),
		exited:  make(chan struct{}),
	}
	c.life, c.end = context.WithCancel(context.Background())
	name := filepath.Base(os.Args[0])
	c.cmd = &exec.Cmd{
		Path:       path,
		Args:       []string{name + " (wasm sandbox)"},
		Dir:        "/",
		Env:        []string{childVariable + "=1", "GOMAXPROCS=2", "GOMEMLIMIT=" + childHeap, "GOTRACEBACK=none"},
		ExtraFiles: []*os.File{childIn, childOut}, // childRequests, childAnswers
		Stdout:     &c.stderr,
		Stderr:     &c.stderr,
		WaitDelay:  time.Second,
	}
	isolate(c.cmd)
	return c, []*os.File{childIn, childOut}, nil
}

// wait reaps the process. It is the child's one goroutine.
func (c *child) wait() {
	_ = c.cmd.Wait() // how it ended is in cmd.ProcessState
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	close(c.exited)
}

// kill ends the process at once, whatever it does, and unblocks whoever talks to it.
func (c *child) kill(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause = cause
	if !c.gone {
		killGroup(c.cmd.Process.Pid)
	}
	// The pipes are pollable, so this ends a blocked read or write, even if a
	// descendant keeps the other end.
	_ = c.in.Close()
	_ = c.out.Close()
	c.end()
}

func (c *child) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause == nil && !c.gone
}

// within runs talk, killing the child when d or ctx ends first. It returns the
// reason of the kill in place of what talk made of it.
func (c *child) within(ctx context.Context, d time.Duration, late error, talk func() error) error {
	deadline := time.AfterFunc(d, func() { c.kill(late) })
	cancelled := context.AfterFunc(ctx, func() { c.kill(context.Cause(ctx)) })
	err := talk()
	// A timer that cannot be stopped is about to strike: let it not do so later,
	// when somebody else uses the child.
	if !deadline.Stop() {
		c.kill(late)
	}
	if !cancelled() {
		c.kill(context.Cause(ctx))
	}
	if err == nil {
		return nil
	}
	c.kill(errBroken)
	<-c.exited
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.cause, errBroken) {
		return c.diagnose(err)
	}
	return c.cause
}

// errBroken is the cause of a kill when the child ended or misspoke by itself.
var errBroken = errors.New("sandbox broke off")

// fatalExit is how the Go runtime ends a process that it cannot go on with.
const fatalExit = 2

// noMemory finds the ways in which a Go program (with the race detector, with
// cgo) says that the kernel refused it memory.
var noMemory = regexp.MustCompile(`out of memory|cannot allocate memory|failed to allocate|pthread_create failed`)

// diagnose explains a child that ended, or spoke nonsense, by itself. Once it
// has been given a module, a runtime that gives up is put down to that: another
// peer would fare no better.
func (c *child) diagnose(err error) error {
	said := c.stderr.String()
	line, _, _ := strings.Cut(said, "\n")
	state := c.cmd.ProcessState
	blamed := c.seq > 0 && state.Exited()
	switch {
	case blamed && noMemory.MatchString(said):
		return failure(KindMemory, "the sandbox ran out of memory: tables, stack and compiled code count too")
	case blamed && state.ExitCode() == fatalExit:
		return failure(KindTrap, "the sandbox broke under it: %s", line)
	}
	text := fmt.Sprintf("the sandbox ended (%v, %v)", state, err)
	if line != "" {
		text += ": " + line
	}
	return failure(KindCrashed, "%s", text)
}

// hello completes the start.
func (c *child) hello(ctx context.Context, setup setupFrame) error {
	late := failure(KindCrashed, "the sandbox did not start within %v; does main call overlay.Init() first?", startTime)
	return c.within(ctx, startTime, late, func() error {
		if err := writeFrame(c.in, frameSetup, setup.encode()); err != nil {
			return err
		}
		kind, body, err := readFrame(c.answers, maxText)
		if err != nil {
			return err
		}
		if kind != frameHello || !bytes.Equal(body, []byte{protocolVersion}) {
			return fmt.Errorf("unexpected frame %d", kind)
		}
		return nil
	})
}

// has reports whether the module is loaded, and marks it as used.
func (c *child) has(hash [hashSize]byte) bool {
	i := slices.Index(c.modules, hash)
	if i < 0 {
		return false
	}
	c.modules = append(slices.Delete(c.modules, i, i+1), hash)
	return true
}

// load has the child compile a module, or take it from the directory, and drop
// the one that it used least recently when it has more than keep.
func (c *child) load(ctx context.Context, hash [hashSize]byte, code []byte, limit time.Duration, keep int) error {
	late := failure(KindTime, "compiling it took more than %v", limit)
	var done doneFrame
	err := c.within(ctx, limit, late, func() error {
		for len(c.modules) >= keep {
			oldest := c.modules[0]
			c.modules = c.modules[1:]
			if err := writeFrame(c.in, frameDrop, oldest[:]); err != nil {
				return err
			}
		}
		c.seq++
		if err := writeFrame(c.in, frameLoad, binary.LittleEndian.AppendUint32(nil, c.seq), hash[:], code); err != nil {
			return err
		}
		return c.expectLoaded(&done)
	})
	if err == nil {
		err = done.err()
	}
	if err == nil {
		c.modules = append(c.modules, hash)
	}
	return err
}

// expectLoaded reads the answer to a load.
func (c *child) expectLoaded(done *doneFrame) error {
	kind, body, err := readFrame(c.answers, doneFrameSize+maxText+maxBlobs)
	if err != nil {
		return err
	}
	if kind != frameLoaded {
		return fmt.Errorf("unexpected frame %d", kind)
	}
	_, err = c.accept(done, body, 0)
	return err
}

// head keeps the first few kilobytes of what a child prints when it breaks.
type head struct {
	mu    sync.Mutex
	bytes []byte
}

const headSize = 4 << 10

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes = append(h.bytes, p[:min(len(p), headSize-len(h.bytes))]...)
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.bytes)
}
