package overlay

import (
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
)

const (
	maxStash     = 64 << 20 // bytes of messages of guests that are here in part
	maxStashEach = 32 << 20 // of one guest
	stashIdle    = 30 * time.Second
)

// stash keeps the messages of guests that travel in several parcels: what has come of a request,
// and what has not been fetched of an answer.
type stash struct {
	mu    sync.Mutex
	held  map[stashKey]*stashed
	bytes int
}

type stashKey struct {
	guest chord.PeerID
	id    [16]byte
}

type stashed struct {
	data []byte
	idle *time.Timer // ends it
}

var errStashFull = &rpc.Error{Code: rpc.CodeBusy, Message: "too much of guests' messages is under way"}

// add appends a part that begins at a position, which must be where the others end.
func (s *stash) add(k stashKey, at uint32, part []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[k]
	have := 0
	if h != nil {
		have = len(h.data)
	}
	if int(at) != have {
		return errNoParcel
	}
	if s.bytes+len(part) > maxStash || s.of(k.guest)+len(part) > maxStashEach {
		return errStashFull
	}
	if h == nil {
		if s.held == nil {
			s.held = make(map[stashKey]*stashed)
		}
		h = &stashed{idle: time.AfterFunc(stashIdle, func() { s.take(k) })}
		s.held[k] = h
	}
	h.idle.Reset(stashIdle)
	h.data = append(h.data, part...)
	s.bytes += len(part)
	return nil
}

// of returns the bytes of one guest, under the lock.
func (s *stash) of(guest chord.PeerID) int {
	n := 0
	for k, h := range s.held {
		if k.guest == guest {
			n += len(h.data)
		}
	}
	return n
}

// take returns a message and forgets it.
func (s *stash) take(k stashKey) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[k]
	if !ok {
		return nil, false
	}
	h.idle.Stop()
	delete(s.held, k)
	s.bytes -= len(h.data)
	return h.data, true
}

// part returns up to n bytes of a message from a position on, and forgets the message with
// its last.
func (s *stash) part(k stashKey, at uint32, n int) ([]byte, error) {
	s.mu.Lock()
	h, ok := s.held[k]
	if !ok || int(at) >= len(h.data) {
		s.mu.Unlock()
		return nil, errNoParcel
	}
	h.idle.Reset(stashIdle)
	end := min(int(at)+n, len(h.data))
	last, part := end == len(h.data), h.data[at:end]
	s.mu.Unlock()
	if last {
		s.take(k)
	}
	return part, nil
}

var errNoParcel = &rpc.Error{Code: rpc.CodeUnavailable, Message: "the parts of the message are not here any more"}
