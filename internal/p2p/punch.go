package p2p

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
)

// punches is libp2p's hole punching (DCUtR): peers that are connected through a relay try to
// connect without it, at the instance of the one that was dialled. libp2p tries once, when the
// relayed connection is made; the other side may not be ready then, or its router in a mood. Nil:
// it has not begun.
type punches struct {
	service *holepunch.Service
	ready   bool // it has been at work since an earlier look
	tries   map[peer.ID]try
}

// try is the next attempt at a peer.
type try struct {
	at    time.Time
	pause time.Duration // before the one after that
}

const (
	firstPunch = 5 * time.Second // before the second attempt; the pause doubles
	lastPunch  = 10 * time.Minute
)

// begin starts hole punching, unless it is under way.
func (p *punches) begin(r *reach) *punches {
	if p != nil {
		return p
	}
	h, ok := r.h.host.(interface{ IDService() identify.IDService })
	if !ok {
		return nil // a host of another make
	}
	service, err := holepunch.NewService(r.h.host, h.IDService(), r.holes)
	if err != nil {
		return nil
	}
	return &punches{service: service, tries: make(map[peer.ID]try)}
}

func (p *punches) close() {
	if p != nil {
		_ = p.service.Close() // nothing is left to do about it
	}
}

// again tries anew at those peers that others' relays lead from, and returns when to be called
// next.
func (p *punches) again(h *Host) time.Duration {
	if p == nil {
		return reachTick
	}
	bent := make(map[peer.ID]bool)
	for _, c := range h.host.Network().Conns() {
		if id := c.RemotePeer(); c.Stat().Direction == network.DirInbound && isRelayed(c.RemoteMultiaddr()) && !h.isStraight(id) {
			bent[id] = true
		}
	}
	maps.DeleteFunc(p.tries, func(id peer.ID, _ try) bool { return !bent[id] })
	now, wait := time.Now(), reachTick
	for id := range bent {
		t, ok := p.tries[id]
		if !ok {
			t = try{at: now.Add(firstPunch), pause: 2 * firstPunch}
		}
		if !now.Before(t.at) && p.ready {
			h.spawn(func() { _ = p.service.DirectConnect(id) }) // the relay serves on if it fails
			t = try{at: now.Add(t.pause), pause: min(2*t.pause, lastPunch)}
		}
		p.tries[id] = t
		wait = min(wait, max(t.at.Sub(now), time.Second))
	}
	// Before it has an address to name, an attempt would wait for one, beyond Close.
	p.ready = slices.Contains(h.host.Mux().Protocols(), holepunch.Protocol)
	return wait
}

// holes are the addresses at which a packet may come through the wall: where others reached this
// host, and for QUIC, which dials from the port that it listens on, where they see it. Who was
// asked over TCP sees another port; many routers keep the host's own.
func (r *reach) holes() []ma.Multiaddr {
	listens := r.h.host.Network().ListenAddresses()
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []ma.Multiaddr
	for _, v := range r.verdicts {
		list = append(list, v.open...)
		if hasProtocol(v.seen, ma.P_QUIC_V1) {
			list = append(list, v.seen)
		}
		for _, l := range listens {
			if a := at(v.seen, l); a != nil && hasProtocol(a, ma.P_QUIC_V1) {
				list = append(list, a)
			}
		}
	}
	return ma.Unique(list)
}

// straighten moves the calls to a peer off a relay, now that there is a connection without one.
// The side does it that opened the stream in use.
func (h *Host) straighten(id peer.ID) {
	h.mu.RLock()
	l := h.links[id]
	bent := l != nil && l.stream != nil && isRelayed(l.stream.remote) && l.stream.opener == h.host.ID()
	h.mu.RUnlock()
	if !bent || !h.isStraight(id) {
		return
	}
	h.spawn(func() {
		ctx, cancel := context.WithTimeout(h.ctx, h.cfg.DialTimeout)
		defer cancel()
		s, err := h.newStream(ctx, id)
		if err != nil {
			return // the relay serves on
		}
		if isRelayed(s.Conn().RemoteMultiaddr()) {
			_ = s.Reset()
			return
		}
		h.adopt(id, s, h.host.ID())
	})
}

// unbend closes the connections to a peer that lead through relays, if there is another.
func (h *Host) unbend(id peer.ID) {
	if !h.isStraight(id) {
		return
	}
	for _, c := range h.host.Network().ConnsToPeer(id) {
		if isRelayed(c.RemoteMultiaddr()) {
			_ = c.Close() // what is broken already is closed
		}
	}
}

// isStraight reports whether there is a connection to a peer without a relay.
func (h *Host) isStraight(id peer.ID) bool {
	return slices.ContainsFunc(h.host.Network().ConnsToPeer(id), func(c network.Conn) bool { return !isRelayed(c.RemoteMultiaddr()) })
}
