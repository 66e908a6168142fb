package rpc

import (
	"bytes"
	"fmt"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

// Version is the version of the protocol that this package speaks.
const Version = 1

// Hello is how each side of a stream introduces itself.
type Hello struct {
	// Ring is the ID of the ring that the side belongs to; both sides must name
	// the same. Empty on a control socket.
	Ring []byte
	// Credential admits the side to a closed ring; at most 8 KiB.
	Credential []byte
	// Role is the role that the side asks for.
	Role Role
}

func (h Hello) message(maxFrame int, refusal *Error) *pb.Hello {
	m := &pb.Hello{
		Version:    Version,
		Ring:       h.Ring,
		Credential: h.Credential,
		Role:       uint32(h.Role),
		MaxFrame:   uint32(maxFrame),
	}
	if refusal != nil {
		m.Refusal = &pb.Failure{Code: refusal.Code, Message: refusal.Message, Detail: refusal.Detail}
	}
	return m
}

// minFrame is the least that a side may announce as its largest frame.
const minFrame = 64 << 10

// check compares the hello of the other side with ours.
func (h Hello) check(m *pb.Hello) (Hello, *Error) {
	if f := m.Refusal; f != nil {
		return Hello{}, &Error{Code: f.Code, Message: f.Message, Detail: bytes.Clone(f.Detail)}
	}
	if m.Version != Version {
		return Hello{}, &Error{Code: CodeWrongVersion, Message: fmt.Sprintf("protocol version %d, want %d", m.Version, Version)}
	}
	if !bytes.Equal(m.Ring, h.Ring) {
		return Hello{}, &Error{Code: CodeWrongRing, Message: fmt.Sprintf("ring %x, want %x", m.Ring, h.Ring)}
	}
	if m.Role > uint32(RoleControl) || m.MaxFrame < minFrame {
		return Hello{}, &Error{Code: CodeRefused, Message: fmt.Sprintf("hello asks for role %d and frames of %d bytes", m.Role, m.MaxFrame)}
	}
	return Hello{Ring: h.Ring, Credential: bytes.Clone(m.Credential), Role: Role(m.Role)}, nil
}
