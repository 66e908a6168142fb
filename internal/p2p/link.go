package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
)

// link is what the host knows of its way to a peer. Fields are guarded by
// Host.mu but for the atomic ones.
type link struct {
	id     peer.ID
	budget *rpc.Budget
	stream *stream // in use; nil: none
	dial   *dial   // under way; nil: none

	failures int       // attempts in a row that failed
	retryAt  time.Time // no attempt before
	lastErr  error

	rtt    atomic.Int64 // smoothed round trip in nanoseconds; 0: unknown
	used   atomic.Int64 // when last used, in Unix nanoseconds
	silent atomic.Int32 // calls in a row that ran out of time unheard
}

// stream is an open stream of calls.
type stream struct {
	link   *link
	conn   *rpc.Conn
	opener peer.ID
	opened time.Time
	remote ma.Multiaddr // where the stream leads
}

// dial is an attempt to open a stream. The fields are set when done is closed.
type dial struct {
	done   chan struct{}
	stream *stream
	err    error
}

const (
	// doubleWindow is how long after a stream another one may be the twin of a
	// simultaneous dial. A later one means that its opener lost the first.
	doubleWindow = 5 * time.Second
	// backoff is the pause after a failed attempt, doubled with each up to the
	// bound, which is short: a peer that comes back must not be avoided.
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = time.Second
	// A stream on which so many calls in a row ran out of time, without a byte
	// from the other side for so long, is dead.
	silentCalls = 3
	silence     = 2 * time.Second
	// A call that ends so long after its deadline tells that this process was stopped.
	overslept = 500 * time.Millisecond
)

// Call calls a peer, over the stream to it or a new one. Errors are those of
// rpc.Conn.Call, and rpc.ErrUnreachable if no stream can be had. The call may
// have run if its connection was lost.
func (h *Host) Call(ctx context.Context, id chord.PeerID, hdr rpc.Header, payload []byte) ([]byte, error) {
	return h.CallAppend(ctx, nil, id, hdr, payload)
}

// CallAppend is Call, with the reply appended to dst.
func (h *Host) CallAppend(ctx context.Context, dst []byte, id chord.PeerID, hdr rpc.Header, payload []byte) ([]byte, error) {
	s, err := h.streamTo(ctx, peer.ID(id), hdr.Deadline)
	if err != nil {
		return dst, fmt.Errorf("call %s: %w", FormatPeerID(id), err)
	}
	start := time.Now()
	reply, err := s.conn.CallAppend(ctx, dst, hdr, payload)
	if err != nil {
		h.suspect(s, err, start, lateness(ctx, hdr))
		return dst, fmt.Errorf("call %s: %w", FormatPeerID(id), err)
	}
	s.link.answered(start, time.Now())
	return reply, nil
}

// Cast sends a peer a request without an answer. It waits for nothing but the
// opening of a stream where there is none.
func (h *Host) Cast(ctx context.Context, id chord.PeerID, hdr rpc.Header, payload []byte) error {
	s, err := h.streamTo(ctx, peer.ID(id), hdr.Deadline)
	if err == nil {
		s.link.used.Store(time.Now().UnixNano())
		err = s.conn.Cast(ctx, hdr, payload)
		if err != nil && s.conn.Err() != nil {
			h.drop(s)
		}
	}
	if err != nil {
		return fmt.Errorf("cast to %s: %w", FormatPeerID(id), err)
	}
	return nil
}

// Connected reports whether there is a stream to the peer.
func (h *Host) Connected(id chord.PeerID) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	l := h.links[peer.ID(id)]
	return l != nil && l.stream != nil
}

// RTT returns the smoothed round trip of calls to a peer, handlers included but
// leaning to the quick ones; 0 if there has been none.
func (h *Host) RTT(id chord.PeerID) time.Duration {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if l := h.links[peer.ID(id)]; l != nil {
		return time.Duration(l.rtt.Load())
	}
	return 0
}

// answered notes a call that went well. The average falls fast and rises
// slowly, so that it follows the network rather than slow handlers.
func (l *link) answered(start, now time.Time) {
	l.used.Store(now.UnixNano())
	sample, old := int64(now.Sub(start)), l.rtt.Load()
	switch {
	case old == 0:
		l.rtt.Store(sample)
	case sample < old:
		l.rtt.Store(old - (old-sample)/4)
	default:
		l.rtt.Store(old + (sample-old)/32)
	}
	if l.silent.Load() != 0 {
		l.silent.Store(0)
	}
}

