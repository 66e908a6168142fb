package p2p

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
)

// Host is a peer's end of the network.
type Host struct {
	cfg    Config
	host   host.Host
	own    bool        // host was made here
	udp    *sockets    // nil unless own
	keeper *gatekeeper // nil in an open ring
	admit  *admission  // nil in an open ring
	ranges *ranges     // nil unless own
	reach  *reach      // nil on loopback, and unless own
	kad    *dht.IpfsDHT
	calls  protocol.ID
	// forwards is where members hand strangers on to this one.
	forwards protocol.ID
	workers  *rpc.Workers
	key      crypto.PrivKey

	// ctx ends the dials; stop is called by Close and Kill.
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup // dials, and streams on their way out
	once sync.Once
	end  error // of Close

	mu           sync.RWMutex
	closed       bool
	links        map[peer.ID]*link
	inUse        int                  // links with a stream
	streams      map[*stream]struct{} // all that are open, in use or not
	onConnect    []func(chord.PeerID)
	onDisconnect []func(chord.PeerID)
	past         rpc.Stats // of streams that have ended

	callBytes, kadBytes meter
}

// closeTimeout bounds Close, killTimeout Kill.
const (
	closeTimeout = 8 * time.Second
	killTimeout  = 2 * time.Second
)

// New starts a host. The context bounds starting only.
func New(ctx context.Context, cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start host: %w", err)
	}
	prefix := protocol.ID("/chorus/" + hex.EncodeToString(cfg.Ring))
	h := &Host{
		cfg:      cfg,
		host:     cfg.Host,
		calls:    prefix + "/call/1",
		forwards: prefix + forwardSuffix,
		workers:  rpc.NewWorkers(cfg.Workers, cfg.Waiting),
		links:    make(map[peer.ID]*link),
		streams:  make(map[*stream]struct{}),
	}
	if h.host == nil {
		if err := h.makeHost(); err != nil {
			return nil, err
		}
	}
	h.key = h.host.Peerstore().PrivKey(h.host.ID())
	h.ctx, h.stop = context.WithCancel(context.Background())
	if !cfg.DisableKad {
		var err error
		if h.kad, err = newKad(&kadHost{Host: h.host, meter: &h.kadBytes, member: h.isMember}, prefix); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	h.host.SetStreamHandler(h.calls, h.accept)
	if h.admit != nil {
		h.host.SetStreamHandler(h.forwards, h.serveForwarded)
		h.admit.host.Store(h)
	}
	if cfg.reachable() {
		h.reach = newReach(h, h.ranges, prefix)
		h.reach.start()
	}
	return h, nil
}

// makeHost makes the libp2p host, behind the gate if there is one.
func (h *Host) makeHost() (err error) {
	if h.cfg.Gate != nil {
		h.keeper = newGatekeeper(h.cfg.Gate, h.connected)
		if h.admit, err = newAdmission(h.keeper, h.cfg.Key); err != nil {
			return err
		}
	}
	h.ranges = newRanges(h.cfg.Profile, h.cfg.Given)
	if h.host, h.udp, err = newLibp2p(h.cfg, h.calls, h.admit, connGater{keeper: h.keeper, ranges: h.ranges}); err != nil {
		return err
	}
	h.own = true
	return nil
}

func (h *Host) connected(id peer.ID) bool {
	return h.host.Network().Connectedness(id) == network.Connected
}

// roleOf tells what a peer may do to whom there is a stream.
func (h *Host) roleOf(id chord.PeerID) (rpc.Role, error) {
	if h.keeper == nil {
		return rpc.RoleMember, nil
	}
	return h.keeper.role(peer.ID(id))
}

// isMember reports whether a peer may be in Kademlia: those who may less than members are not.
func (h *Host) isMember(id peer.ID) bool {
	if h.keeper == nil {
		return true
	}
	role, known := h.keeper.known(id)
	return !known || role >= rpc.RoleMember
}

// isAdmitted reports whether a peer is a member for certain: in a closed ring, by the pass that it showed.
func (h *Host) isAdmitted(id peer.ID) bool {
	if h.keeper == nil {
		return true
	}
	role, known := h.keeper.known(id)
	return known && role >= rpc.RoleMember
}

