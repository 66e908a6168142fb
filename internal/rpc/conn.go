package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire/pb"
)

// Stream is what a connection runs over: a net.Conn or a libp2p stream. A Write
// that ended at its deadline must have said how much it wrote and must be
// resumable, as must a Read, which holds for both but not for a bare tls.Conn.
type Stream interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Config configures a connection. Its zero value makes calls and serves none.
type Config struct {
	// Peer is the other side as the transport authenticated it; handlers see it
	// as Request.From. Empty: a control socket.
	Peer chord.PeerID
	// Hello is what this side says of itself.
	Hello Hello
	// Admit decides which role the other side gets; an error refuses it. Nil:
	// RoleNone.
	Admit func(Hello) (Role, error)
	// Registry holds the handlers that the other side may call. Nil: none.
	Registry *Registry
	// Workers runs the handlers that are not inline. Nil: such calls are
	// refused as busy.
	Workers *Workers
	// OnClose is called once, from a goroutine of the connection, when it is of
	// no more use, with the reason. Nil: nobody is told.
	OnClose func(error)

	// MaxFrame bounds a frame in bytes, in both directions. Zero: 1 MiB.
	MaxFrame int
	// MaxPending bounds the calls under way in each direction. Zero: 4096.
	MaxPending int
	// MaxServing bounds the calls of the other side that workers have, or will run, over all
	// connections of one Budget, so that one peer cannot take all of them. Zero: MaxPending.
	MaxServing int
	// MaxRunning bounds those of them that run at the same time and have not parked, over all
	// connections of one Budget, so that one peer cannot take all processors. Zero: MaxServing.
	MaxRunning int
	// Budget bounds what the other side asks for; all connections to it share one. Nil: one of
	// its own, without a bound on what it asks for.
	Budget *Budget
	// MaxReplies bounds the bytes of replies that the other side has not taken yet, over all
	// its connections of one Budget: beyond it its requests are refused as busy. Zero: MaxQueue.
	MaxReplies int
	// MaxQueue bounds the bytes queued for writing. Zero: 16 MiB.
	MaxQueue int
	// CallTimeout ends calls that come without a deadline. Zero: 10 s.
	CallTimeout time.Duration
	// WriteTimeout is how long the other side may take no bytes before the
	// connection is closed; it also bounds the wait for its hello, and, give or take a half,
	// what a frame that has begun takes beyond a second for each 16 KiB. Zero: 10 s.
	WriteTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Registry == nil {
		c.Registry = NewRegistry()
	}
	if c.MaxFrame == 0 {
		c.MaxFrame = 1 << 20
	}
	if c.MaxPending == 0 {
		c.MaxPending = 4096
	}
	if c.MaxServing == 0 {
		c.MaxServing = c.MaxPending
	}
	if c.MaxRunning == 0 {
		c.MaxRunning = c.MaxServing
	}
	if c.MaxQueue == 0 {
		c.MaxQueue = 16 << 20
	}
	if c.MaxReplies == 0 {
		c.MaxReplies = c.MaxQueue
	}
	if c.Budget == nil {
		c.Budget = &Budget{}
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 10 * time.Second
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 10 * time.Second
	}
	return c
}

// Conn is one end of a stream of calls. Both ends may call and serve. All
// methods may be called from any goroutine.
type Conn struct {
	cfg    Config
	stream Stream
	// ctx is the parent of the handlers' contexts; it ends with the connection.
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutines have ended
	heard  atomic.Int64  // when bytes last came, in Unix nanoseconds

	// Owned by the reader.
	in    *frameReader
	inEnv pb.Envelope
	inReq Request // of inline handlers
	role  Role    // granted to the other side
	// Asked for since the budget was asked.
	askedFrames, askedBytes int

	mu       sync.Mutex
	err      error     // why the connection has ended
	broken   error     // why it cannot be written to any more, if so
	readEnd  time.Time // the stream's read deadline
	maxFrame int       // what both sides take
	outEnv   pb.Envelope
	trace    [16]byte // of outEnv
	lastCall uint64
	pending  map[uint64]*call   // calls of this side under way
	serving  map[uint64]*served // calls of the other side that workers have, or will run
	inHand   int                // calls and casts that workers have, or will run
	free     []*call            // for reuse
	sweep    *time.Timer        // ends calls at their deadline
	sweepAt  time.Time
	stats    Stats

	queue    []*[]byte // chunks of frames to be written
	replies  []int     // the bytes of replies in each chunk
	queued   int       // the bytes in queue
	flushing bool      // somebody owns the writing side of the stream
	space    sync.Cond

	// Owned by whoever set flushing.
	writeBy time.Time // the stream's write deadline
}

