package bootstrap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Files of a home.
const (
	LockFile     = "lock"
	IdentityFile = "identity.key"
	RingFile     = "ring.json"
	PeersFile    = "peers.json"
	ConfigFile   = "config.toml"
	DataDir      = "data"

	// Of closed rings.
	RingKeyFile = "ring.key" // only where the ring was made, or its key was brought to
	PassFile    = "pass"
	DecreesFile = "decrees"
	SpentFile   = "spent"
	nextKeyFile = "ring.key.next" // while the ring's key is being replaced
)

// Home is a peer's folder, held by this process until Close.
type Home struct {
	dir string

	mu   sync.Mutex
	lock *os.File // nil once closed
}

// OpenHome locks the folder dir for this process, making it (mode 0700) if it
// is not there. If another process has it the error is ErrHomeLocked and names
// that process. A crashed process holds nothing.
func OpenHome(dir string) (*Home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open home: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, pathError("make home", dir, err)
	}
	path := filepath.Join(dir, LockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, pathError("lock home", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, lockedError(dir, f)
		}
		return nil, pathError("lock home", dir, err)
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, pathError("lock home", dir, err)
	}
	return &Home{dir: dir, lock: f}, nil
}

// Dir returns the home's absolute path.
func (h *Home) Dir() string { return h.dir }

// Path returns the path of a file of the home.
func (h *Home) Path(name string) string { return filepath.Join(h.dir, name) }

// Close gives the home up. It may be called repeatedly.
func (h *Home) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lock == nil {
		return nil
	}
	// The file stays: removing it would let two processes lock two files of one name.
	err := errors.Join(h.lock.Truncate(0), h.lock.Close())
	h.lock = nil
	return err
}

// Ring returns the ring that the home belongs to, or ErrNoRing.
func (h *Home) Ring() (Ring, error) {
	b, err := readFile(h.Path(RingFile), maxRing)
	if errors.Is(err, fs.ErrNotExist) {
		return Ring{}, &Error{
			Code: CodeNoRing, Message: "home " + h.dir + " belongs to no ring",
			Fix: "peer init (a new ring) or peer run --join TOKEN (an existing one; peer invite prints it)",
		}
	}
	if err != nil {
		return Ring{}, pathError("read", h.Path(RingFile), err)
	}
	r, err := ParseRing(b)
	var e *Error
	switch {
	case errors.As(err, &e):
		return Ring{}, &Error{Code: e.Code, Message: fmt.Sprintf("read %s: %s", h.Path(RingFile), e.Message), Fix: e.Fix, Err: err}
	case err != nil:
		return Ring{}, &Error{
			Code: CodeBadHome, Message: fmt.Sprintf("read %s: %v", h.Path(RingFile), err), Err: err,
			Fix: "copy ring.json from the home of another peer of the ring: all have the same",
		}
	}
	return r, nil
}

// Create makes the home that of the first peer of ring r. A home that belongs
// to a ring already is left alone: ErrHomeExists.
func (h *Home) Create(r Ring) error {
	if old, err := h.Ring(); err == nil {
		return &Error{
			Code: CodeHomeExists, Message: fmt.Sprintf("home %s belongs to ring %q already", h.dir, old.Name),
			Fix: "peer run --home " + h.dir + " (start it), or name another home",
		}
	} else if !errors.Is(err, ErrNoRing) {
		return err
	}
	return h.saveRing(r)
}

// Join makes the home one of ring r, as a contact described it. Joining the
// ring that it belongs to changes nothing; another one is ErrWrongRing.
func (h *Home) Join(r Ring) error {
	old, err := h.Ring()
	switch {
	case errors.Is(err, ErrNoRing):
		return h.saveRing(r)
	case err != nil:
		return err
	case old.ID != r.ID:
		return &Error{
			Code: CodeWrongRing,
			Message: fmt.Sprintf("home %s belongs to ring %q (%s), the peers there to ring %q (%s)",
				h.dir, old.Name, old.ID.Tag(), r.Name, r.ID.Tag()),
			Fix: "join from another home (--home DIR), or start this one without --join",
		}
	case old.Shards != r.Shards, old.Replicas != r.Replicas, old.Open != r.Open:
		return &Error{
			Code: CodeWrongRing,
			Message: fmt.Sprintf("ring %q has %d shards and %d replicas in %s, %d and %d at the peers there",
				r.Name, old.Shards, old.Replicas, h.Path(RingFile), r.Shards, r.Replicas),
			Fix: "one ring.json was edited: copy the one that most peers of the ring have",
		}
	default:
		return nil
	}
}

func (h *Home) saveRing(r Ring) error {
	b, err := r.Marshal()
	if err != nil {
		return err
	}
	return writeFile(h.Path(RingFile), b)
}

// Book returns the peers that the home remembers; an empty book when there is
// none, or when it cannot be read: it is a help, not a record.
func (h *Home) Book() *Book {
	b, err := readFile(h.Path(PeersFile), maxBook)
	if err != nil {
		return &Book{}
	}
	book, err := ParseBook(b)
	if err != nil {
		return &Book{}
	}
	return book
}

// SaveBook keeps the book for the next start.
func (h *Home) SaveBook(b *Book) error {
	data, err := b.Marshal()
	if err != nil {
		return err
	}
	return writeFile(h.Path(PeersFile), data)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func lockedError(dir string, f *os.File) error {
	holder := "another process"
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0) // the process that holds it may be about to write its pid
	if pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n]))); err == nil {
		holder = fmt.Sprintf("process %d", pid)
	}
	return &Error{
		Code: CodeHomeLocked, Message: fmt.Sprintf("home %s is in use by %s", dir, holder),
		Fix: "peer status --home " + dir + " (talk to it), or name another home: --home DIR",
	}
}
