package rpc

import (
	"bytes"
	"context"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// Method names what is called. The numbers live in package wire, next to the
// messages that they carry; they are part of the protocol.
type Method uint16

// Role is what a caller may do, and what a handler asks for. Roles are ordered:
// each includes those before it.
type Role uint8

// The roles.
const (
	RoleNone    Role = iota // anybody who reached the stream
	RoleRead                // a guest that may read keys
	RoleSubmit              // a guest that may read keys and submit tasks
	RoleMember              // a peer of the ring
	RoleControl             // whoever owns the peer: its control socket
)

var roleNames = [...]string{"none", "read", "submit", "member", "control"}

// String returns the role's name.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return "unknown"
}

// Allows reports whether a caller of role r may call a handler that needs need.
func (r Role) Allows(need Role) bool { return r >= need }

// Header is the envelope of a request: everything besides its payload that
// travels. Only Method is required.
type Header struct {
	Method Method
	// Shard and Epoch name the configuration that the caller believes in.
	Shard uint32
	Epoch uint64
	// Class is the consistency class of the operation; 0 is eventual.
	Class uint8
	// Deadline ends the call; the sooner of it and the context's counts. It
	// travels as the time that is left, so clocks need not agree. Zero: the
	// context's deadline, or else the connection's CallTimeout.
	Deadline time.Time
	// Role lowers what the call may do to that of a lesser role; zero: all that
	// the other side granted.
	Role Role
	// Trace identifies the operation that the call is part of; zero: none.
	Trace [16]byte
}

// Request is a call as its handler sees it. The handler must not keep it.
type Request struct {
	// From is the peer at the other end, as the transport authenticated it;
	// empty on a control socket.
	From chord.PeerID
	Header
	// Payload is valid until the handler returns; use Detach to keep it.
	Payload []byte

	served *served // nil: it is run inline
	memory *[]byte // recycled after the handler; nil: nothing
	lent   bool    // Payload lies in the read buffer
}

// Detach hands the payload over to the handler, which may then keep it (and
// slices of it) for as long as it likes. It copies only what has to be copied.
func (r *Request) Detach() []byte {
	if r.lent {
		r.Payload = bytes.Clone(r.Payload)
		r.lent = false
	}
	r.memory = nil
	return r.Payload
}

// Park tells that the handler is about to wait: for the disk, for other peers, for something to
// happen. It no longer counts against Config.MaxRunning then, so that the caller's next request
// may run beside.
func (r *Request) Park() {
	if r.served != nil {
		r.served.conn.cfg.Workers.park(r.served)
	}
}

// A Handler answers a call. What it returns may alias the payload: the
// connection copies it at once, and keeps nothing. An error that is, or wraps,
// an *Error travels as it is; any other arrives as code "internal" with its
// text. What the handler of a cast returns is dropped. The context ends at the
// deadline, when the caller gives up, and when the connection ends.
type Handler func(ctx context.Context, req *Request) ([]byte, error)

// Caller is one end of a connection, as those who only make calls see it.
type Caller interface {
	// Call sends a request and waits for its answer, the context's end, the
	// header's deadline or the loss of the connection, whichever comes first.
	// The payload may be reused as soon as Call returns.
	Call(ctx context.Context, h Header, payload []byte) ([]byte, error)
	// Cast sends a request that has no answer. It returns once the request is
	// queued; a full queue is ErrBusy at once.
	Cast(ctx context.Context, h Header, payload []byte) error
}