var _ Caller = (*Conn)(nil)

// Stats counts what a connection did.
type Stats struct {
	Calls   uint64 // requests sent
	Casts   uint64 // casts sent
	Served  uint64 // requests and casts handled
	Refused uint64 // requests and casts turned away by the gate or a full queue
}

// NewConn starts a connection over stream, which it owns from now on. Calls may
// be made at once: they travel behind the hello, and fail with what the other
// side holds against it.
func NewConn(stream Stream, cfg Config) *Conn {
	c := &Conn{
		cfg:      cfg.withDefaults(),
		stream:   stream,
		done:     make(chan struct{}),
		pending:  make(map[uint64]*call),
		serving:  make(map[uint64]*served),
		flushing: true,
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.maxFrame = c.cfg.MaxFrame
	c.space.L = &c.mu
	c.heard.Store(time.Now().UnixNano())
	c.in = newFrameReader(reader{c}, c.cfg.MaxFrame, c.flushReplies)
	c.enqueueHello(nil)
	go c.flush(nil)
	go c.run()
	return c
}

// Done is closed when the connection has ended and its goroutines are gone.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why calls cannot be made any more, nil while they can.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usable()
}

// Stats returns the connection's counters.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Busy reports whether calls are under way in either direction.
func (c *Conn) Busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0 || c.inHand > 0 || c.queued > 0
}

// Heard returns when the other side was last heard, the start at first.
func (c *Conn) Heard() time.Time { return time.Unix(0, c.heard.Load()) }

// Close writes out what is queued, waiting a second at most, and ends the
// connection: calls under way fail with ErrClosed. It returns when the
// connection's goroutines have ended, so an inline handler must not call it.
func (c *Conn) Close() error {
	c.drain(time.Second)
	c.fail(ErrClosed)
	<-c.done
	return nil
}

// Abort ends the connection at once, without writing out what is queued and
// without waiting for its goroutines.
func (c *Conn) Abort() { c.fail(ErrClosed) }

// fail ends the connection for the given reason, if it has not ended yet.
func (c *Conn) fail(reason error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = reason
	if c.sweep != nil {
		c.sweep.Stop()
	}
	for id, call := range c.pending {
		delete(c.pending, id)
		call.finish(nil, reason)
	}
	c.space.Broadcast()
	c.mu.Unlock()

	c.cancel()
	// A libp2p stream whose protocol the other side has not confirmed does not
	// close while a read waits for that, which may be for ever.
	_ = c.stream.SetReadDeadline(longAgo)
	// What Close reports about a broken stream tells nothing that reason does not.
	_ = c.stream.Close()
}

// longAgo as a deadline ends reads at once.
var longAgo = time.Unix(1, 0)

// reader notes when the other side is heard.
type reader struct{ c *Conn }

func (r reader) Read(b []byte) (int, error) {
	for {
		n, err := r.c.stream.Read(b)
		if n > 0 {
			r.c.heard.Store(time.Now().UnixNano())
		}
		if n > 0 || !timedOut(err) || !r.c.leisure() {
			return n, err
		}
	}
}

// run is the connection's reader: it handles frames until the stream ends.
func (c *Conn) run() {
	defer close(c.done)
	err := c.greet()
	for err == nil {
		err = c.readFrame()
	}
	c.mu.Lock()
	reason := c.broken
	c.mu.Unlock()
	if reason == nil || !timedOut(err) {
		reason = lost(err)
	}
	c.fail(reason)
	c.mu.Lock()
	err = c.err
	for c.flushing {
		c.space.Wait()
	}
	c.dropQueue()
	c.mu.Unlock()
	if c.cfg.OnClose != nil {
		c.cfg.OnClose(err)
	}
}

// lost turns the end of a stream into the error that calls fail with.
func lost(err error) error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, io.EOF):
		return &Error{Code: CodeConnLost, Message: "the other side closed the connection"}
	default:
		return &Error{Code: CodeConnLost, Message: err.Error()}
	}
}

// greet waits for the other side's hello and lets it in, or not.
func (c *Conn) greet() error {
	c.mu.Lock()
	err := c.readBy(time.Now().Add(c.cfg.WriteTimeout))
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("await hello: %w", err)
	}
	body, _, err := c.in.next()
	if err != nil {
		return fmt.Errorf("await hello: %w", err)
	}
	m, err := parseHello(body)
	if err != nil {
		return err
	}
	hello, refusal := c.cfg.Hello.check(m)
	if refusal == nil {
		refusal = c.admit(hello)
	}
	if refusal != nil {
		if m.Refusal == nil {
			c.refuse(refusal)
		}
		return refusal
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.maxFrame = min(c.maxFrame, int(m.MaxFrame))
	var end time.Time // none
	if c.broken != nil {
		end = time.Now().Add(linger) // what follows the hello may say why
	}
	// A stream that refuses this is closed, as the next read finds by itself.
	_ = c.readBy(end)
	c.in.hurry = c.frameBy
	return nil
}

