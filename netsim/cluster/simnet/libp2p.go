package simnet

import (
	"net"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

// HostOptions makes libp2p.New build host i on this network: QUIC alone,
// listening at ListenAddr. Close the host and it may be built again.
func (n *Network) HostOptions(i int) []libp2p.Option {
	return []libp2p.Option{
		libp2p.ListenAddrs(n.ListenAddr(i)),
		libp2p.NoTransports,
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.QUICReuse(n.connManager(i)),
		// It starts timers that keep virtual time from passing.
		libp2p.DisableIdentifyAddressDiscovery(),
	}
}

// connManager returns what libp2p makes its QUIC with. One that is not libp2p's
// own is not closed with the host either, unless its life is tied to it.
func (n *Network) connManager(i int) any {
	return func(life fx.Lifecycle, reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
		m, err := quicreuse.NewConnManager(reset, token,
			quicreuse.OverrideListenUDP(n.ListenUDP(i)),
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return fixedSource(ipOf(i)), nil }))
		if err != nil {
			return nil, err
		}
		life.Append(fx.StopHook(m.Close))
		return m, nil
	}
}

// fixedSource answers which of a host's addresses it sends from: it has one. The
// routing table of the machine knows nothing of these networks.
type fixedSource net.IP

func (f fixedSource) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return net.IP(f), nil
}
