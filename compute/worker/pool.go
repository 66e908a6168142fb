package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/chorus-net/chorus/compute"
)

// ModuleRunner runs tasks whose code is a WebAssembly module; Sandbox is one.
// It returns soon after ctx ends. Peer, Task, Attempt and Elapsed of the result
// are filled in by the pool.
type ModuleRunner interface {
	RunModule(ctx context.Context, t *compute.Task) compute.Result
}

// Config sets up a Pool. The zero value of each field but Registry means its default.
type Config struct {
	Registry *Registry
	// Modules runs WebAssembly; nil: such tasks crash here, so do not advertise
	// compute.CapWASM.
	Modules ModuleRunner
	Slots   int           // tasks at once; default 1
	Time    time.Duration // limit of an attempt whose task names none; default 10 min
	Output  int           // limit of an output in bytes, whatever the task says; default 512 KiB
	// Grace is how long a function may go on after its time or after Stop
	// before its worker is given up for lost and replaced; default 1 s.
	Grace time.Duration
}

func (c Config) withDefaults() Config {
	if c.Slots == 0 {
		c.Slots = 1
	}
	if c.Time == 0 {
		c.Time = 10 * time.Minute
	}
	if c.Output == 0 {
		c.Output = 512 << 10
	}
	if c.Grace == 0 {
		c.Grace = time.Second
	}
	return c
}

// maxAbandoned bounds the goroutines of functions that ignore their context.
// Beyond it such a function keeps its slot until it returns.
const maxAbandoned = 64

// Causes for which an attempt's context ends.
var (
	errStopped = errors.New("stopped")
	errClosed  = errors.New("worker pool closed")
)

// Stats counts what a pool did.
type Stats struct {
	Running   int
	Ran       uint64 // attempts reported
	Panics    uint64
	Abandoned int // functions that run on although their time is over
}

// Pool runs attempts at tasks, Config.Slots at a time. Its methods may be
// called from any goroutine.
type Pool struct {
	cfg  Config
	work chan *attempt
	wg   sync.WaitGroup // goroutines that have not been abandoned

	mu        sync.Mutex
	closed    bool
	active    map[key]*attempt
	abandoned int
	ran       uint64
	panics    uint64
}

// key names an attempt.
type key struct {
	task    compute.ID
	attempt uint32
}

// New starts a pool with a goroutine for each slot. Close it.
func New(cfg Config) *Pool {
	p := &Pool{cfg: cfg.withDefaults(), active: make(map[key]*attempt)}
	p.work = make(chan *attempt, p.cfg.Slots)
	for i := range p.cfg.Slots {
		p.wg.Add(1)
		go p.slot(i)
	}
	return p
}

// Start runs a task on a free worker and calls report once, from another
// goroutine, when it has ended, also when it was stopped. It does not block: a
// pool that has no free worker reports a crash. After Close nothing is reported.
func (p *Pool) Start(t compute.Task, report func(compute.Result)) {
	ctx, cancel := context.WithCancelCause(context.Background())
	a := &attempt{task: t, ctx: ctx, cancel: cancel, report: report}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		cancel(errClosed)
		return
	case len(p.active) < p.cfg.Slots && p.active[a.key()] == nil:
		p.active[a.key()] = a
		p.work <- a // has room: there are no more attempts than slots
		return
	}
	cancel(errStopped)
	r := compute.Result{Task: t.ID, Attempt: t.Attempt, Crashed: true, Err: "no free worker"}
	go report(r)
}

// Stop ends an attempt early. It is still reported.
func (p *Pool) Stop(ref compute.Ref) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.active[key{ref.Task, ref.Attempt}]; a != nil {
		p.end(a, errStopped)
	}
}

// end cancels an attempt and gives it Grace to return. The lock is held.
func (p *Pool) end(a *attempt, cause error) {
	if a.ending {
		return
	}
	a.ending = true
	a.cancel(cause)
	if a.timer != nil {
		a.timer.Stop()
	}
	if !a.started.IsZero() {
		a.timer = time.AfterFunc(p.cfg.Grace, func() { p.abandon(a) })
	}
}

// Close stops what runs, and waits for it up to Config.Grace. It may be called
// repeatedly.
func (p *Pool) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.work)
		for _, a := range p.active {
			p.end(a, errClosed)
		}
	}
	p.mu.Unlock()
	p.wg.Wait()
	return nil
}

// Stats returns the counters.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Running: len(p.active), Ran: p.ran, Panics: p.panics, Abandoned: p.abandoned}
}

// slot is one worker: it runs attempts until the pool closes, or until it is
// abandoned in one of them. Its place in the wait group goes to its successor.
func (p *Pool) slot(number int) {
	var current *attempt
	abandoned := false
	defer func() {
		switch {
		case abandoned:
		case current == nil:
			p.wg.Done()
		default: // the function called runtime.Goexit
			if p.finish(current, compute.Result{Crashed: true, Err: "the function ended its goroutine"}) {
				go p.slot(number)
			}
		}
	}()
	for a := range p.work {
		current = a
		p.begin(a, number)
		if !p.finish(a, p.run(a)) {
			abandoned = true
			return
		}
		current = nil
	}
}

// begin starts an attempt's clock.
func (p *Pool) begin(a *attempt, worker int) {
	limit := a.task.Limits.Time
	if limit <= 0 {
		limit = p.cfg.Time
	}
	left := limit
	if a.task.Code.Func == "" {
		left += compute.ModuleExtra // the sandbox itself holds the module to its time
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a.started, a.worker = time.Now(), worker
	if a.ending {
		a.timer = time.AfterFunc(p.cfg.Grace, func() { p.abandon(a) })
		return
	}
	a.timer = time.AfterFunc(left, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.end(a, fmt.Errorf("time limit of %s exceeded", limit))
	})
}

// finish reports an attempt unless that was done already, and says whether
// the goroutine that ran it still has its slot.
func (p *Pool) finish(a *attempt, r compute.Result) bool {
	p.mu.Lock()
	if a.reported {
		if a.abandoned {
			p.abandoned--
		}
		p.mu.Unlock()
		return false
	}
	silent := p.reported(a)
	p.mu.Unlock()
	if !silent {
		a.send(r)
	}
	return true
}

// reported takes an attempt off the books and says whether nobody wants to
// hear of it. The lock is held.
func (p *Pool) reported(a *attempt) (silent bool) {
	a.reported = true
	a.elapsed = time.Since(a.started)
	a.timer.Stop()
	a.cancel(errStopped)
	delete(p.active, a.key())
	p.ran++
	return p.closed
}

// abandon reports an attempt whose function does not return, and puts another
// goroutine in its place.
func (p *Pool) abandon(a *attempt) {
	p.mu.Lock()
	if a.reported || p.abandoned >= maxAbandoned && !p.closed {
		p.mu.Unlock()
		return
	}
	r := a.failed()
	r.Err += "; the function goes on"
	a.abandoned = true
	p.abandoned++
	silent := p.reported(a)
	closed := p.closed
	p.mu.Unlock()
	if closed {
		p.wg.Done()
	} else {
		go p.slot(a.worker)
	}
	if !silent {
		a.send(r)
	}
}