// slowest is how many bytes a second of a frame that has begun have to come, once WriteTimeout
// is over: one that trickles would hold its memory for ever.
const slowest = 16 << 10

// frameBy bounds the time that the rest of a frame of n bytes may take. The stream's
// deadline is moved only when it must be, since that costs a timer: it may be later by
// half of WriteTimeout, and it stays when the frame is whole. A read between frames that
// ends there goes on, see leisure.
func (c *Conn) frameBy(n int) {
	now := time.Now()
	budget, slack := c.cfg.WriteTimeout+time.Duration(n)*time.Second/slowest, c.cfg.WriteTimeout/2
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return // there is a sooner end
	}
	if left := c.readEnd.Sub(now); left < budget || left > budget+slack {
		// A stream that refuses this is closed, as the next read finds by itself.
		_ = c.readBy(now.Add(budget + slack))
	}
}

// leisure reports whether a read that came to its deadline may go on: it was that of an
// earlier frame, which is whole.
func (c *Conn) leisure() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.in.partial && c.broken == nil && c.in.hurry != nil && c.readBy(time.Time{}) == nil
}

// readBy moves the deadline of reads, under the lock, unless the connection has ended: the
// one that fail sets then must stand, or nothing would end a read under way.
func (c *Conn) readBy(end time.Time) error {
	if c.err != nil {
		return c.err
	}
	c.readEnd = end
	return c.stream.SetReadDeadline(end)
}

func (c *Conn) admit(h Hello) *Error {
	if c.cfg.Admit == nil {
		return nil
	}
	role, err := c.cfg.Admit(h)
	if err == nil {
		c.role = role
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeRefused, Message: err.Error()}
}

// refuse tells the other side why the stream ends, behind whatever else is
// queued.
func (c *Conn) refuse(refusal *Error) {
	c.mu.Lock()
	c.enqueueHello(refusal)
	c.mu.Unlock()
	c.drain(linger)
}

// enqueueHello queues this side's hello, under the lock.
func (c *Conn) enqueueHello(refusal *Error) {
	m := c.cfg.Hello.message(c.cfg.MaxFrame, refusal)
	chunk := c.openChunk(lengthBytes + 1 + m.SizeVT())
	before := len(*chunk)
	*chunk = appendHello(*chunk, m)
	c.queued += len(*chunk) - before
}

// readFrame handles the next frame. An error ends the connection: the other
// side is gone, or does not speak the protocol.
func (c *Conn) readFrame() error {
	body, owned, err := c.in.next()
	if err != nil {
		return err
	}
	if len(body) > 0 && body[0] == formatHello {
		return c.lateHello(body)
	}
	env := &c.inEnv
	payload, err := parseFrame(body, env)
	if err != nil {
		return err
	}
	switch env.Kind {
	case pb.Kind_KIND_REPLY:
		c.settle(env.Call, payload, owned, nil)
	case pb.Kind_KIND_ERROR:
		e, err := parseFailure(payload)
		if err != nil {
			return err
		}
		c.settle(env.Call, nil, false, e)
	case pb.Kind_KIND_REQUEST, pb.Kind_KIND_CAST:
		err := c.serve(env, payload, owned)
		c.account(len(body))
		return err
	case pb.Kind_KIND_CANCEL:
		c.cancelServed(env.Call)
		c.account(len(body))
	case pb.Kind_KIND_UNSPECIFIED:
		return fmt.Errorf("%w: no kind", errFrame)
	default:
		// A kind of a later version, which this side can do without.
		c.account(len(body))
	}
	return nil
}

// lateHello handles a second hello, which can only be a refusal: the other side
// had greeted before it read our hello.
func (c *Conn) lateHello(body []byte) error {
	m, err := parseHello(body)
	if err != nil {
		return err
	}
	if m.Refusal == nil {
		return fmt.Errorf("%w: a second hello", errFrame)
	}
	return &Error{Code: m.Refusal.Code, Message: m.Refusal.Message}
}

func parseFailure(payload []byte) (*Error, error) {
	var f pb.Failure
	if err := f.UnmarshalVT(payload); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	return &Error{Code: f.Code, Message: f.Message, Detail: f.Detail}, nil
}
