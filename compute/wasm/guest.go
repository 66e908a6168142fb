package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
)

// guest is one run of a module, inside the child.
type guest struct {
	memory memory
	output output
	log    logStream
}

// run returns nil or an *Error.
func (g *guest) run(ctx context.Context, r wazero.Runtime, module wazero.CompiledModule, input []byte, seed [seedSize]byte) error {
	ctx = experimental.WithMemoryAllocator(ctx, &g.memory)
	defer g.memory.Free()
	config := wazero.NewModuleConfig().
		WithName(""). // many instances of one module
		WithArgs("task").
		WithStdin(bytes.NewReader(input)).
		WithStdout(&g.output).
		WithStderr(&g.log).
		WithRandSource(rand.NewChaCha8(seed)).
		WithStartFunctions()
	instance, err := r.InstantiateModule(ctx, module, config)
	if err != nil {
		return g.explain(err)
	}
	_, err = instance.ExportedFunction("_start").Call(ctx)
	if closeErr := instance.Close(ctx); err == nil {
		err = closeErr
	}
	return g.explain(err)
}

// explain finds the reason behind the way in which a run ended.
func (g *guest) explain(err error) error {
	var exit *sys.ExitError
	exited := errors.As(err, &exit)
	switch {
	case g.output.over:
		return failure(KindOutput, "it wrote more than %d bytes", g.output.limit)
	case err == nil || exited && exit.ExitCode() == 0:
		return nil
	case g.memory.refused > 0:
		return failure(KindMemory, "it failed after it was refused %d MiB of memory; the limit is %d MiB", mebibytes(g.memory.refused), g.memory.limit>>20)
	case exited:
		return &Error{Kind: KindExit, Exit: exit.ExitCode(), Text: fmt.Sprintf("exit code %d", exit.ExitCode())}
	default:
		return failure(KindTrap, "%v", err)
	}
}

func mebibytes(n uint64) uint64 { return (n + 1<<20 - 1) >> 20 }

// memory is the linear memory of one run. It implements both the allocator and
// the memory that it allocates, since a module has at most one.
type memory struct {
	limit   uint64
	peak    uint64
	refused uint64 // the largest size that was refused
	region  region
}

var (
	_ experimental.MemoryAllocator = (*memory)(nil)
	_ experimental.LinearMemory    = (*memory)(nil)
)

// Allocate reserves addresses, not memory, for the largest size.
func (m *memory) Allocate(_, largest uint64) experimental.LinearMemory {
	m.region = reserve(min(largest, m.limit))
	return m
}

// Reallocate returns nil when size is over the limit, which the module sees as
// a memory.grow of -1.
func (m *memory) Reallocate(size uint64) []byte {
	if size <= m.limit {
		if b := m.region.commit(size); b != nil {
			m.peak = max(m.peak, size)
			return b
		}
	}
	m.refused = max(m.refused, size)
	return nil
}

// Free may be called more than once.
func (m *memory) Free() { m.region.release() }

// output collects standard output up to its limit.
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

// logStream sends standard error to the parent as it comes, so that a run that
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
