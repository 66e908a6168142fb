package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// nearUDPDelay is the head start that TCP gets to a near peer.
const nearUDPDelay = 50 * time.Millisecond

// rankDials says which addresses of a peer to dial, and when. Calls are small
// frames, and on loopback and local networks TCP answers those sooner than QUIC
// and takes large ones in half the time (package callbench measures both), so
// there it goes first. Elsewhere the order is libp2p's, which prefers QUIC: it
// crosses NATs, and a lost packet holds up no other stream.
func rankDials(addrs []ma.Multiaddr) []network.AddrDelay {
	var nearTCP, nearUDP, far []ma.Multiaddr
	for _, a := range addrs {
		switch {
		case isRelayed(a):
			far = append(far, a)
		case near(a) && hasProtocol(a, ma.P_TCP):
			nearTCP = append(nearTCP, a)
		case near(a) && hasProtocol(a, ma.P_UDP):
			nearUDP = append(nearUDP, a)
		default:
			far = append(far, a)
		}
	}
	ranked := swarm.DefaultDialRanker(far)
	for _, a := range nearTCP {
		ranked = append(ranked, network.AddrDelay{Addr: a})
	}
	var delay time.Duration
	if len(nearTCP) > 0 {
		delay = nearUDPDelay
	}
	for _, a := range nearUDP {
		ranked = append(ranked, network.AddrDelay{Addr: a, Delay: delay})
	}
	return ranked
}

// near reports whether an address is of this machine or a local network.
func near(a ma.Multiaddr) bool {
	return manet.IsPrivateAddr(a) || manet.IsIPLoopback(a) || manet.IsIP6LinkLocal(a)
}

func hasProtocol(a ma.Multiaddr, code int) bool {
	_, err := a.ValueForProtocol(code)
	return err == nil
}
