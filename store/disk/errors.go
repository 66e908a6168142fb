package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/chorus-net/chorus/store"
)

// The errors of this package. What comes out of it wraps one of them when the
// cause has a name, so that errors.Is tells a caller what to do next.
var (
	// ErrClosed: the store was closed, or crashed on purpose.
	ErrClosed = errors.New("store is closed")
	// ErrFull: the file system has less free space than Options.Reserve, or none.
	// Reads go on, and writes do again as soon as there is space.
	ErrFull = errors.New("disk is full")
	// ErrQuota: the records would take more than Options.Quota bytes.
	ErrQuota = errors.New("storage quota is used up")
	// ErrReadOnly: the folder cannot be written to.
	ErrReadOnly = errors.New("disk is read-only")
	// ErrLocked: another process, or another Store of this one, has the folder
	// open. The text names the process where that is known.
	ErrLocked = errors.New("folder is in use")
	// ErrCorrupt: stored bytes fail their checksum. It is store.ErrCorrupt.
	ErrCorrupt = store.ErrCorrupt
	// ErrNewerFormat: a newer program wrote the folder.
	ErrNewerFormat = errors.New("folder was written by a newer version of this program")
	// ErrEngine: the folder belongs to another engine than the one asked for, or
	// there is no engine of that name.
	ErrEngine = errors.New("wrong storage engine")
	// ErrBusy: more writes wait for the disk than the queue holds.
	ErrBusy = errors.New("too many writes are waiting")
	// ErrTooLarge: a value of Meta or of a register is over MaxMeta bytes.
	ErrTooLarge = errors.New("value is too large")
	// ErrTimeout: Close gave up waiting for the engine.
	ErrTimeout = errors.New("timed out")
)

// CorruptError names the key whose stored bytes fail their checksum. It is an
// ErrCorrupt.
type CorruptError struct {
	Key string // full key of the record, or the name of what else was read
	Err error  // what the check found
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("read %q: %v: %v", e.Key, ErrCorrupt, e.Err)
}

// Unwrap makes a CorruptError an ErrCorrupt.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

// classify puts the name of its cause on an error of the engine or the system.
func classify(err error) error {
	if err == nil || named(err) {
		return err
	}
	for _, c := range []struct {
		is   bool
		name error
	}{
		{errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT), ErrFull},
		{errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission), ErrReadOnly},
		{looksCorrupt(err), ErrCorrupt},
	} {
		if c.is {
			return fmt.Errorf("%w: %w", c.name, err)
		}
	}
	return err
}

func named(err error) bool {
	for _, e := range []error{
		ErrClosed, ErrFull, ErrQuota, ErrReadOnly, ErrLocked, ErrCorrupt, ErrNewerFormat, ErrEngine,
		ErrBusy, ErrTooLarge, ErrTimeout, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// looksCorrupt recognises the checksum failures of both Badgers, some of which
// lose their identity on the way up: they are wrapped as text.
func looksCorrupt(err error) bool {
	s := strings.ToLower(err.Error())
	for _, sign := range []string{
		"checksum", "bad magic", "corrupt", "malformed", "file does not exist for table",
		"encryption key mismatch", "magic number doesn't match", "unsupported version", "key registry", "sanity text", "invalid datakey id",
	} {
		if strings.Contains(s, sign) {
			return true
		}
	}
	return false
}
