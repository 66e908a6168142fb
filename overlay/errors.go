package overlay

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// Errors that callers tell apart with errors.Is. Each is, or is wrapped by, a
// *client.Error with a code and, where there is one, a command that helps.
var (
	// ErrNotFound: there is no such key or job.
	ErrNotFound = client.ErrNotFound
	// ErrQuorum: fewer replicas than the level needs answered.
	ErrQuorum = client.ErrQuorum
	// ErrConflict: a register is at another version than expected.
	ErrConflict = client.ErrConflict
	// ErrTooLarge: a value beyond the bound of 512 KiB, or of 4 GiB for streams.
	ErrTooLarge = client.ErrTooLarge
	// ErrDamaged: a large value whose chunks are not all there.
	ErrDamaged = client.ErrDamaged
	// ErrLagging: a watch that was not read.
	ErrLagging = client.ErrLagging
	// ErrLapsed: a watch that may have missed deletes.
	ErrLapsed = client.ErrLapsed
	// ErrNoFunction: a function that the peer does not know and no other has.
	ErrNoFunction = client.ErrNoFunction
	// ErrHomeLocked: another process runs a peer in the home.
	ErrHomeLocked = client.ErrHomeLocked
	// ErrClosed: the node was closed, or is closing.
	ErrClosed = client.ErrClosed
)

// orClosed is err, or ErrClosed where the peer's end is the cause.
func (n *Node) orClosed(err error) error {
	if err != nil && n.ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

func usage(format string, args ...any) error {
	return &client.Error{Code: client.CodeUsage, Message: fmt.Errorf(format, args...).Error()}
}

func notFound(key string) error {
	return &client.Error{Code: client.CodeNotFound, Message: fmt.Sprintf("get %q: no such key", key)}
}

func tooLarge(key, size string, limit int64) error {
	e := &client.Error{
		Code:    client.CodeValueTooLarge,
		Message: fmt.Sprintf("put %q: the value has %s bytes, the limit is %d", key, size, limit),
		Fix:     "peer put KEY --file FILE (PutStream in Go), for values of up to 4 GiB",
	}
	if limit > store.MaxValue {
		e.Fix = "split the value over several keys"
	}
	return e
}

// largeValue refuses to return a large value in one piece.
func largeValue(key string) error {
	return &client.Error{
		Code:    client.CodeValueTooLarge,
		Message: fmt.Sprintf("get %q: the value has more than %d bytes", key, store.MaxValue),
		Fix:     "peer get KEY (GetStream in Go), which reads values of any size",
	}
}

func quorumLost(verb, key, how string) error {
	return &client.Error{
		Code:    client.CodeQuorumLost,
		Message: fmt.Sprintf("%s %q: %s", verb, key, how),
		Fix:     "peer ring (to see who is missing), then start the peers that are down",
	}
}

// checkKey refuses a key that cannot be stored, with a reason for people.
func checkKey(ns, name string) error {
	key := store.JoinKey(ns, name)
	bad := func(code client.ErrorCode, why string) error {
		return &client.Error{Code: code, Message: fmt.Sprintf("key %.40q: %s", key, why)}
	}
	switch err := store.CheckKey(ns, name); {
	case errors.Is(err, store.ErrKeyTooLong):
		return bad(client.CodeKeyTooLong, fmt.Sprintf("%d bytes, the limit is %d", len(key), store.MaxKey))
	case errors.Is(err, store.ErrKeyEmpty):
		return bad(client.CodeBadKey, "it is empty")
	case err != nil:
		return bad(client.CodeBadKey, err.Error())
	case !utf8.ValidString(key):
		return bad(client.CodeBadKey, "it is not valid UTF-8")
	case strings.HasPrefix(ns, "_"):
		return bad(client.CodeBadKey, "namespaces that begin with '_' belong to the system")
	case store.IsOwned(ns):
		if _, err := store.OwnerOf(ns); err != nil {
			return bad(client.CodeBadKey, "a namespace that begins with '@' belongs to a peer, whose ID follows (peer status shows it)")
		}
	}
	return nil
}

// noRoom gives a refusal of the disk the code by which the writer, who may be
// another peer, knows it.
func noRoom(err error) error {
	switch {
	case errors.Is(err, disk.ErrQuota):
		return &rpc.Error{Code: string(client.CodeQuotaExceeded), Message: err.Error()}
	case errors.Is(err, disk.ErrFull):
		return &rpc.Error{Code: string(client.CodeDiskFull), Message: err.Error()}
	}
	return err
}

// lacksRoom tells a refusal for want of room by its code.
func lacksRoom(err error) (code client.ErrorCode, fix string) {
	var e *rpc.Error
	if errors.As(err, &e) {
		switch code := client.ErrorCode(e.Code); code {
		case client.CodeQuotaExceeded:
			return code, "peer del (some keys), or a larger --quota for the peers that refuse"
		case client.CodeDiskFull:
			return code, "free some space on the disks of the peers that refuse"
		default:
		}
	}
	return "", ""
}

// diskError gives an error of the disk the code that a person meets.
func diskError(err error) error {
	for _, c := range []struct {
		is   error
		code client.ErrorCode
		fix  string
	}{
		{disk.ErrFull, client.CodeDiskFull, "free some space on the disk of the home"},
		{disk.ErrReadOnly, client.CodeDiskReadOnly, "make the home writable, or use another one with --home"},
		{disk.ErrLocked, client.CodeHomeLocked, "stop the other process, or use another home with --home"},
		{disk.ErrNewerFormat, client.CodeBadHome, "run the version of peer that wrote this home, or a newer one"},
		{disk.ErrCorrupt, client.CodeBadHome, "move the folder data out of the home and start again: the other peers have copies"},
		{disk.ErrEngine, client.CodeBadConfig, "choose the engine that the home was made with: badger4 or badger"},
	} {
		if errors.Is(err, c.is) {
			return &client.Error{Code: c.code, Message: err.Error(), Fix: c.fix}
		}
	}
	return err
}
