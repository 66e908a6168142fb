package p2p

import (
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
)

// Path is the way that calls to a peer take.
type Path struct {
	Addr      string // the multiaddr at the other end
	Transport string // "tcp", "quic" or another protocol of multiaddrs
	Relayed   bool   // through a third peer
}

// Path returns the way that calls to a peer take; false if there is no stream
// to it.
func (h *Host) Path(id chord.PeerID) (Path, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	l := h.links[peer.ID(id)]
	if l == nil || l.stream == nil {
		return Path{}, false
	}
	return pathOf(l.stream.remote), true
}

// pathOf reads a path from the multiaddr at its end: the last transport that
// it names before a relay is the one in use.
func pathOf(addr ma.Multiaddr) Path {
	p := Path{Addr: addr.String()}
	for _, c := range addr {
		switch c.Protocol().Code {
		case ma.P_TCP:
			p.Transport = "tcp"
		case ma.P_QUIC_V1:
			p.Transport = "quic"
		case ma.P_WS, ma.P_WSS:
			p.Transport = "ws"
		case ma.P_WEBTRANSPORT, ma.P_WEBRTC_DIRECT:
			p.Transport = c.Protocol().Name
		case ma.P_CIRCUIT:
			p.Relayed = true
			return p
		}
	}
	return p
}
