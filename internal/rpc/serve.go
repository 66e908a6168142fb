package rpc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

const (
	// maxDeadline bounds the time that a caller can ask a handler to spend.
	maxDeadline = time.Hour
	// earlyFlush is how many bytes of replies the reader lets gather while it has
	// requests at hand.
	earlyFlush = 32 << 10
)

// serve runs the handler of a request or a cast, or has a worker run it. An
// error ends the connection.
func (c *Conn) serve(env *pb.Envelope, payload []byte, owned bool) error {
	if env.Method > 1<<16-1 || env.Class > 1<<8-1 {
		return fmt.Errorf("%w: method %d, class %d", errFrame, env.Method, env.Class)
	}
	if env.Kind == pb.Kind_KIND_REQUEST {
		if full, err := c.unread(); full {
			c.turnAway(env, ErrBusy)
			if err == nil {
				c.flushReplies()
				pause(c.ctx, unreadPause)
			}
			return err
		}
	}
	role := c.role
	if env.Role != 0 && env.Role < uint32(role) {
		role = Role(env.Role)
	}
	entry, refusal := c.cfg.Registry.admit(Method(env.Method), role, len(payload))
	if refusal != nil {
		c.turnAway(env, refusal)
		return nil
	}
	if !entry.Inline {
		return c.serveLater(entry, env, role, payload, owned)
	}
	req := &c.inReq
	*req = Request{From: c.cfg.Peer, Header: header(env, role), Payload: payload, lent: !owned}
	reply, err := entry.handle(c.ctx, req)
	c.answer(env.Kind, env.Call, reply, err, true)
	return nil
}

// header is what a handler sees of the envelope.
func header(env *pb.Envelope, role Role) Header {
	h := Header{
		Method: Method(env.Method),
		Shard:  env.Shard,
		Epoch:  env.Epoch,
		Class:  uint8(env.Class),
		Role:   role,
	}
	if env.DeadlineMs != 0 {
		left := time.Duration(env.DeadlineMs) * time.Millisecond
		h.Deadline = time.Now().Add(min(left, maxDeadline))
	}
	copy(h.Trace[:], env.Trace)
	return h
}

// turnAway answers a request that no handler gets.
func (c *Conn) turnAway(env *pb.Envelope, refusal *Error) {
	c.mu.Lock()
	c.stats.Refused++
	c.mu.Unlock()
	c.answer(env.Kind, env.Call, nil, refusal, true)
}

// answer queues the outcome of a request; that of a cast is dropped. With
// gather it leaves the writing to the reader, which calls flushReplies when it
// has handled what it has read. A queue that is full makes it wait: the other
// side must take replies, or WriteTimeout ends the connection.
func (c *Conn) answer(kind pb.Kind, id uint64, reply []byte, err error, gather bool) {
	out := pb.Kind_KIND_REPLY
	if err == nil && len(reply)+maxEnvelope+2 > c.cfg.MaxFrame {
		err = ErrTooLarge
	}
	if err != nil && kind == pb.Kind_KIND_REQUEST {
		out, reply = pb.Kind_KIND_ERROR, marshalFailure(Travelling(err))
	}
	c.mu.Lock()
	c.stats.Served++
	if kind != pb.Kind_KIND_REQUEST || !c.awaitSpace() {
		c.mu.Unlock()
		return
	}
	c.outEnv.Reset()
	c.outEnv.Kind, c.outEnv.Call = out, id
	if gather && c.queued+len(reply) < earlyFlush {
		c.enqueue(reply)
		c.mu.Unlock()
		return
	}
	lone := !gather && c.inHand == 0
	var now time.Time
	if lone {
		now = time.Now()
	}
	c.send(reply, lone, now)
}

// awaitSpace waits, under the lock, until the queue has room. It reports
// whether the connection is still of use.
func (c *Conn) awaitSpace() bool {
	for c.usable() == nil && c.queued >= c.cfg.MaxQueue {
		if !c.flushing {
			c.flushing = true
			go c.flush(nil)
		}
		c.space.Wait()
	}
	return c.usable() == nil
}

