package wasm

import (
	"context"
	"fmt"
	"math"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// instance is a module with its memory. That of a command serves one run. That of
// a reactor is rewound after each run to what it was when it was ready, so that no
// run sees what another left.
type instance struct {
	module  api.Module
	entry   api.Function
	memory  memory
	ready   uint64 // bytes of memory, once it was readied
	globals []savedGlobal
}

// savedGlobal is a global that can change, and its value when the instance was ready.
type savedGlobal struct {
	global api.MutableGlobal
	value  uint64
}

// newInstance makes an instance of a module; reactors are readied, on behalf of the
// run that needs one. The instance is there also when it failed, to be explained and
// closed.
func (s *sandbox) newInstance(ctx context.Context, l *loaded, limit uint64) (*instance, error) {
	i := &instance{memory: memory{limit: limit, reserve: limit}}
	if l.reactor {
		i.memory.reserve = max(limit, s.largest)
	}
	ctx = experimental.WithMemoryAllocator(ctx, &i.memory)
	config := wazero.NewModuleConfig().
		WithName(""). // many instances of one module
		WithArgs("task").
		WithStdin(streamIn{s}).
		WithStdout(streamOut{s}).
		WithStderr(streamLog{s}).
		WithRandSource(streamRandom{s}).
		WithWalltime(func() (int64, int32) { return s.guest.clock.walltime() }, clockTick).
		WithNanotime(func() int64 { return s.guest.clock.nanotime() }, clockTick).
		WithNanosleep(func(ns int64) { s.guest.clock.sleep(ns) }).
		WithStartFunctions()
	module, err := l.runtime.InstantiateModule(ctx, l.module, config)
	if err != nil {
		return i, err
	}
	i.module = module
	if !l.reactor {
		i.entry = i.module.ExportedFunction(startExport)
		return i, nil
	}
	i.entry = i.module.ExportedFunction(handleExport)
	if start := i.module.ExportedFunction(initExport); start != nil {
		if _, err := start.Call(ctx); err != nil {
			return i, err
		}
	}
	return i, i.save(l.globals)
}

// call runs the module. Of a reactor a result other than 0 is an exit code.
func (i *instance) call(ctx context.Context) error {
	results, err := i.entry.Call(ctx)
	if err == nil && len(results) > 0 && uint32(results[0]) != 0 {
		return exitError(uint32(results[0]))
	}
	return err
}

// save remembers the instance as it is.
func (i *instance) save(globals int) error {
	if m := i.module.Memory(); m != nil {
		i.ready = uint64(m.Size())
	}
	for n := range globals {
		if g, ok := i.module.ExportedGlobal(fmt.Sprint(globalExport, n)).(api.MutableGlobal); ok {
			i.globals = append(i.globals, savedGlobal{g, g.Get()})
		}
	}
	if err := i.memory.region.save(i.ready); err != nil {
		return fmt.Errorf("keep its memory: %w", err)
	}
	return nil
}

// rewind makes the instance what it was when it was saved, and reports whether
// that can be done.
func (i *instance) rewind() bool {
	for _, g := range i.globals {
		g.global.Set(g.value)
	}
	if i.module.IsClosed() || i.memory.region.rewind() != nil {
		return false
	}
	m := i.module.Memory()
	if m == nil || uint64(m.Size()) == i.ready {
		return true
	}
	// A memory can only be told to grow. This one shrinks when it is.
	i.memory.shrink = i.ready
	_, ok := m.Grow(1)
	i.memory.shrink = 0
	return ok && uint64(m.Size()) == i.ready
}

func (i *instance) close(ctx context.Context) error {
	defer i.memory.Free()
	if i.module == nil {
		return nil
	}
	return i.module.Close(ctx)
}

// memory is the linear memory of an instance. It implements both the allocator and
// the memory that it allocates, since a module has at most one.
type memory struct {
	limit   uint64 // of the run
	reserve uint64 // addresses set aside: the largest limit of any run
	peak    uint64
	refused uint64 // the largest size that was refused in this run
	shrink  uint64 // if not 0, what it shrinks to
	region  region
}

var (
	_ experimental.MemoryAllocator = (*memory)(nil)
	_ experimental.LinearMemory    = (*memory)(nil)
)

// begin sets the limit of the next run.
func (m *memory) begin(size, limit uint64) { m.limit, m.peak, m.refused = limit, size, 0 }

// Allocate reserves addresses, not memory, for the largest size.
func (m *memory) Allocate(_, largest uint64) experimental.LinearMemory {
	m.region = reserve(min(largest, m.reserve, math.MaxInt))
	return m
}

// Reallocate returns nil when size is over the limit, which the module sees as
// a memory.grow of -1.
func (m *memory) Reallocate(size uint64) []byte {
	if m.shrink > 0 {
		return m.region.commit(m.shrink)
	}
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

// The streams of an instance are those of the run that it serves.
type (
	streamIn     struct{ *sandbox }
	streamOut    struct{ *sandbox }
	streamLog    struct{ *sandbox }
	streamRandom struct{ *sandbox }
)

func (s streamIn) Read(p []byte) (int, error)     { return s.guest.stdin.Read(p) }
func (s streamOut) Write(p []byte) (int, error)   { return s.guest.stdout.Write(p) }
func (s streamLog) Write(p []byte) (int, error)   { return s.guest.log.Write(p) }
func (s streamRandom) Read(p []byte) (int, error) { return s.guest.random.Read(p) }
