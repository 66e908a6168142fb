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
	maxStashed   = 64       // messages of one guest
	stashIdle    = 30 * time.Second
)

// stash keeps the messages of guests that travel in several parcels: what has come of a request,
// and what has not been fetched of an answer.
type stash struct {
	mu    sync.Mutex
	held  map[stashKey]*stashed
	of    map[chord.PeerID]stashShare
	bytes int
}

// stashShare is what there is of one guest.
type stashShare struct{ messages, bytes int }

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
	own := s.of[k.guest]
	if s.bytes+len(part) > maxStash || own.bytes+len(part) > maxStashEach || h == nil && own.messages >= maxStashed {
		return errStashFull
	}
	if h == nil {
		if s.held == nil {
			s.held, s.of = make(map[stashKey]*stashed), make(map[chord.PeerID]stashShare)
		}
		h = &stashed{idle: time.AfterFunc(stashIdle, func() { s.take(k) })}
		s.held[k] = h
		own.messages++
	}
	h.idle.Reset(stashIdle)
	h.data = append(h.data, part...)
	s.bytes += len(part)
	own.bytes += len(part)
	s.of[k.guest] = own
	return nil
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
	own := s.of[k.guest]
	own.messages--
	own.bytes -= len(h.data)
	if s.of[k.guest] = own; own.messages == 0 {
		delete(s.of, k.guest)
	}
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
