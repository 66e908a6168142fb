package rpc

import (
	"context"
	"time"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

// call is a request of this side that waits for its answer. Whoever removes it
// from Conn.pending finishes it, once.
type call struct {
	done     chan struct{} // gets one value when finished
	deadline time.Time
	dst      []byte // the reply is appended to it
	err      error
}

func (k *call) finish(reply []byte, err error) {
	k.dst, k.err = reply, err
	k.done <- struct{}{}
}

// Call implements Caller. The reply belongs to the caller. Errors: those of the
// handler (*Error), context.DeadlineExceeded at the deadline, the context's
// error, ErrBusy if too much is under way, ErrTooLarge, and ErrConnLost,
// ErrClosed or the other side's refusal once the connection is of no more use.
func (c *Conn) Call(ctx context.Context, h Header, payload []byte) ([]byte, error) {
	return c.CallAppend(ctx, nil, h, payload)
}

// CallAppend is Call, with the reply appended to dst, so that a caller in a
// loop can reuse its memory.
func (c *Conn) CallAppend(ctx context.Context, dst []byte, h Header, payload []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	now := time.Now()
	deadline := c.deadline(ctx, h, now)
	if !now.Before(deadline) {
		return dst, context.DeadlineExceeded
	}
	id, k, err := c.request(dst, h, payload, now, deadline)
	if err != nil {
		return dst, err
	}
	err = c.await(ctx, id, k)
	reply := k.dst
	c.recycle(k)
	if err != nil {
		return dst, err
	}
	return reply, nil
}

// deadline is the soonest that applies to a call.
func (c *Conn) deadline(ctx context.Context, h Header, now time.Time) time.Time {
	d, ok := ctx.Deadline()
	if !h.Deadline.IsZero() && (!ok || h.Deadline.Before(d)) {
		return h.Deadline
	}
	if !ok {
		return now.Add(c.cfg.CallTimeout)
	}
	return d
}

// request queues the frame of a call and sees to it that it gets written.
func (c *Conn) request(dst []byte, h Header, payload []byte, now, deadline time.Time) (uint64, *call, error) {
	c.mu.Lock()
	err := c.refuseSend(len(payload))
	if err == nil && len(c.pending) >= c.cfg.MaxPending {
		err = ErrBusy
	}
	if err != nil {
		c.mu.Unlock()
		return 0, nil, err
	}
	k := c.newCall()
	k.dst, k.deadline = dst, deadline
	c.lastCall++
	id := c.lastCall
	c.pending[id] = k
	c.expireBy(deadline, now)
	c.stats.Calls++
	lone := len(c.pending) == 1
	c.address(pb.Kind_KIND_REQUEST, id, h, now, deadline)
	c.send(payload, lone, now)
	return id, k, nil
}

// newCall returns a call out of those that are done, under the lock. They are
// kept with the connection rather than in a sync.Pool, since a channel must not
// wander between the bubbles of package synctest.
func (c *Conn) newCall() *call {
	if last := len(c.free) - 1; last >= 0 {
		k := c.free[last]
		c.free = c.free[:last]
		return k
	}
	return &call{done: make(chan struct{}, 1)}
}

// maxFree bounds the calls that a connection keeps for reuse.
const maxFree = 64

func (c *Conn) recycle(k *call) {
	k.dst, k.err = nil, nil
	c.mu.Lock()
	if len(c.free) < maxFree {
		c.free = append(c.free, k)
	}
	c.mu.Unlock()
}

// await waits until the call is finished or the context ends.
func (c *Conn) await(ctx context.Context, id uint64, k *call) error {
	ended := ctx.Done()
	if ended == nil {
		<-k.done
		return k.err
	}
	select {
	case <-k.done:
		return k.err
	case <-ended:
	}
	if !c.abandon(id) {
		<-k.done // it was finished meanwhile
		return k.err
	}
	return ctx.Err()
}

// abandon frees the slot of a call and tells the other side that nobody waits.
// It reports whether the call was still waiting.
func (c *Conn) abandon(id uint64) bool {
	c.mu.Lock()
	if _, ok := c.pending[id]; !ok {
		c.mu.Unlock()
		return false
	}
	delete(c.pending, id)
	if c.usable() != nil || c.queued >= c.cfg.MaxQueue {
		c.mu.Unlock() // the deadline that travelled will do
		return true
	}
	c.outEnv.Reset()
	c.outEnv.Kind, c.outEnv.Call = pb.Kind_KIND_CANCEL, id
	c.send(nil, false, time.Time{})
	return true
}

// settle finishes a call with what came for it. Answers nobody waits for are
// dropped.
func (c *Conn) settle(id uint64, payload []byte, owned bool, e *Error) {
	c.mu.Lock()
	k := c.pending[id]
	delete(c.pending, id)
	c.mu.Unlock()
	switch {
	case k == nil:
	case e != nil:
		k.finish(nil, e)
	case owned && k.dst == nil:
		k.finish(payload, nil)
	default:
		k.finish(append(k.dst, payload...), nil)
	}
}

// Cast implements Caller. Errors are those of queueing: ErrBusy, ErrTooLarge,
// and the reason for which the connection is of no more use.
func (c *Conn) Cast(ctx context.Context, h Header, payload []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	c.mu.Lock()
	if err := c.refuseSend(len(payload)); err != nil {
		c.mu.Unlock()
		return err
	}
	c.stats.Casts++
	c.address(pb.Kind_KIND_CAST, 0, h, now, h.Deadline)
	c.send(payload, false, now)
	return nil
}

// refuseSend says why a payload of n bytes cannot be queued now. It is called
// with the lock held.
func (c *Conn) refuseSend(n int) error {
	if err := c.usable(); err != nil {
		return err
	}
	switch {
	case n+maxEnvelope+2 > c.maxFrame:
		return ErrTooLarge
	case c.queued+n > c.cfg.MaxQueue:
		return ErrBusy
	}
	return nil
}

// address fills the envelope of a request or cast, under the lock.
func (c *Conn) address(kind pb.Kind, id uint64, h Header, now, deadline time.Time) {
	env := &c.outEnv
	env.Reset()
	env.Kind = kind
	env.Call = id
	env.Method = uint32(h.Method)
	env.Shard = h.Shard
	env.Epoch = h.Epoch
	env.Class = uint32(h.Class)
	env.Role = uint32(h.Role)
	if !deadline.IsZero() {
		env.DeadlineMs = milliseconds(deadline.Sub(now))
	}
	if h.Trace != ([16]byte{}) {
		c.trace = h.Trace
		env.Trace = c.trace[:]
	}
}

// milliseconds rounds up to what the envelope can say; none is 1, since 0 would
// mean no deadline.
func milliseconds(d time.Duration) uint32 {
	ms := (d + time.Millisecond - 1) / time.Millisecond
	return uint32(min(max(ms, 1), 1<<32-1))
}

// expireBy makes sure that the sweep comes at the given time or sooner. It is
// called with the lock held.
func (c *Conn) expireBy(t, now time.Time) {
	switch {
	case c.sweep == nil:
		c.sweep = time.AfterFunc(t.Sub(now), c.expire)
	case c.sweepAt.IsZero() || t.Before(c.sweepAt):
		c.sweep.Reset(t.Sub(now))
	default:
		return
	}
	c.sweepAt = t
}

// expire ends the calls whose deadline has come. One timer serves all calls of
// a connection: it is set for the earliest of those that were under way when
// it last fired, so it fires rarely however many calls there are.
func (c *Conn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	var next time.Time
	for id, k := range c.pending {
		switch {
		case !now.Before(k.deadline):
			delete(c.pending, id)
			k.finish(nil, context.DeadlineExceeded)
		case next.IsZero() || k.deadline.Before(next):
			next = k.deadline
		}
	}
	c.sweepAt = next
	if !next.IsZero() && c.err == nil {
		c.sweep.Reset(next.Sub(now))
	}
}
