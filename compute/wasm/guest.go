package wasm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"github.com/tetratelabs/wazero/sys"
)

// guest is one run of a module, inside the child: what the module is handed, and
// what it leaves.
type guest struct {
	input   []byte
	parts   [][]byte // to be joined
	stdin   bytes.Reader
	stdout  io.Writer // output, but while a reactor is readied
	output  output
	log     *logStream
	random  *rand.ChaCha8
	clock   clock
	spawned [][]byte
	answer  []byte // to the last question to the parent: a value, or why there is none
	fault   *Error // for which a host function ended the run
}

func newGuest(frame *runFrame, input []byte, log *logStream) *guest {
	g := &guest{
		input: input, parts: frame.parts, output: output{limit: int(frame.output)}, log: log,
		random: rand.NewChaCha8(frame.seed),
	}
	g.stdin.Reset(input)
	g.stdout = &g.output
	return g
}

// newPreparation is the run in which a reactor is readied. It knows nothing of the
// call that it precedes, so that all instances are alike; what it prints is logged.
func newPreparation(log *logStream) *guest {
	return &guest{stdout: log, log: log, random: rand.NewChaCha8([seedSize]byte{})}
}

// fail ends the run: wazero turns the panic of a host function into a trap.
func (g *guest) fail(kind Kind, format string, args ...any) {
	g.fault = failure(kind, format, args...)
	panic(g.fault)
}

// explain finds the reason behind the way in which a run ended.
func (g *guest) explain(err error, m *memory) error {
	var (
		exit  *sys.ExitError
		known *Error
	)
	exited := errors.As(err, &exit)
	switch {
	case g.fault != nil:
		return g.fault
	case g.output.over:
		return failure(KindOutput, "it wrote more than %d bytes", g.output.limit)
	case err == nil || exited && exit.ExitCode() == 0:
		return nil
	case m.refused > 0:
		return failure(KindMemory, "it failed after it was refused %d MiB of memory; the limit is %d MiB", mebibytes(m.refused), m.limit>>20)
	case errors.As(err, &known):
		return known
	case exited:
		return exitError(exit.ExitCode())
	default:
		return failure(KindTrap, "%v", err)
	}
}

func exitError(code uint32) *Error {
	return &Error{Kind: KindExit, Exit: code, Text: fmt.Sprintf("exit code %d", code)}
}

func mebibytes(n uint64) uint64 { return (n + 1<<20 - 1) >> 20 }

// clock is what a module takes for time: it starts at the same moment for each
// run, and goes on by a little with each look and by as long as the module sleeps.
// It has to go on, or a module that waits for it would wait for ever.
type clock struct{ passed int64 } // nanoseconds

const (
	clockStart = 1640995200 // seconds since 1970: 2022-01-01 00:00 UTC
	clockTick  = 1000       // nanoseconds
)

func (c *clock) walltime() (sec int64, nsec int32) {
	c.passed += clockTick
	return clockStart + c.passed/1e9, int32(c.passed % 1e9)
}

func (c *clock) nanotime() int64 {
	c.passed += clockTick
	return c.passed
}

// sleep takes no time. The clock stops at its end instead of going back.
func (c *clock) sleep(ns int64) {
	if ns > 0 {
		c.passed = max(c.passed, c.passed+ns)
	}
}

// output collects what a module puts out, up to its limit.
type output struct {
	bytes []byte
	limit int
	over  bool
}

var errOutput = errors.New("output limit reached")

// Write ends the run when the output is over its limit: wazero turns the panic
// of a host function into a trap. An error instead would leave the module free
// to try again for ever.
func (o *output) Write(p []byte) (int, error) {
	if len(p) > o.limit-len(o.bytes) {
		o.over = true
		panic(errOutput)
	}
	o.bytes = append(o.bytes, p...)
	return len(p), nil
}

// logStream sends what a module logs to the parent as it comes, so that a run that
// is killed leaves its log. What is over the limit is counted, not kept.
type logStream struct {
	sandbox *sandbox
	seq     uint32
	room    int
	dropped uint64
}

// Write never fails for the module: a broken pipe ends the process.
func (l *logStream) Write(p []byte) (int, error) {
	kept := p[:min(len(p), l.room)]
	l.room -= len(kept)
	l.dropped += uint64(len(p) - len(kept))
	if len(kept) > 0 {
		var seq [4]byte
		binary.LittleEndian.PutUint32(seq[:], l.seq)
		if err := l.sandbox.answer(frameLog, seq[:], kept); err != nil {
			os.Exit(1)
		}
	}
	return len(p), nil
}
