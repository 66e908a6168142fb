package overlay

import (
	"context"
	"sync"
	"time"

	"github.com/chorus-net/chorus/store"
)

// clock is the peer's hybrid logical clock for any goroutine. It never issues
// a version above the ceiling that is on disk, so that none repeats after a
// restart.
type clock struct {
	// save puts a ceiling on stable storage.
	save func(ctx context.Context, ceiling uint64) error

	saving chan struct{} // a token; whoever holds it raises the ceiling
	mu     sync.Mutex
	core   *store.Clock
	raised int // how often the ceiling was raised
}

func newClock(floor uint64, save func(context.Context, uint64) error) *clock {
	return &clock{save: save, saving: make(chan struct{}, 1), core: store.NewClock(store.DefaultSkew, floor)}
}

// next returns the clock of a new version.
func (c *clock) next(ctx context.Context) (uint64, error) {
	for {
		c.mu.Lock()
		t, err := c.core.Next(time.Now())
		c.mu.Unlock()
		if err == nil {
			return t, nil
		}
		if err := c.reserve(ctx); err != nil {
			return 0, err
		}
	}
}

// reserve raises the ceiling, unless another caller is at it: then it waits.
func (c *clock) reserve(ctx context.Context) error {
	c.mu.Lock()
	seen := c.raised
	c.mu.Unlock()
	select {
	case c.saving <- struct{}{}:
		defer func() { <-c.saving }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	done := c.raised != seen
	ceiling := c.core.Reserve(time.Now())
	c.mu.Unlock()
	if done {
		return nil
	}
	if err := c.save(ctx, ceiling); err != nil {
		return err
	}
	c.mu.Lock()
	c.core.Reserved(ceiling)
	c.raised++
	c.mu.Unlock()
	return nil
}

// observe moves the clock past a version that another peer issued.
func (c *clock) observe(v store.Version) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.Observe(time.Now(), v)
}