// Recheck asks the gate again about all peers that it let in, and ends the
// connections of those that it would keep out now.
func (h *Host) Recheck() {
	if h.keeper == nil {
		return
	}
	for _, id := range h.keeper.recheck() {
		_ = h.host.Network().ClosePeer(id) // what is broken already is closed
	}
}

// PassOf returns the pass that a peer showed last, nil if it is not known.
func (h *Host) PassOf(id chord.PeerID) []byte {
	if h.keeper == nil {
		return nil
	}
	return h.keeper.pass(peer.ID(id))
}

// ID returns the peer's ID.
func (h *Host) ID() chord.PeerID { return chord.PeerID(h.host.ID()) }

// Addrs returns the multiaddrs under which other peers can reach this one,
// without its ID.
func (h *Host) Addrs() []string {
	var addrs []string
	for _, a := range h.host.Addrs() {
		addrs = append(addrs, a.String())
	}
	return addrs
}

// Kad returns the ring's Kademlia; nil if it is disabled.
func (h *Host) Kad() *dht.IpfsDHT { return h.kad }

// Libp2p returns the libp2p host that this one runs on, for those who speak
// further protocols.
func (h *Host) Libp2p() host.Host { return h.host }

// Sign signs data with the peer's key; see the function Sign.
func (h *Host) Sign(domain string, data []byte) ([]byte, error) { return Sign(h.key, domain, data) }

// OnConnect adds a callback for peers with whom calls became possible. It is a
// hint: by the time of the call they may have gone.
func (h *Host) OnConnect(f func(chord.PeerID)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onConnect = append(h.onConnect, f)
}

// OnDisconnect adds a callback for peers whose stream ended, for whatever
// reason. It is a hint: they may be back already.
func (h *Host) OnDisconnect(f func(chord.PeerID)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onDisconnect = append(h.onDisconnect, f)
}

// Stats returns what the host's streams counted so far, ended ones included.
func (h *Host) Stats() rpc.Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	sum := h.past
	for s := range h.streams {
		sum = add(sum, s.conn.Stats())
	}
	return sum
}

func add(a, b rpc.Stats) rpc.Stats {
	return rpc.Stats{
		Calls:   a.Calls + b.Calls,
		Casts:   a.Casts + b.Casts,
		Served:  a.Served + b.Served,
		Refused: a.Refused + b.Refused,
	}
}

// Close writes out what is queued, ends all streams and stops the host. It
// returns within 8 s, with an error if something would not end. Calls made
// afterwards fail with rpc.ErrClosed.
func (h *Host) Close() error {
	h.once.Do(func() {
		h.end = within(closeTimeout, func() error {
			streams := h.shut()
			h.host.RemoveStreamHandler(h.calls)
			var wg sync.WaitGroup
			for _, s := range streams {
				wg.Go(func() { _ = s.conn.Close() })
			}
			wg.Wait()
			return h.release(h.own)
		})
	})
	return h.end
}

// Kill ends the host as a crash would: sockets are closed, what was queued is
// lost, and nobody is told. It returns within 2 s.
func (h *Host) Kill() {
	h.once.Do(func() {
		h.end = within(killTimeout, func() error {
			streams := h.shut()
			if h.udp != nil {
				h.udp.kill()
			}
			var wg sync.WaitGroup
			for _, c := range h.host.Network().Conns() {
				wg.Go(func() { _ = c.Close() })
			}
			wg.Wait()
			for _, s := range streams {
				s.conn.Abort()
			}
			return h.release(true)
		})
	})
}

// shut refuses further calls and returns the streams to be ended.
func (h *Host) shut() []*stream {
	h.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return slices.Collect(maps.Keys(h.streams))
}

// spawn runs f on a goroutine that Close waits for, unless it is too late.
func (h *Host) spawn(f func()) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.closed {
		h.wg.Go(f)
	}
}

// release waits for what runs and gives back what is held.
func (h *Host) release(closeHost bool) error {
	var errs []error
	h.workers.Close()
	if h.kad != nil {
		errs = append(errs, h.kad.Close())
	}
	if closeHost {
		errs = append(errs, h.host.Close())
	}
	if h.admit != nil {
		h.admit.close()
	}
	if h.udp != nil {
		errs = append(errs, h.udp.close())
	}
	h.wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close host: %w", err)
	}
	return nil
}

// within runs f and waits for it, but not for longer than timeout.
func within(timeout time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return fmt.Errorf("close host: not done after %v", timeout)
	}
}