// lateness is how long ago a call was to end.
func lateness(ctx context.Context, hdr rpc.Header) time.Duration {
	end, ok := ctx.Deadline()
	if !hdr.Deadline.IsZero() && (!ok || hdr.Deadline.Before(end)) {
		end, ok = hdr.Deadline, true
	}
	if !ok {
		return 0
	}
	return time.Since(end)
}

// suspect judges a stream by a call that failed, so that no dead one is kept. A
// call that ended late says nothing: this process was stopped, and an answer may
// wait to be read.
func (h *Host) suspect(s *stream, err error, start time.Time, late time.Duration) {
	if s.conn.Err() != nil {
		h.drop(s)
		return
	}
	if !errors.Is(err, context.DeadlineExceeded) || late > overslept || s.conn.Heard().After(start) || time.Since(s.conn.Heard()) < silence {
		return
	}
	if s.link.silent.Add(1) >= silentCalls {
		s.link.silent.Store(0)
		h.drop(s)
		// The connection below is as dead, and would be used for the next stream.
		h.spawn(func() {
			_ = h.host.Network().ClosePeer(s.link.id)
			s.conn.Abort()
		})
	}
}

// streamTo returns the stream to a peer, and opens one if there is none.
func (h *Host) streamTo(ctx context.Context, id peer.ID, deadline time.Time) (*stream, error) {
	h.mu.RLock()
	l := h.links[id]
	if l != nil && l.stream != nil && !h.closed {
		s := l.stream
		h.mu.RUnlock()
		return s, nil
	}
	h.mu.RUnlock()

	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	d, err := h.startDial(id)
	if err != nil {
		return nil, err
	}
	select {
	case <-d.done:
		return d.stream, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// startDial joins the attempt to open a stream to a peer, or starts one.
func (h *Host) startDial(id peer.ID) (*dial, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, rpc.ErrClosed
	case id == h.host.ID():
		return nil, &rpc.Error{Code: rpc.CodeUnreachable, Message: "a peer does not call itself"}
	case id.Validate() != nil:
		return nil, &rpc.Error{Code: rpc.CodeUnreachable, Message: "no such peer"}
	}
	l := h.link(id)
	switch {
	case l.stream != nil:
		d := &dial{done: make(chan struct{}), stream: l.stream}
		close(d.done)
		return d, nil
	case l.dial != nil:
		return l.dial, nil
	case time.Now().Before(l.retryAt):
		return nil, l.lastErr
	}
	l.dial = &dial{done: make(chan struct{})}
	h.wg.Go(func() { h.open(l) })
	return l.dial, nil
}

// link returns the link of a peer, made if need be, under the lock. Those of
// peers long gone make room.
func (h *Host) link(id peer.ID) *link {
	if l := h.links[id]; l != nil {
		return l
	}
	if len(h.links) >= 4*h.cfg.MaxPeers {
		var oldest *link
		for _, l := range h.links {
			if l.stream == nil && l.dial == nil && (oldest == nil || l.used.Load() < oldest.used.Load()) {
				oldest = l
			}
		}
		if oldest != nil {
			delete(h.links, oldest.id)
		}
	}
	l := &link{id: id, budget: rpc.NewBudget(h.cfg.MaxCalls, h.cfg.MaxBytes)}
	l.used.Store(time.Now().UnixNano())
	h.links[id] = l
	return l
}

// open is an attempt: it opens a stream to l's peer and settles the dial.
func (h *Host) open(l *link) {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.DialTimeout)
	defer cancel()
	start := time.Now()
	s, err := h.newStream(ctx, l.id)
	if err == nil {
		h.adopt(l.id, s, h.host.ID())
		return
	}
	err = h.dialError(l.id, start, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.dial == nil {
		return // the peer was faster
	}
	l.retryAt = time.Now().Add(min(firstBackoff<<min(l.failures, 10), maxBackoff))
	l.failures++
	l.lastErr = err
	l.settle(nil, err)
}

// settle finishes the dial under way, if any, under the lock.
func (l *link) settle(s *stream, err error) {
	if d := l.dial; d != nil {
		l.dial = nil
		d.stream, d.err = s, err
		close(d.done)
	}
}

// accept takes a stream that another peer opened.
func (h *Host) accept(s network.Stream) {
	h.adopt(s.Conn().RemotePeer(), s, s.Conn().RemotePeer())
}
