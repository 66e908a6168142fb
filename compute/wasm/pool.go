package wasm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"sync"
	"time"
)

// Limits bound one run. A zero field means the pool's default.
type Limits struct {
	Time   time.Duration
	Memory int64 // bytes of the module's linear memory, at most 4 GiB
	Output int64 // bytes
	Log    int64 // bytes; what is over it is dropped, the run goes on
}

// Config describes a pool. The zero value of a field means its default.
type Config struct {
	// CacheDir keeps compiled code. Required; made when it is missing. Pools and
	// processes may share it.
	CacheDir string
	// CacheBytes bounds that directory; the oldest entries go first. Default 1 GiB.
	CacheBytes int64
	// Lent says that this program calls RunIfChild first thing in main.
	Lent bool
	// Children is the number of runs at a time. Default runtime.GOMAXPROCS(0).
	Children int
	// Modules is how many compiled modules a child keeps. Default 8.
	Modules int
	// Idle is how long a child without work stays. Default 1 minute.
	Idle time.Duration
	// Compile is the time limit of compiling a module. Default 2 minutes.
	Compile time.Duration
	// Default holds for the zero fields of a request's limits. Default 1 minute,
	// 256 MiB, 4 MiB, 64 KiB.
	Default Limits
	// Ceiling is the most that a request may ask for. Default 1 hour, 1 GiB,
	// 64 MiB, 1 MiB.
	Ceiling Limits

	spare int64 // of a child's memory, beside the ceiling; changed by tests
}

func (c Config) withDefaults() Config {
	def := func(value *int, fallback int) {
		if *value == 0 {
			*value = fallback
		}
	}
	def(&c.Children, runtime.GOMAXPROCS(0))
	def(&c.Modules, 8)
	if c.CacheBytes == 0 {
		c.CacheBytes = 1 << 30
	}
	if c.spare == 0 {
		c.spare = childSpare
	}
	if c.Idle == 0 {
		c.Idle = time.Minute
	}
	if c.Compile == 0 {
		c.Compile = 2 * time.Minute
	}
	c.Ceiling = c.Ceiling.or(Limits{Time: time.Hour, Memory: 1 << 30, Output: 64 << 20, Log: 1 << 20})
	c.Default = c.Default.or(Limits{
		Time:   min(time.Minute, c.Ceiling.Time),
		Memory: min(256<<20, c.Ceiling.Memory),
		Output: min(4<<20, c.Ceiling.Output),
		Log:    min(64<<10, c.Ceiling.Log),
	})
	return c
}

func (c Config) validate() error {
	switch {
	case !supported:
		return fmt.Errorf("wasm: %w: the sandbox needs Unix processes, not %s", errors.ErrUnsupported, runtime.GOOS)
	case c.CacheDir == "":
		return errors.New("wasm: Config.CacheDir is empty")
	case c.CacheBytes < 0 || c.Children < 0 || c.Modules < 0 || c.Idle < 0 || c.Compile < 0:
		return errors.New("wasm: a field of Config is negative")
	case c.Ceiling.Memory > 4<<30:
		return errors.New("wasm: Config.Ceiling.Memory is over 4 GiB")
	}
	return c.Default.within(c.Ceiling)
}

func (l Limits) or(fallback Limits) Limits {
	if l.Time == 0 {
		l.Time = fallback.Time
	}
	if l.Memory == 0 {
		l.Memory = fallback.Memory
	}
	if l.Output == 0 {
		l.Output = fallback.Output
	}
	if l.Log == 0 {
		l.Log = fallback.Log
	}
	return l
}

// within names the limit that is negative or over its ceiling.
func (l Limits) within(ceiling Limits) error {
	for _, field := range []struct {
		name       string
		value, max int64
	}{
		{"time (ns)", int64(l.Time), int64(ceiling.Time)},
		{"memory", l.Memory, ceiling.Memory},
		{"output", l.Output, ceiling.Output},
		{"log", l.Log, ceiling.Log},
	} {
		if field.value < 0 || field.value > field.max {
			return failure(KindLimits, "it asks for a %s limit of %d; this peer grants %d", field.name, field.value, field.max)
		}
	}
	return nil
}

// Stats counts what a pool did.
type Stats struct {
	Children int    // processes now
	Idle     int    // of these, without work
	Started  uint64 // processes ever started
	Loaded   uint64 // modules ever compiled, or taken from the directory, by a child
	Runs     uint64
	Warm     uint64          // of these, runs of reactors that were ready
	Failed   map[Kind]uint64 // requests and runs that failed
}

