package rpc

import (
	"context"
	"errors"
)

// Error is an error that travels: what a handler returned, as its caller sees
// it. Use errors.As to get at it.
type Error struct {
	// Code is a stable word, such as "busy".
	Code string
	// Message is for people.
	Message string
	// Detail is for programs: the code says how to read it.
	Detail []byte
}

// Error returns "code: message".
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Is makes errors.Is compare codes, so that errors.Is(err, rpc.ErrBusy) holds
// for a local refusal and for one that came from the other side. A deadline
// that the other side noticed first is context.DeadlineExceeded.
func (e *Error) Is(target error) bool {
	if target == context.DeadlineExceeded {
		return e.Code == CodeDeadline
	}
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Codes that this package itself puts on errors.
const (
	CodeBusy          = "busy"           // a queue is full; try later or elsewhere
	CodeInternal      = "internal"       // the handler failed with an error without a code
	CodeRefused       = "refused"        // the gate: role or credential
	CodeTooLarge      = "too-large"      // a payload beyond its bound
	CodeUnknownMethod = "unknown-method" // no such handler on the other side
	CodeWrongRing     = "wrong-ring"     // the other side belongs to another ring
	CodeWrongVersion  = "wrong-version"  // the other side speaks another protocol
	CodeConnLost      = "conn-lost"      // the stream broke while the call was under way
	CodeClosed        = "closed"         // this side closed the connection
	CodeUnreachable   = "unreachable"    // no connection to the peer can be had
	CodeUnavailable   = "unavailable"    // the handler could not reach a peer that it needs
	CodeDeadline      = "deadline"       // the handler ran into the deadline
	CodeCancelled     = "cancelled"      // the handler's context was cancelled
)

// Errors of connections, for errors.Is. A call that outlives its deadline
// returns context.DeadlineExceeded, a cancelled one context.Canceled.
var (
	ErrBusy     = &Error{Code: CodeBusy, Message: "queue is full"}
	ErrConnLost = &Error{Code: CodeConnLost, Message: "connection lost"}
	ErrClosed   = &Error{Code: CodeClosed, Message: "connection closed"}
	ErrTooLarge = &Error{Code: CodeTooLarge, Message: "frame exceeds the bound"}

	// ErrUnreachable is for those who open connections.
	ErrUnreachable = &Error{Code: CodeUnreachable, Message: "peer is unreachable"}
)

// Travelling returns a handler's error as its caller shall see it. What the
// handler met on a connection of its own must not look like the loss of the
// caller's.
func Travelling(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e) && (e.Code == CodeConnLost || e.Code == CodeClosed || e.Code == CodeUnreachable):
		return &Error{Code: CodeUnavailable, Message: err.Error()}
	case e != nil:
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: CodeDeadline, Message: err.Error()}
	case errors.Is(err, context.Canceled):
		return &Error{Code: CodeCancelled, Message: err.Error()}
	default:
		return &Error{Code: CodeInternal, Message: err.Error()}
	}
}
