package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
)

// SocketName is the name of the control socket in a peer's home. In a home
// whose path is too long for a socket address it is a symbolic link to a socket
// elsewhere.
const SocketName = "peer.sock"

const (
	// forever is the time-out of calls that may take as long as they like.
	forever = 365 * 24 * time.Hour
	// keyTimeout bounds operations on keys that their callers do not bound: what the peer
	// gives them, and the way back.
	keyTimeout = 5*time.Second + 100*time.Millisecond
	// slack is more than the envelope of a call takes of a frame.
	slack = 4 << 10
)

// Client is a connection to a running peer.
type Client struct {
	conn   Conn
	socket bool // conn is to a peer's socket, which bounds no call
}

// Conn is what a client makes its calls over: a connection to a peer's socket, or what package
// overlay puts in its place.
type Conn interface {
	Call(ctx context.Context, h rpc.Header, payload []byte) ([]byte, error)
	Done() <-chan struct{}
	Close() error
}

var _ Conn = (*rpc.Conn)(nil)

// New returns a client over conn. Programs that talk to a peer use Dial.
func New(conn Conn) *Client { return &Client{conn: conn} }

// Dial connects to the peer that runs in the folder home. The context bounds
// connecting only. ErrNoPeer means that no peer runs there.
func Dial(ctx context.Context, home string) (*Client, error) {
	path := filepath.Join(home, SocketName)
	if target, err := os.Readlink(path); err == nil {
		path = target
	}
	stream, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, fmt.Errorf("dial the peer in %s: %w", home, ctx.Err())
	case errors.Is(err, os.ErrPermission):
		return nil, &Error{
			Code:    CodeNoPeer,
			Message: fmt.Sprintf("the peer in %s belongs to another user", home),
		}
	default:
		return nil, &Error{
			Code:    CodeNoPeer,
			Message: fmt.Sprintf("no peer is running in %s", home),
			Fix:     "peer run --home " + home,
		}
	}
	return &Client{socket: true, conn: rpc.NewConn(stream, rpc.Config{
		CallTimeout: forever,
		MaxFrame:    wire.MaxControl,
		MaxQueue:    2 * wire.MaxControl,
	})}, nil
}

// Close ends the connection; calls under way fail with ErrClosed. The peer
// keeps running.
func (c *Client) Close() error { return c.conn.Close() }

// Done is closed when the connection has ended: after Close, or because the
// peer stopped.
func (c *Client) Done() <-chan struct{} { return c.conn.Done() }

// call makes one request. The answer's document goes to out; in and out may be
// nil.
func (c *Client) call(ctx context.Context, m rpc.Method, in any, body []byte, out any) ([]byte, error) {
	if in == nil {
		in = struct{}{}
	}
	payload, err := wire.AppendControl(nil, in, body)
	if err != nil {
		return nil, err
	}
	if len(payload) > wire.MaxControl-slack {
		return nil, &Error{
			Code:    CodeValueTooLarge,
			Message: fmt.Sprintf("a request of %d bytes; a peer takes %d at once", len(payload), wire.MaxControl-slack),
		}
	}
	answer, err := c.conn.Call(ctx, rpc.Header{Method: m}, payload)
	if err != nil {
		return nil, fromRPC(err)
	}
	return wire.ParseControl(answer, out)
}

// callKeys is call for an operation on keys.
func (c *Client) callKeys(ctx context.Context, m rpc.Method, in any, body []byte, out any) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok && c.socket {
		bounded, cancel := context.WithTimeout(ctx, keyTimeout)
		defer cancel()
		ctx = bounded
	}
	return c.call(ctx, m, in, body, out)
}

// fromRPC turns an error of a call into the Error that the peer returned, or
// into one of the connection.
func fromRPC(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case rpc.CodeConnLost, rpc.CodeClosed, rpc.CodeUnavailable:
		return &Error{Code: CodeClosed, Message: "the peer stopped before it answered"}
	case rpc.CodeBusy:
		return &Error{Code: CodeOverloaded, Message: "the peer has too many calls under way"}
	case rpc.CodeTooLarge:
		return &Error{Code: CodeValueTooLarge, Message: e.Message}
	case rpc.CodeDeadline:
		return &Error{Code: CodeTimeout, Message: e.Message}
	case rpc.CodeCancelled:
		return &Error{Code: CodeInternal, Message: e.Message}
	case rpc.CodeUnknownMethod:
		return &Error{Code: CodeNotAvailable, Message: "the running peer is of a release that does not know this call"}
	default:
		return &Error{Code: ErrorCode(e.Code), Message: e.Message, Fix: string(e.Detail)}
	}
}

// Status returns the peer's state at a glance.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	_, err := c.call(ctx, wire.MethodCtlStatus, nil, nil, &s)
	return s, err
}

// Ring returns the ring as the peer sees it, and who agrees.
func (c *Client) Ring(ctx context.Context) (Ring, error) {
	var r Ring
	_, err := c.call(ctx, wire.MethodCtlRing, nil, nil, &r)
	return r, err
}

// Ping returns the round trip from the peer to another of its ring, by ID.
func (c *Client) Ping(ctx context.Context, id string) (Pong, error) {
	var p Pong
	_, err := c.call(ctx, wire.MethodCtlPing, wire.ControlName{ID: id}, nil, &p)
	return p, err
}

// Forget retires a peer that will not come back.
func (c *Client) Forget(ctx context.Context, spec ForgetSpec) (Forgotten, error) {
	var f Forgotten
	_, err := c.call(ctx, wire.MethodCtlForget, spec, nil, &f)
	return f, err
}

// Leave makes the peer hand its keys over to others, leave the ring for good
// and stop. It returns when the others hold everything. Where jobs would end with the peer it
// is refused with CodeJobsOpen.
func (c *Client) Leave(ctx context.Context) error { return c.leave(ctx, LeaveSpec{}) }

// LeaveForced is [Client.Leave] although jobs end with the peer.
func (c *Client) LeaveForced(ctx context.Context) error { return c.leave(ctx, LeaveSpec{Force: true}) }

func (c *Client) leave(ctx context.Context, spec LeaveSpec) error {
	_, err := c.call(ctx, wire.MethodCtlLeave, spec, nil, nil)
	return err
}
