package rpc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Budget is how much one peer may ask for, over all streams to it. Whoever exceeds it is read
// more slowly, so that what it sends waits at its own end. All methods may be called
// from any goroutine.
type Budget struct {
	frames, bytes float64 // a second; none: no bound

	replies   atomic.Int64 // bytes of replies that wait to be written
	share     share        // of the workers
	inHand    atomic.Int64 // requests and casts that workers have, or will run
	mu        sync.Mutex
	at        time.Time
	leftCalls float64
	leftBytes float64
}

// burst is how much of a second's worth may come at once.
const burst = 0.125

// NewBudget returns a budget of so many requests and casts, and so many bytes of them, a
// second. An eighth of that may come at once. What a worker runs counts as four.
func NewBudget(frames, bytes int) *Budget {
	b := &Budget{frames: float64(frames), bytes: float64(bytes)}
	b.leftCalls, b.leftBytes = burst*b.frames, burst*b.bytes
	return b
}

// spend takes frames and bytes off the budget, and returns how long it takes until they are
// made up for; 0: they were there.
func (b *Budget) spend(frames, bytes int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.at.IsZero() {
		since := now.Sub(b.at).Seconds()
		b.leftCalls = min(burst*b.frames, b.leftCalls+since*b.frames)
		b.leftBytes = min(burst*b.bytes, b.leftBytes+since*b.bytes)
	}
	b.at = now
	b.leftCalls -= float64(frames)
	b.leftBytes -= float64(bytes)
	short := max(-b.leftCalls/b.frames, -b.leftBytes/b.bytes, 0)
	return time.Duration(short * float64(time.Second))
}

// Frames and bytes that a connection counts before it asks the budget: the clock costs.
const (
	budgetFrames = 128
	budgetBytes  = 128 << 10
	// workerFrames is what a request counts for that needs a worker: it costs so much more.
	workerFrames = 4
)

// account counts a request or a cast of n bytes, and waits if the other side asks for too
// much. It is called by the reader.
func (c *Conn) account(n int) {
	if c.cfg.Budget.frames == 0 {
		return
	}
	c.askedFrames++
	c.askedBytes += n
	if c.askedFrames < budgetFrames && c.askedBytes < budgetBytes {
		return
	}
	wait := c.cfg.Budget.spend(c.askedFrames, c.askedBytes, time.Now())
	c.askedFrames, c.askedBytes = 0, 0
	if wait == 0 {
		return
	}
	c.flushReplies()
	pause(c.ctx, wait)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

const (
	// maxRefusals is by how many bytes refusals may exceed what replies may take.
	maxRefusals = 1 << 20
	// unreadPause is how long whoever takes no replies is not read after each of its requests. It is
	// read on, since what it takes no replies for may be that it is not read itself.
	unreadPause = 5 * time.Millisecond
)

// unread says whether the other side has taken too little of its replies to get another one. An
// error ends the connection: it does not take refusals either.
func (c *Conn) unread() (bool, error) {
	n := int(c.cfg.Budget.replies.Load())
	if n >= c.cfg.MaxReplies+maxRefusals {
		return true, &Error{Code: CodeConnLost, Message: "the other side takes no replies"}
	}
	return n >= c.cfg.MaxReplies, nil
}
