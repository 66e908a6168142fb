package bootstrap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Codes of the failures that a person can mend, as they are printed.
const (
	CodeBadAddress   = "bad-address"
	CodeBadClock     = "bad-clock"
	CodeBadIdentity  = "bad-identity"
	CodeBadHome      = "bad-home"
	CodeBadToken     = "bad-token"
	CodeDiskFull     = "disk-full"
	CodeDiskReadOnly = "disk-read-only"
	CodeExpired      = "expired"
	CodeHomeExists   = "home-exists"
	CodeHomeLocked   = "home-locked"
	CodeNoAnswer     = "no-answer"
	CodeNoFile       = "no-file"
	CodeNoRing       = "no-ring"
	CodeNotAvailable = "not-available"
	CodeNotInvited   = "not-invited"
	CodeRefused      = "refused"
	CodeRevoked      = "revoked"
	CodeTokenUsed    = "token-used"
	CodeTokenVoid    = "token-void"
	CodeWrongRing    = "wrong-ring"
)

// Error is a failure that a person can mend. Two Errors of one code match under
// errors.Is.
type Error struct {
	Code    string // a stable word
	Message string // what failed and why, whole
	Fix     string // what to run or change, or empty
	Err     error  // cause for errors.Is and errors.As, or nil
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errors that callers tell apart, with errors.Is.
var (
	ErrHomeLocked error = &Error{Code: CodeHomeLocked, Message: "the home is in use"}
	ErrHomeExists error = &Error{Code: CodeHomeExists, Message: "the home belongs to a ring already"}
	ErrNoRing     error = &Error{Code: CodeNoRing, Message: "the home belongs to no ring"}
	ErrWrongRing  error = &Error{Code: CodeWrongRing, Message: "not the ring that was asked for"}
	ErrNoAnswer   error = &Error{Code: CodeNoAnswer, Message: "no peer answered"}
)

// pathError tells what could not be done to a path, naming the two states of a
// disk that a person can mend.
func pathError(verb, path string, err error) error {
	why := withoutPath(err)
	e := &Error{Message: fmt.Sprintf("%s %s: %v", verb, path, why), Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Code = CodeDiskFull
		e.Fix = "free space on that disk, or use another home (--home DIR)"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		e.Code = CodeDiskReadOnly
		e.Fix = "give this user the right to write there, or use another home (--home DIR)"
	default:
		return fmt.Errorf("%s %s: %w", verb, path, why)
	}
	return e
}

// withoutPath drops the system call and the path from an error that its caller
// names better.
func withoutPath(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	default:
		return err
	}
}
