package p2p

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ltls "github.com/libp2p/go-libp2p/p2p/security/tls"
	lquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
)

// newLibp2p makes the libp2p host that cfg describes: TCP with TLS and QUIC,
// identify, limits on, and nothing that reaches out by itself. Through relays it can be
// reached and reach others unless it is on loopback; reach has the rest.
func newLibp2p(cfg Config, rpcProtocol protocol.ID, admit *admission, gater connGater) (host.Host, *sockets, error) {
	limits, err := newLimits(cfg, rpcProtocol)
	if err != nil {
		return nil, nil, err
	}
	conns, err := connmgr.NewConnManager(max(1, cfg.MaxPeers*3/4), cfg.MaxPeers, connmgr.WithGracePeriod(20*time.Second))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("limit connections: %w", err), limits.Close())
	}
	udp := &sockets{listen: cfg.ListenUDP, metrics: cfg.Metrics}
	opts := []libp2p.Option{
		libp2p.Identity(cfg.Key),
		libp2p.NoListenAddrs, // see listen
		libp2p.NoTransports,
		// With a shared port, two peers that dial each other at once would meet on
		// one connection, both as clients; and two processes could listen on one.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.QUICReuse(udp.connManager(limits)),
		libp2p.ResourceManager(limits),
		libp2p.ConnectionManager(conns),
		libp2p.SwarmOpts(swarm.WithDialRanker(rankDials)),
		libp2p.WithDialTimeout(cfg.DialTimeout),
		libp2p.ConnectionGater(gater),
		libp2p.AddrsFactory(gater.ranges.announced),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.Ping(false),
		libp2p.UserAgent("chorus"),
	}
	if cfg.reachable() {
		opts = append(opts, libp2p.EnableRelay())
	} else {
		opts = append(opts, libp2p.DisableRelay())
	}
	if admit == nil {
		opts = append(opts, libp2p.Transport(lquic.NewTransport), libp2p.Security(ltls.ID, ltls.New))
	} else {
		gated, err := admit.options()
		if err != nil {
			return nil, nil, errors.Join(err, limits.Close(), conns.Close())
		}
		opts = append(opts, gated...)
	}
	if cfg.Metrics != nil {
		opts = append(opts, libp2p.PrometheusRegisterer(cfg.Metrics))
	} else {
		opts = append(opts, libp2p.DisableMetrics())
	}
	h, err := libp2p.New(append(opts, cfg.Options...)...)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start host: %w", err), limits.Close(), conns.Close(), udp.close())
	}
	if err := listen(h, cfg.Listen); err != nil {
		return nil, nil, errors.Join(err, h.Close(), udp.close())
	}
	if admit != nil {
		if err := admit.listenQUIC(udp.cm, h.Network().ListenAddresses()); err != nil {
			admit.close()
			return nil, nil, errors.Join(err, h.Close(), udp.close())
		}
	}
	return h, udp, nil
}

// listen listens on all addresses, or fails: libp2p by itself is content with
// one of them, so that a port in use would go unnoticed.
func listen(h host.Host, addrs []string) error {
	s, ok := h.Network().(*swarm.Swarm)
	if !ok {
		return fmt.Errorf("listen: network is a %T", h.Network())
	}
	for _, addr := range addrs {
		a, err := multiaddr.NewMultiaddr(addr)
		if err != nil {
			return fmt.Errorf("listen on %q: %w", addr, err)
		}
		if err := s.AddListenAddr(a); err != nil {
			return fmt.Errorf("listen on %s: %w", addr, err)
		}
	}
	return nil
}

// newLimits returns libp2p's resource manager under the two knobs of cfg. A
// peer gets few streams of the calls' protocol, since it needs one.
func newLimits(cfg Config, rpcProtocol protocol.ID) (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	perPeer := rcmgr.BaseLimit{StreamsInbound: 4, StreamsOutbound: 8, Streams: 12, Memory: 32 << 20}
	scaling.AddProtocolPeerLimit(rpcProtocol, perPeer, rcmgr.BaseLimitIncrease{})
	concrete := scaling.AutoScale()
	if cfg.MaxMemory > 0 || cfg.MaxFiles > 0 {
		memory, files := cfg.MaxMemory, cfg.MaxFiles
		if memory == 0 {
			memory = 1 << 30
		}
		if files == 0 {
			files = 4096
		}
		concrete = scaling.Scale(memory, files)
	}

	opts := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: perAddress}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: perAddress}},
		),
		rcmgr.WithConnRateLimiters(connRate()),
	}
	if cfg.Metrics == nil {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}
	m, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(concrete), opts...)
	if err != nil {
		return nil, fmt.Errorf("limit resources: %w", err)
	}
	return m, nil
}

// perAddress bounds the connections from one address. libp2p's 8 are too few
// for the peers of an office behind one address.
const perAddress = 128

// connRate bounds how fast one address may connect: enough for an office that
// comes back after an outage. This machine is not bounded.
func connRate() *rate.Limiter {
	limit := rate.Limit{RPS: 10, Burst: 2 * perAddress}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
			{Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: limit}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: limit}},
			GracePeriod:      time.Minute,
		},
	}
}

// sockets opens QUIC's UDP sockets and remembers them, so that Kill can take
// them away before QUIC says good-bye on them.
type sockets struct {
	listen  func(network string, addr *net.UDPAddr) (net.PacketConn, error)
	metrics prometheus.Registerer // nil: none

	mu    sync.Mutex
	open  []net.PacketConn
	bound net.IP
	cm    *quicreuse.ConnManager
}

// connManager returns the constructor that libp2p makes its QUIC with.
func (s *sockets) connManager(limits network.ResourceManager) any {
	return func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
		opts := []quicreuse.Option{
			quicreuse.OverrideListenUDP(s.listenUDP),
			quicreuse.VerifySourceAddress(limits.VerifySourceAddress),
		}
		if s.listen != nil {
			opts = append(opts, quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return s, nil }))
		}
		if s.metrics != nil {
			opts = append(opts, quicreuse.EnableMetrics(s.metrics))
		}
		cm, err := quicreuse.NewConnManager(reset, token, opts...)
		s.mu.Lock()
		s.cm = cm
		s.mu.Unlock()
		return cm, err
	}
}

func (s *sockets) listenUDP(network string, addr *net.UDPAddr) (net.PacketConn, error) {
	listen := s.listen
	if listen == nil {
		listen = func(network string, addr *net.UDPAddr) (net.PacketConn, error) { return net.ListenUDP(network, addr) }
	}
	c, err := listen(network, addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, c)
	s.bound = addr.IP
	return c, nil
}

// PreferredSourceIPForDestination implements quicreuse.SourceIPSelector for a
// network that the system's routing table does not know.
func (s *sockets) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bound), nil
}

// kill closes the sockets.
func (s *sockets) kill() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // it is meant to break
	}
}

// close ends what QUIC shares between its connections. The host does not.
func (s *sockets) close() error {
	s.mu.Lock()
	cm := s.cm
	s.cm, s.open = nil, nil
	s.mu.Unlock()
	if cm == nil {
		return nil
	}
	return cm.Close()
}
