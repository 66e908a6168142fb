package rpc

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"time"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

// Frames are appended to one queue and written in batches by whoever set
// Conn.flushing: usually a goroutine that lives while there is something to
// write. A lone frame is written by the goroutine that queued it, which saves a
// switch. It does so under a short deadline; what a stalled stream did not take
// by then is left to a goroutine.
const (
	// directBudget bounds how long a lone frame may hold up its caller.
	directBudget = 20 * time.Millisecond
	// coalesceBelow is the size of the queue in bytes under which a writer lets other
	// goroutines add their frames first. Larger frames gain nothing.
	coalesceBelow = 8 << 10
	// maxYields is how often it lets them, as long as they do add some.
	maxYields = 3
)

// send queues a frame of outEnv and payload and starts a writer unless there is
// one. It is called with the lock held and releases it.
func (c *Conn) send(payload []byte, lone bool, now time.Time) {
	c.enqueue(payload)
	if c.flushing {
		c.mu.Unlock()
		return
	}
	c.flushing = true
	if !lone {
		c.mu.Unlock()
		go c.flush(nil)
		return
	}
	chunk := c.takeChunk()
	c.mu.Unlock()
	c.flushDirect(chunk, now)
}

// enqueue queues a frame of outEnv and payload, under the lock.
func (c *Conn) enqueue(payload []byte) {
	chunk := c.openChunk(frameOverhead + maxEnvelope + len(payload))
	before := len(*chunk)
	*chunk = appendFrame(*chunk, &c.outEnv, payload)
	n := len(*chunk) - before
	c.queued += n
	if c.outEnv.Kind == pb.Kind_KIND_REPLY || c.outEnv.Kind == pb.Kind_KIND_ERROR {
		c.replies[len(c.replies)-1] += n
		c.cfg.Budget.replies.Add(int64(n))
	}
}

// usable says, under the lock, why frames cannot be queued any more, if so.
func (c *Conn) usable() error {
	if c.err != nil {
		return c.err
	}
	return c.broken
}

// openChunk returns the end of the queue, with room for n bytes, under the
// lock.
func (c *Conn) openChunk(n int) *[]byte {
	if last := len(c.queue) - 1; last >= 0 {
		if chunk := c.queue[last]; cap(*chunk)-len(*chunk) >= n {
			return chunk
		}
	}
	chunk := getChunk(n)
	c.queue, c.replies = append(c.queue, chunk), append(c.replies, 0)
	return chunk
}

// takeChunk takes the head of the queue, or nil, under the lock.
func (c *Conn) takeChunk() *[]byte {
	if len(c.queue) == 0 {
		return nil
	}
	chunk := c.queue[0]
	c.cfg.Budget.replies.Add(int64(-c.replies[0]))
	c.queue, c.replies = slices.Delete(c.queue, 0, 1), slices.Delete(c.replies, 0, 1)
	c.queued -= len(*chunk)
	return chunk
}

// dropQueue forgets what is queued, under the lock.
func (c *Conn) dropQueue() {
	for _, n := range c.replies {
		c.cfg.Budget.replies.Add(int64(-n))
	}
	c.queue, c.replies, c.queued = nil, nil, 0
}

// flushReplies writes what the reader has queued, before it waits for more
// input.
func (c *Conn) flushReplies() {
	c.mu.Lock()
	if c.flushing || len(c.queue) == 0 {
		c.mu.Unlock()
		return
	}
	c.flushing = true
	chunk := c.takeChunk()
	c.mu.Unlock()
	c.flushDirect(chunk, time.Now())
}

// flushDirect writes one chunk on the caller's goroutine, and leaves to another
// what takes too long or came meanwhile. The caller has set flushing.
func (c *Conn) flushDirect(chunk *[]byte, now time.Time) {
	n, err := c.write(*chunk, now, directBudget)
	if timedOut(err) {
		rest := (*chunk)[n:]
		go c.flush(&rest)
		return
	}
	putChunk(chunk)
	if err != nil {
		c.endFlush(err)
		return
	}
	c.mu.Lock()
	if len(c.queue) == 0 || c.usable() != nil {
		c.flushing = false
		c.space.Broadcast()
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	go c.flush(nil)
}

// flush writes chunk, then the queue until it is empty.
func (c *Conn) flush(chunk *[]byte) {
	for {
		if chunk == nil {
			if chunk = c.nextChunk(); chunk == nil {
				return
			}
		}
		if _, err := c.write(*chunk, time.Now(), c.cfg.WriteTimeout); err != nil {
			c.endFlush(err)
			return
		}
		putChunk(chunk)
		chunk = nil
	}
}

// nextChunk takes the head of the queue. With nothing to write it ends the
// flush and returns nil.
func (c *Conn) nextChunk() *[]byte {
	c.mu.Lock()
	for before, i := 0, 0; before < c.queued && c.queued < coalesceBelow && i < maxYields; i++ {
		before = c.queued
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	c.space.Broadcast()
	if len(c.queue) == 0 || c.usable() != nil {
		c.flushing = false
		return nil
	}
	return c.takeChunk()
}

// linger is how long a connection that cannot be written to any more is still
// read, for the answers and the refusal that may be on their way.
const linger = 250 * time.Millisecond

// timedOut reports whether err is the end of a deadline, which not every stream
// says with os.ErrDeadlineExceeded.
func timedOut(err error) bool {
	if err == nil {
		return false
	}
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// endFlush gives up writing for good.
func (c *Conn) endFlush(err error) {
	if timedOut(err) {
		c.fail(&Error{Code: CodeConnLost, Message: "the other side takes no bytes"})
	}
	c.mu.Lock()
	c.broken = lost(err)
	c.dropQueue()
	c.flushing = false
	c.space.Broadcast()
	// A stream that refuses this is closed, as the next read finds by itself.
	_ = c.readBy(time.Now().Add(linger))
	c.mu.Unlock()
}

// write writes b with at most budget to spend, and at least half of it. The
// stream's deadline is moved only when it must be, since that costs a timer.
func (c *Conn) write(b []byte, now time.Time, budget time.Duration) (int, error) {
	if left := c.writeBy.Sub(now); left < budget/2 || left > budget {
		c.writeBy = now.Add(budget)
		if err := c.stream.SetWriteDeadline(c.writeBy); err != nil {
			return 0, err
		}
	}
	return c.stream.Write(b)
}

// drain waits until what is queued has been written, or the connection has
// ended, or the time is over.
func (c *Conn) drain(timeout time.Duration) {
	expired := false
	t := time.AfterFunc(timeout, func() {
		c.mu.Lock()
		expired = true
		c.space.Broadcast()
		c.mu.Unlock()
	})
	defer t.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 && !c.flushing {
		c.flushing = true
		go c.flush(nil)
	}
	for (len(c.queue) > 0 || c.flushing) && c.usable() == nil && !expired {
		c.space.Wait()
	}
}
