package overlay

import "sync"

// group owns the goroutines of a node that answer to nobody: they end by
// themselves, soon after the node's context, and wait waits for them.
type group struct {
	mu     sync.Mutex
	wg     sync.WaitGroup
	closed bool
}

// start runs fn on a goroutine of its own and reports whether it did: a closed
// group runs nothing.
func (g *group) start(fn func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Go(fn)
	return true
}

// close makes start refuse and waits for what runs.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.wg.Wait()
}
