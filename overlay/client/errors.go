package client

import (
	"context"
	"errors"
)

// Error is a failure as a person meets it: what failed and why, and a command
// that helps where one exists. Two Errors of one code match under errors.Is.
type Error struct {
	Code    ErrorCode
	Message string
	Fix     string // a command to run, or empty
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Is reports whether target is an Error of the same code. A time-out is
// context.DeadlineExceeded, whichever side noticed it first.
func (e *Error) Is(target error) bool {
	if target == context.DeadlineExceeded {
		return e.Code == CodeTimeout
	}
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errors that callers tell apart. Match them with errors.Is.
var (
	ErrNotFound   error = &Error{Code: CodeNotFound, Message: "not found"}
	ErrQuorum     error = &Error{Code: CodeQuorumLost, Message: "too few replicas answered"}
	ErrConflict   error = &Error{Code: CodeConflict, Message: "register changed"}
	ErrTooLarge   error = &Error{Code: CodeValueTooLarge, Message: "value too large"}
	ErrDamaged    error = &Error{Code: CodeValueDamaged, Message: "value damaged"}
	ErrLagging    error = &Error{Code: CodeLagging, Message: "watch not read"}
	ErrLapsed     error = &Error{Code: CodeLapsed, Message: "watch may have missed deletes"}
	ErrNoFunction error = &Error{Code: CodeUnknownFunction, Message: "no peer has the function"}
	ErrNoPeer     error = &Error{Code: CodeNoPeer, Message: "no peer is running"}
	ErrClosed     error = &Error{Code: CodeClosed, Message: "the peer is stopping"}
	ErrHomeLocked error = &Error{Code: CodeHomeLocked, Message: "the home is in use"}
)

// AsError returns err as an Error. An error without a code of its own gets one:
// that of its context error, or CodeInternal. The message is err's, whole. It
// returns nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return &Error{Code: e.Code, Message: err.Error(), Fix: e.Fix}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: CodeTimeout, Message: err.Error()}
	case errors.Is(err, context.Canceled):
		return &Error{Code: CodeInterrupted, Message: err.Error()}
	default:
		return &Error{Code: CodeInternal, Message: err.Error()}
	}
}
