package overlay

import (
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay/client"
)

// checkReach tells from where this peer can be reached, as others found it, and otherwise by
// its addresses.
func checkReach(r p2p.Reach, addrs []string) client.Check {
	const forward = "forward port 4747 (UDP and TCP, or what --listen says) to this host; then calls need no relay"
	direct, public := 0, 0
	for _, s := range addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil || manet.IsIPLoopback(a) || isRelayed(a) {
			continue
		}
		direct++
		if manet.IsPublicAddr(a) {
			public++
		}
	}
	switch {
	case r.State == p2p.ReachPrivate && len(r.Relays) == 0:
		return broken("reach", forward+", or start a peer that the others can reach: it relays by itself",
			"behind a NAT or firewall (%d peers tried), and no peer of the ring serves as relay: others cannot open connections to this one", r.Asked)
	case r.State == p2p.ReachPrivate:
		return odd("reach", forward, "behind a NAT or firewall (%d peers tried): reached by relay, through %d peers, and directly where hole punching works", r.Asked, len(r.Relays))
	case r.State == p2p.ReachPublic:
		return fine("reach", "public: %d peers beyond this network were asked and reached it; it relays for those that cannot be", r.Asked)
	case public > 0:
		return fine("reach", "%d public addresses; no peer elsewhere is connected that could tell whether a firewall is in between", public)
	case direct > 0:
		return fine("reach", "private: %d addresses in a local network, and all connected peers are in it", direct)
	default:
		return odd("reach", "peer run --listen /ip4/0.0.0.0/tcp/4747 --listen /ip4/0.0.0.0/udp/4747/quic-v1", "loopback alone: peers of this machine only can reach this one")
	}
}

// isRelayed reports whether an address leads through a relay.
func isRelayed(a multiaddr.Multiaddr) bool {
	_, err := a.ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}