// maxMessage bounds the text of an error that travels.
const maxMessage = 4 << 10

func marshalFailure(e *Error) []byte {
	f := pb.Failure{Code: e.Code, Message: e.Message, Detail: e.Detail}
	if len(f.Message) > maxMessage {
		f.Message = strings.ToValidUTF8(f.Message[:maxMessage], "")
	}
	if len(f.Detail) > minFrame/2 {
		f.Detail = nil
	}
	b, err := f.MarshalVT()
	if err != nil {
		panic(fmt.Sprintf("rpc: marshal failure: %v", err)) // it has no required field
	}
	return b
}

// served is a request that a worker has, or will run.
type served struct {
	conn   *Conn
	entry  *entry
	req    Request
	kind   pb.Kind
	call   uint64
	ctx    context.Context
	cancel context.CancelFunc
	next   *served // in the queue of Workers
	parked bool    // does not count as running; guarded by the lock of Workers
}

// share is what the caller has of the workers.
func (s *served) share() *share { return &s.conn.cfg.Budget.share }

// mostActive is how many requests of the caller may run at a time.
func (s *served) mostActive() int { return s.conn.cfg.MaxRunning }

// serveLater hands a request to the workers.
func (c *Conn) serveLater(e *entry, env *pb.Envelope, role Role, payload []byte, owned bool) error {
	c.askedFrames += workerFrames - 1
	s := &served{conn: c, entry: e, kind: env.Kind, call: env.Call}
	s.req = Request{From: c.cfg.Peer, Header: header(env, role), Payload: payload, served: s}
	if s.req.Deadline.IsZero() {
		s.req.Deadline = time.Now().Add(c.cfg.CallTimeout)
	}
	if !owned && len(payload) > 0 {
		s.req.memory = getMemory(payload)
		s.req.Payload = *s.req.memory
	}
	s.ctx, s.cancel = context.WithDeadline(c.ctx, s.req.Deadline)

	c.mu.Lock()
	full := c.cfg.Budget.inHand.Add(1) > int64(c.cfg.MaxServing)
	twice := s.kind == pb.Kind_KIND_REQUEST && c.serving[s.call] != nil
	if full || twice {
		c.cfg.Budget.inHand.Add(-1)
	} else {
		c.inHand++
		if s.kind == pb.Kind_KIND_REQUEST {
			c.serving[s.call] = s
		}
	}
	c.mu.Unlock()
	switch {
	case twice:
		s.release()
		return fmt.Errorf("%w: call %d twice", errFrame, s.call)
	case full:
		s.release()
		c.turnAway(env, ErrBusy)
		return nil
	}
	if refusal := c.cfg.Workers.submit(s); refusal != nil {
		s.leave()
		s.release()
		c.turnAway(env, refusal)
	}
	return nil
}

// run is called by a worker.
func (s *served) run() {
	var reply []byte
	err := s.ctx.Err()
	if err == nil {
		reply, err = s.entry.handle(s.ctx, &s.req)
	}
	s.leave()
	s.conn.answer(s.kind, s.call, reply, err, false)
	s.release()
}

// leave takes the request off the connection's books.
func (s *served) leave() {
	c := s.conn
	c.mu.Lock()
	c.inHand--
	c.cfg.Budget.inHand.Add(-1)
	if s.kind == pb.Kind_KIND_REQUEST {
		delete(c.serving, s.call)
	}
	c.mu.Unlock()
}

func (s *served) release() {
	s.cancel()
	if s.req.memory != nil {
		putMemory(s.req.memory)
	}
}

// cancelServed ends the context of a request whose caller gave up.
func (c *Conn) cancelServed(id uint64) {
	c.mu.Lock()
	s := c.serving[id]
	c.mu.Unlock()
	if s != nil {
		s.cancel()
	}
}
