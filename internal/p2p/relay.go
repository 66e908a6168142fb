package p2p

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
)

// relayResources bound what a host does for others as a relay. What a circuit carries is not
// bounded, since it carries the ring's calls, and only members get one.
var relayResources = relay.Resources{
	ReservationTTL:        time.Hour,
	MaxReservations:       256,
	MaxReservationsPerIP:  64, // an office behind one address
	MaxReservationsPerASN: 256,
	MaxCircuits:           64, // of a peer
	BufferSize:            16 << 10,
}

// relayService hands on connections between members of the ring, while it is on.
type relayService struct{ service *relay.Relay }

func (s *relayService) set(h *Host, on bool) {
	switch {
	case !on:
		s.close()
	case s.service == nil:
		// It fails while the host closes, and is tried again at the next look otherwise.
		s.service, _ = relay.New(h.host,
			relay.WithResources(relayResources),
			relay.WithACL(members{h}),
			relay.WithReservationAddressFilter(func(ma.Multiaddr) bool { return true }),
		)
	}
}

func (s *relayService) close() {
	if s.service != nil {
		_ = s.service.Close() // it always succeeds
		s.service = nil
	}
}

// members lets a relay serve members of the ring alone.
type members struct{ h *Host }

// AllowReserve implements relay.ACLFilter.
func (m members) AllowReserve(id peer.ID, _ ma.Multiaddr) bool { return m.h.isAdmitted(id) }

// AllowConnect implements relay.ACLFilter.
func (m members) AllowConnect(from peer.ID, _ ma.Multiaddr, to peer.ID) bool {
	return m.h.isAdmitted(from) && m.h.isAdmitted(to)
}

const (
	wantRelays    = 2
	maxRelayAddrs = 4                // of one relay that are announced
	reserveTime   = 5 * time.Second  // for one try
	reserveAgain  = time.Minute      // after a relay refused
	reserveSoon   = 5 * time.Second  // after one could not be asked
	renewBefore   = 10 * time.Minute // that a slot ends
	maxRefusals   = 1024             // that are remembered
)

// slots are the places that a host holds at relays. Methods may be called from any goroutine,
// keep and drop from one at a time.
type slots struct {
	host host.Host

	mu      sync.Mutex
	held    map[peer.ID]slot
	refused map[peer.ID]time.Time // not to be asked before
}

type slot struct {
	addrs []ma.Multiaddr // of this host, through the relay
	ends  time.Time
}

func newSlots(h host.Host) *slots {
	return &slots{host: h, held: make(map[peer.ID]slot), refused: make(map[peer.ID]time.Time)}
}

// keep renews what ends and looks for relays among candidates until it holds enough slots. It
// returns how many it holds.
func (s *slots) keep(ctx context.Context, candidates []peer.ID) int {
	s.mu.Lock()
	var due []peer.ID
	for id, held := range s.held {
		switch {
		case s.host.Network().Connectedness(id) != network.Connected:
			s.forget(id)
		case time.Until(held.ends) < renewBefore:
			due = append(due, id)
		}
	}
	if len(s.refused) > maxRefusals {
		clear(s.refused)
	}
	n := len(s.held)
	s.mu.Unlock()
	for _, id := range due {
		if !s.reserve(ctx, id) {
			n--
		}
	}
	candidates = slices.Clone(candidates)
	rand.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	for _, id := range candidates {
		if n >= wantRelays || ctx.Err() != nil {
			break
		}
		if !s.has(id) && s.mayAsk(id) && s.reserve(ctx, id) {
			n++
		}
	}
	return n
}

func (s *slots) mayAsk(id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.refused[id]) {
		return false
	}
	speaks, err := s.host.Peerstore().GetProtocols(id)
	return err != nil || len(speaks) == 0 || slices.Contains(speaks, proto.ProtoIDv2Hop)
}

// reserve takes a slot at a relay, or renews it.
func (s *slots) reserve(ctx context.Context, id peer.ID) bool {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "reserve"), reserveTime)
	defer cancel()
	r, err := client.Reserve(ctx, s.host, peer.AddrInfo{ID: id})
	s.mu.Lock()
	defer s.mu.Unlock()
	var refusal client.ReservationError
	switch {
	case errors.As(err, &refusal) && refusal.Status != pb.Status_CONNECTION_FAILED,
		err == nil && (r.LimitData != 0 || r.LimitDuration != 0): // a relay of the ring sets no limits
		s.forget(id)
		s.refused[id] = time.Now().Add(reserveAgain)
		return false
	case err != nil:
		s.forget(id)
		s.refused[id] = time.Now().Add(reserveSoon)
		return false
	}
	held := slot{ends: r.Expiration}
	for _, a := range r.Addrs {
		if len(held.addrs) < maxRelayAddrs && !isRelayed(a) {
			held.addrs = append(held.addrs, a.Encapsulate(circuit))
		}
	}
	s.held[id] = held
	s.host.ConnManager().Protect(id, slotTag)
	return true
}

// circuit ends the address of a peer at a relay.
var circuit = ma.StringCast("/p2p-circuit")

// slotTag protects the connection to a relay.
const slotTag = "chorus-relay"

// forget gives up a slot, under the lock.
func (s *slots) forget(id peer.ID) {
	if _, ok := s.held[id]; ok {
		delete(s.held, id)
		s.host.ConnManager().Unprotect(id, slotTag)
	}
}

// drop gives up all slots: they end by themselves.
func (s *slots) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.held {
		s.forget(id)
	}
}

func (s *slots) has(id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.held[id]
	return ok
}

// addrs returns this host's addresses through its relays, in order.
func (s *slots) addrs() []ma.Multiaddr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []ma.Multiaddr
	for _, held := range s.held {
		list = append(list, held.addrs...)
	}
	slices.SortFunc(list, ma.Multiaddr.Compare)
	return list
}

func (s *slots) relays() []chord.PeerID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []chord.PeerID
	for id := range s.held {
		ids = append(ids, chord.PeerID(id))
	}
	slices.Sort(ids)
	return ids
}
