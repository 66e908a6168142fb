package drive

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull answers a Post, Do or Act that found no room in the inbox.
var ErrFull = errors.New("inbox full")

// ErrClosed answers whoever calls a loop that was stopped, or waits for one.
var ErrClosed = errors.New("loop closed")

// Core is what a loop drives: In is a message to it, Out what it answers with.
type Core[In, Out any] interface {
	// Step hands the core one message.
	Step(now time.Time, in In) Out
	// Tick tells the core that its deadline came. It may come late.
	Tick(now time.Time) Out
	// Deadline returns when the core wants its next Tick; zero means not before
	// something else happens to it. It is asked after each Step, Tick, Do and Act.
	Deadline() time.Time
}

// Config tunes a loop.
type Config struct {
	// Inbox is the number of messages that may wait; 0 means 4096. As many calls
	// of Do and Act may wait besides, so that a flood of messages does not lock
	// out the peer's own commands.
	Inbox int
	// MinTick is the least time between two ticks, so that a core whose deadline
	// lies in the past cannot spin; 0 means 1 ms.
	MinTick time.Duration
}

func (c Config) withDefaults() Config {
	if c.Inbox <= 0 {
		c.Inbox = 4096
	}
	if c.MinTick <= 0 {
		c.MinTick = time.Millisecond
	}
	return c
}

// Stats counts what a loop did since it started.
type Stats struct {
	Steps   uint64 // messages handed to the core
	Ticks   uint64
	Refused uint64 // messages and calls answered with ErrFull
	Queued  int    // messages and calls that wait now
}

// Loop owns a core of type C. Its methods may be called from any goroutine.
type Loop[C Core[In, Out], In, Out any] struct {
	core C
	out  func(Out)
	cfg  Config

	wake chan struct{} // holds a token while the loop should look at its inbox
	quit chan struct{} // closed by Stop
	done chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	inbox  []item[C, In, Out]
	msgs   int // messages among inbox
	closed bool

	steps, ticks, refused atomic.Uint64
}

// item is a message or, if job is set, a call to run.
type item[C Core[In, Out], In, Out any] struct {
	in  In
	job *job[C, Out]
}

// New starts a loop that owns core and hands its output to out. Close it.
func New[C Core[In, Out], In, Out any](core C, out func(Out), cfg Config) *Loop[C, In, Out] {
	l := &Loop[C, In, Out]{
		core: core,
		out:  out,
		cfg:  cfg.withDefaults(),
		wake: make(chan struct{}, 1),
		quit: make(chan struct{}),
		done: make(chan struct{}),
	}
	go l.run()
	return l
}

// Post hands the core a message, after all that was posted before. It does not
// block: the error is ErrFull or ErrClosed.
func (l *Loop[C, In, Out]) Post(in In) error {
	return l.enqueue(item[C, In, Out]{in: in})
}

// Do runs fn on the loop and returns when it has run. fn must not block and
// must not keep the core. If ctx ends first, fn is not run, now or later.
func (l *Loop[C, In, Out]) Do(ctx context.Context, fn func(core C)) error {
	return l.call(ctx, &job[C, Out]{query: fn})
}

// Act is Do for a function that changes the core and has output, which goes
// where the output of steps goes, before Act returns.
func (l *Loop[C, In, Out]) Act(ctx context.Context, fn func(core C, now time.Time) Out) error {
	return l.call(ctx, &job[C, Out]{act: fn})
}

// Stats returns the loop's counters.
func (l *Loop[C, In, Out]) Stats() Stats {
	l.mu.Lock()
	queued := len(l.inbox)
	l.mu.Unlock()
	return Stats{Steps: l.steps.Load(), Ticks: l.ticks.Load(), Refused: l.refused.Load(), Queued: queued}
}

// Stop ends the loop without waiting: what waits in the inbox is dropped, and
// whoever waits for a call gets ErrClosed.
func (l *Loop[C, In, Out]) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.quit)
	}
}

// Close stops the loop and waits for its goroutine: when it returns, neither
// the core nor the callback is touched again. It may be called repeatedly.
func (l *Loop[C, In, Out]) Close() error {
	l.Stop()
	<-l.done
	return nil
}

func (l *Loop[C, In, Out]) enqueue(it item[C, In, Out]) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	waiting := l.msgs
	if it.job != nil {
		waiting = len(l.inbox) - l.msgs
	}
	if waiting >= l.cfg.Inbox {
		l.mu.Unlock()
		l.refused.Add(1)
		return ErrFull
	}
	l.inbox = append(l.inbox, it)
	if it.job == nil {
		l.msgs++
	}
	first := len(l.inbox) == 1
	l.mu.Unlock()
	if first {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return nil
}
