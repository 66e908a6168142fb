package overlay

import (
	"context"
	"sync/atomic"
	"time"
)

// pace has the work that keeps replicas alike give way to the reads and writes that people
// wait for. While this peer serves any, that work is done one step at a time, and each
// step is followed by a pause restFactor times as long, at most restMost: whatever there
// is to catch up on, it has a quarter of a processor and of the disk. What waits for
// another peer is no step, so a long way there costs nothing here.
type pace struct {
	served atomic.Int64 // when a read or write was served last, in microseconds since 1970

	turn chan struct{} // a token; whoever holds it takes a step, or waits until it may
	free time.Time     // when the pause after the last step ends; guarded by the token
}

const (
	restFactor = 3
	restMost   = 100 * time.Millisecond
	// restAfter is how long without a request it takes until the way is free.
	restAfter = 20 * time.Millisecond
	// stepRecords is how many records a step writes: they may share a sync with a put,
	// which waits for all of them.
	stepRecords = 64
)

func newPace() *pace { return &pace{turn: make(chan struct{}, 1)} }

// serving notes that a read or write is served now.
func (p *pace) serving(now time.Time) { p.served.Store(now.UnixMicro()) }

func (p *pace) busy() bool { return time.Since(time.UnixMicro(p.served.Load())) <= restAfter }

// step runs do when it may, unless the context ends before.
func (p *pace) step(ctx context.Context, do func() error) error {
	if !p.busy() {
		return do()
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if wait := time.Until(p.free); wait > 0 && !sleep(ctx, wait) {
		return ctx.Err()
	}
	began := time.Now()
	defer func() {
		now := time.Now()
		p.free = now.Add(min(restFactor*now.Sub(began), restMost))
	}()
	return do()
}
