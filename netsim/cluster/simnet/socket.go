package simnet

import (
	"net"
	"os"
	"sync"
	"time"
)

// socketQueue is how many packets wait for a reader; a real socket holds about as many.
const socketQueue = 1024

type packet struct {
	from net.Addr
	data []byte
}

// socket is a host's end of its cable, as QUIC sees it.
type socket struct {
	cable  *cable
	queue  chan packet
	closed chan struct{}
	once   sync.Once
	expiry expiry
}

var _ net.PacketConn = (*socket)(nil)

func newSocket(c *cable) *socket {
	return &socket{
		cable:  c,
		queue:  make(chan packet, socketQueue),
		closed: make(chan struct{}),
		expiry: expiry{passed: make(chan struct{})},
	}
}

// push never blocks. It reports whether the packet was taken.
func (s *socket) push(p packet) bool {
	select {
	case s.queue <- p:
		return true
	default:
		return false
	}
}

// ReadFrom returns the next packet.
func (s *socket) ReadFrom(p []byte) (int, net.Addr, error) {
	expired := s.expiry.wait()
	select {
	case <-s.closed:
		return 0, nil, net.ErrClosed
	case <-expired:
		return 0, nil, os.ErrDeadlineExceeded
	default:
	}
	select {
	case <-s.closed:
		return 0, nil, net.ErrClosed
	case <-expired:
		return 0, nil, os.ErrDeadlineExceeded
	case next := <-s.queue:
		return copy(p, next.data), next.from, nil
	}
}

// WriteTo sends a packet. That it arrives is not promised.
func (s *socket) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case <-s.closed:
		return 0, net.ErrClosed
	default:
	}
	if err := s.cable.send(p, to); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close frees the host's address. It may be called again.
func (s *socket) Close() error {
	s.once.Do(func() {
		s.cable.release(s)
		close(s.closed)
	})
	return nil
}

// LocalAddr is the host's address.
func (s *socket) LocalAddr() net.Addr {
	addr := *s.cable.addr
	return &addr
}

// SetDeadline bounds reads; writes do not block.
func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetReadDeadline also holds for a read under way.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.expiry.set(t)
	return nil
}

// SetWriteDeadline does nothing.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer does nothing; QUIC complains about sockets without it.
func (s *socket) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing; QUIC complains about sockets without it.
func (s *socket) SetWriteBuffer(int) error { return nil }

// expiry is a deadline that may be moved while somebody waits for it.
type expiry struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{} // closed at the deadline; replaced when one in the past is moved
}

func (e *expiry) wait() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.passed
}

func (e *expiry) set(t time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	select {
	case <-e.passed:
		e.passed = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	passed := e.passed
	if d := time.Until(t); d > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(d, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.timer == timer { // not moved since
				close(passed)
			}
		})
		e.timer = timer
		return
	}
	close(passed)
}
