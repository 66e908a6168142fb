package overlay

import (
	"slices"
	"sync"
	"time"
)

// group owns the goroutines of a node that answer to nobody: they end by
// themselves, soon after the node's context, and close waits for them.
//
// A goroutine that is done waits a while for more to run: one that has run has a stack
// of the size that calls take, and a new one would have to grow it again.
type group struct {
	mu     sync.Mutex
	wg     sync.WaitGroup
	closed bool
	idle   []chan func() // of goroutines that wait; the last came last
}

// idleGoroutine is how long a goroutine waits for more.
const idleGoroutine = time.Second

// start runs fn on a goroutine of its own and reports whether it did: a closed
// group runs nothing.
func (g *group) start(fn func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	if last := len(g.idle) - 1; last >= 0 {
		more := g.idle[last]
		g.idle = g.idle[:last]
		more <- fn // has room for one
		return true
	}
	g.wg.Go(func() { g.run(fn) })
	return true
}

// run runs fn and what comes after.
func (g *group) run(fn func()) {
	more := make(chan func(), 1)
	timer := time.NewTimer(idleGoroutine)
	defer timer.Stop()
	for fn != nil {
		fn()
		fn = g.next(more, timer)
	}
}

// next returns what to run now, or nil when the goroutine shall end.
func (g *group) next(more chan func(), timer *time.Timer) func() {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.idle = append(g.idle, more)
	g.mu.Unlock()

	timer.Reset(idleGoroutine)
	select {
	case fn := <-more:
		return fn
	case <-timer.C:
	}
	g.mu.Lock()
	i := slices.Index(g.idle, more)
	if i >= 0 {
		g.idle = slices.Delete(g.idle, i, i+1)
	}
	g.mu.Unlock()
	if i >= 0 {
		return nil
	}
	return <-more // somebody picked this goroutine meanwhile
}

// close makes start refuse and waits for what runs.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	for _, more := range g.idle {
		more <- nil
	}
	g.idle = nil
	g.mu.Unlock()
	g.wg.Wait()
}
