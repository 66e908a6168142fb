package wasm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// acquire returns a child that nobody else uses, preferring one that has the
// module, and starts one when all are busy and fewer than allowed. The caller
// releases it.
func (p *Pool) acquire(ctx context.Context, hash [32]byte) (*child, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	c := p.takeIdle(hash)
	if c == nil {
		var err error
		if c, err = p.startChild(ctx); err != nil {
			<-p.slots
			return nil, err
		}
	}
	return c, nil
}

func (p *Pool) release(c *child) {
	p.mu.Lock()
	if c.alive() && !p.closed {
		c.since = time.Now()
		c.idle = time.AfterFunc(p.config.Idle, func() { p.retire(c) })
		p.idle = append(p.idle, c)
	} else {
		p.discard(c)
	}
	p.mu.Unlock()
	<-p.slots
}

func (p *Pool) takeIdle(hash [32]byte) *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		best := len(p.idle) - 1 // the warmest
		for i := len(p.idle) - 1; i >= 0; i-- {
			if p.idle[i].has(hash) {
				best = i
				break
			}
		}
		c := p.idle[best]
		p.idle = append(p.idle[:best], p.idle[best+1:]...)
		c.idle.Stop()
		if c.alive() {
			return c
		}
		p.discard(c)
	}
	return nil
}

// retire ends a child that has been without work, unless it has some by now.
func (p *Pool) retire(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.idle {
		if p.idle[i] == c && !time.Now().Before(c.since.Add(p.config.Idle)) {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			p.discard(c)
			return
		}
	}
}

// discard forgets a child. The caller holds mu.
func (p *Pool) discard(c *child) {
	delete(p.children, c)
	c.kill(ErrClosed)
}

func (p *Pool) startChild(ctx context.Context) (*child, error) {
	c, theirs, err := newChild()
	if err != nil {
		return nil, fmt.Errorf("wasm: start sandbox: %w", err)
	}
	err = p.exec(c)
	for _, end := range theirs {
		err = errors.Join(err, end.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("wasm: start sandbox: %w", errors.Join(err, c.in.Close(), c.out.Close()))
	}
	p.mu.Lock()
	p.stats.Started++
	p.children[c] = struct{}{}
	if p.closed {
		c.kill(ErrClosed)
	}
	p.mu.Unlock()
	p.tasks.Go(c.wait)
	setup := setupFrame{
		version: protocolVersion,
		data:    uint64(p.config.Ceiling.Memory + p.config.spare),
		memory:  uint64(p.config.Ceiling.Memory),
		cache:   p.config.CacheDir,
	}
	if err := c.hello(ctx, setup); err != nil {
		p.mu.Lock()
		p.discard(c)
		p.mu.Unlock()
		return nil, err
	}
	return c, nil
}

// start asks the starter for a process.
type start struct {
	child *child
	done  chan error
}

// exec starts the process of c, in a thread that outlives it: Linux takes the
// end of the thread that started a child for the end of its parent.
func (p *Pool) exec(c *child) error {
	p.starter.Do(func() { p.tasks.Go(p.startAll) })
	s := &start{child: c, done: make(chan error, 1)}
	select {
	case p.starts <- s:
		return <-s.done
	case <-p.ctx.Done():
		return ErrClosed
	}
}

func (p *Pool) startAll() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case s := <-p.starts:
			s.done <- s.child.cmd.Start()
		case <-p.ctx.Done():
			return
		}
	}
}