// Pool runs modules in child processes. Its methods may be called from any goroutine.
type Pool struct {
	config   Config
	slots    chan struct{} // one for each run at a time
	starter  sync.Once
	starts   chan *start
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	compiles compiles

	mu       sync.Mutex
	closed   bool
	idle     []*child // least recently used first
	children map[*child]struct{}
	stats    Stats
	tasks    sync.WaitGroup // children's waits, runs, the starter
}

// New makes a pool. No child is started before the first run.
func New(config Config) (*Pool, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("wasm: make cache directory: %w", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	p := &Pool{
		config:   config,
		slots:    make(chan struct{}, config.Children),
		starts:   make(chan *start),
		ctx:      ctx,
		cancel:   func() { cancel(ErrClosed) },
		children: make(map[*child]struct{}),
		stats:    Stats{Failed: make(map[Kind]uint64)},
	}
	return p, nil
}

// Close ends all runs with ErrClosed, and all children. It may be called again.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	for c := range p.children {
		if c.idle != nil {
			c.idle.Stop()
		}
		c.kill(ErrClosed)
	}
	p.idle = nil
	p.mu.Unlock()
	p.cancel()
	p.tasks.Wait()
	return nil
}

// Stats returns the counts of now.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Failed = maps.Clone(p.stats.Failed)
	s.Children, s.Idle = len(p.children), len(p.idle)
	return s
}

// Run runs the module once. It waits for a free child; the time limit counts
// from when the module starts. When ctx ends first the child is killed and the
// context's cause returned. The other errors are [Error], [ErrNotLent] and
// [ErrClosed].
func (p *Pool) Run(ctx context.Context, req Request) (Result, error) {
	result, err := p.run(ctx, req)
	p.count(func(s *Stats) {
		if result.Warm {
			s.Warm++
		}
		if f := (*Error)(nil); errors.As(err, &f) {
			s.Failed[f.Kind]++
		}
	})
	return result, err
}

func (p *Pool) run(ctx context.Context, req Request) (Result, error) {
	if !p.config.Lent {
		return Result{}, ErrNotLent
	}
	limits := req.Limits.or(p.config.Default)
	if err := limits.within(p.config.Ceiling); err != nil {
		return Result{}, err
	}
	if err := req.check(); err != nil {
		return Result{}, err
	}
	if !p.enter() {
		return Result{}, ErrClosed
	}
	defer p.tasks.Done()
	ctx, done := merge(ctx, p.ctx)
	defer done()

	facts, err := p.compiles.ensure(ctx, req.Hash, func() (facts, error) { return p.compile(ctx, &req) })
	if err != nil {
		return Result{}, err
	}
	if facts.memory > limits.Memory {
		return Result{}, failure(KindMemory, "it needs %d MiB to start; the limit is %d MiB",
			mebibytes(uint64(facts.memory)), limits.Memory>>20)
	}
	c, err := p.acquire(ctx, req.Hash)
	if err != nil {
		return Result{}, err
	}
	defer p.release(c)
	if !c.has(req.Hash) {
		code, _, err := req.read(ctx)
		if err != nil {
			return Result{}, err
		}
		if err := p.load(ctx, c, req.Hash, code); err != nil {
			return Result{}, err
		}
	}
	p.count(func(s *Stats) { s.Runs++ })
	return c.run(ctx, req.Hash, &req, limits)
}

// compile brings the module into the shared directory, and one child, for the
// first time.
func (p *Pool) compile(ctx context.Context, req *Request) (facts, error) {
	code, f, err := req.read(ctx)
	if err != nil {
		return facts{}, err
	}
	if f.memory > p.config.Ceiling.Memory {
		return f, nil // no limit will do, so Run refuses it; nothing to compile
	}
	c, err := p.acquire(ctx, req.Hash)
	if err != nil {
		return facts{}, err
	}
	defer p.release(c)
	if err := p.load(ctx, c, req.Hash, code); err != nil {
		return facts{}, err
	}
	TrimCache(p.config.CacheDir, p.config.CacheBytes)
	return f, nil
}

func (p *Pool) load(ctx context.Context, c *child, hash [32]byte, code []byte) error {
	p.count(func(s *Stats) { s.Loaded++ })
	return c.load(ctx, hash, code, p.config.Compile, p.config.Modules)
}

func (p *Pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.tasks.Add(1)
	return true
}

func (p *Pool) count(change func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.stats)
}

// merge returns a context that also ends with other, and its cause.
func merge(ctx, other context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
