package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
)

var noDeadline time.Time

// Streams on their way out are closed when idle, or at last after a while.
const (
	retireCheck = 500 * time.Millisecond
	retireAfter = time.Minute
)

// callStream is a stream that Close does not keep waiting. A libp2p stream whose
// protocol the other side has not confirmed, because it died, say, waits for that
// in Close, for ten seconds, whatever its deadline was.
type callStream struct {
	network.Stream
	reading sync.Mutex
}

func (s *callStream) Read(p []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.Stream.Read(p)
}

// Close makes a read fail first, after which nothing is waited for.
func (s *callStream) Close() error {
	_ = s.SetReadDeadline(time.Unix(1, 0))
	_, _ = s.Read(make([]byte, 1))
	return s.Stream.Close()
}

// adopt starts calls on a fresh stream to a peer and puts it to use, unless the
// peer has a better one. Two peers that dial each other at once must keep the
// same of both streams: the one that the smaller ID opened.
func (h *Host) adopt(id peer.ID, ns network.Stream, opener peer.ID) {
	s := &stream{opener: opener, opened: time.Now(), remote: ns.Conn().RemoteMultiaddr()}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		_ = ns.Reset()
		return
	}
	s.link = h.link(id)
	s.conn = rpc.NewConn(&callStream{Stream: &meteredStream{Stream: ns, meter: &h.callBytes}}, h.connConfig(s))
	h.streams[s] = struct{}{}
	old := s.link.stream
	lost := s
	if old == nil || s.beats(old) {
		s.link.stream = s
		lost = old
	}
	if old == nil {
		h.inUse++
	}
	s.link.failures = 0
	s.link.retryAt = noDeadline
	s.link.settle(s.link.stream, nil)
	evicted := h.evict()
	callbacks := h.onConnect
	h.mu.Unlock()

	h.host.ConnManager().TagPeer(id, "chorus", 10)
	if lost != nil && lost.opener == h.host.ID() {
		h.retire(lost)
	}
	if evicted != nil {
		h.retire(evicted)
	}
	if isRelayed(s.remote) {
		h.straighten(id) // in case the connection without a relay was there first
	}
	if old == nil {
		for _, f := range callbacks {
			f(chord.PeerID(id))
		}
	}
}

// beats reports whether s shall take the place of old.
func (s *stream) beats(old *stream) bool {
	if s.opener == old.opener || s.opened.Sub(old.opened) > doubleWindow {
		return true
	}
	return s.opener < old.opener
}

// connConfig configures the calls on a stream.
func (h *Host) connConfig(s *stream) rpc.Config {
	cfg := h.cfg.Call
	id := chord.PeerID(s.link.id)
	cfg.Peer = id
	cfg.Hello = rpc.Hello{Ring: h.cfg.Ring, Role: rpc.RoleMember}
	cfg.Admit = func(rpc.Hello) (rpc.Role, error) { return h.roleOf(id) }
	cfg.Registry = h.cfg.Registry
	cfg.Workers = h.workers
	cfg.Budget = s.link.budget
	cfg.OnClose = func(error) { h.ended(s) }
	return cfg
}

// evict takes a stream out of use if there are too many, under the lock: the
// one unused for longest among those without calls under way.
func (h *Host) evict() *stream {
	if h.inUse <= h.cfg.MaxPeers {
		return nil
	}
	var oldest *stream
	for _, l := range h.links {
		if l.stream == nil || l.stream.conn.Busy() {
			continue
		}
		if oldest == nil || l.used.Load() < oldest.link.used.Load() {
			oldest = l.stream
		}
	}
	if oldest != nil {
		oldest.link.stream = nil
		h.inUse--
	}
	return oldest
}

// retire closes a stream that is not used for new calls any more, once the old
// ones are done in both directions.
func (h *Host) retire(s *stream) {
	h.spawn(func() {
		t := time.NewTicker(retireCheck)
		defer t.Stop()
		for end := time.Now().Add(retireAfter); time.Now().Before(end); {
			select {
			case <-h.ctx.Done():
				_ = s.conn.Close()
				return
			case <-s.conn.Done():
				return
			case <-t.C:
			}
			if !s.conn.Busy() && time.Since(s.conn.Heard()) > retireCheck {
				break
			}
		}
		_ = s.conn.Close()
		if isRelayed(s.remote) {
			h.unbend(s.link.id)
		}
	})
}

// ended is called by a connection when a stream is of no more use.
func (h *Host) ended(s *stream) {
	h.mu.Lock()
	delete(h.streams, s)
	h.past = add(h.past, s.conn.Stats())
	h.mu.Unlock()
	h.drop(s)
}

// drop takes a stream out of use, if it is in use.
func (h *Host) drop(s *stream) {
	h.mu.Lock()
	if s.link.stream != s {
		h.mu.Unlock()
		return
	}
	s.link.stream = nil
	h.inUse--
	callbacks := h.onDisconnect
	h.mu.Unlock()
	h.host.ConnManager().UntagPeer(s.link.id, "chorus")
	for _, f := range callbacks {
		f(chord.PeerID(s.link.id))
	}
}
