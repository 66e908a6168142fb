package simnet

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	upstream "github.com/marcopolo/simnet"
	"github.com/multiformats/go-multiaddr"
)

// MaxHosts is how many hosts a network has at most.
const MaxHosts = perOctet * perOctet

const (
	udpPort  = 4747
	perOctet = 250
	// maxPacket is the largest UDP payload. QUIC keeps below an Ethernet frame.
	maxPacket = 1500
)

// Settings describe a network. The zero value of a field means its default.
type Settings struct {
	// Latency is how long a packet is under way, one way. Default 0.
	Latency time.Duration
	// Jitter is added to the latency of each packet, evenly distributed from 0 to
	// Jitter; packets overtake each other. Default 0.
	Jitter time.Duration
	// Loss is the fraction of packets that are lost, from 0 to 1. Default 0.
	Loss float64
	// Bandwidth of each host, up and down, in bits per second. Default 1e9.
	Bandwidth int
	// Seed determines loss and jitter.
	Seed uint64
}

func (s Settings) withDefaults() Settings {
	if s.Bandwidth == 0 {
		s.Bandwidth = 1e9
	}
	return s
}

func (s Settings) validate() error {
	switch {
	case s.Latency < 0 || s.Jitter < 0:
		return errors.New("simnet: Latency and Jitter cannot be negative")
	case !(s.Loss >= 0 && s.Loss <= 1):
		return fmt.Errorf("simnet: Loss is %v, not a fraction from 0 to 1", s.Loss)
	case s.Bandwidth < 0:
		return fmt.Errorf("simnet: Bandwidth is %d", s.Bandwidth)
	}
	return nil
}

// Stats counts packets since the network was made.
type Stats struct {
	Sent      uint64 // by hosts that are up
	Delivered uint64 // to a socket
	Lost      uint64 // by chance
	Cut       uint64 // by a partition, or because the receiver is down
	Dropped   uint64 // too large, for nobody, or because the receiver does not keep up
}

// Network is a simulated network. Its methods may be called from any goroutine.
type Network struct {
	settings Settings
	router   upstream.Simnet
	pumps    sync.WaitGroup

	mu      sync.RWMutex
	closed  bool
	hosts   map[int]*cable
	groups  map[int]int // absent: the group of those that Partition did not name
	cuts    map[[2]int]bool
	latency map[[2]int]time.Duration
	loss    float64

	jitter *rand.Rand // used by the router's goroutine alone

	sent, delivered, lost, cut, dropped atomic.Uint64
}

// New makes a network without hosts and starts it. Close ends it.
func New(settings Settings) (*Network, error) {
	settings = settings.withDefaults()
	if err := settings.validate(); err != nil {
		return nil, err
	}
	n := &Network{
		settings: settings,
		hosts:    make(map[int]*cable),
		cuts:     make(map[[2]int]bool),
		latency:  make(map[[2]int]time.Duration),
		loss:     settings.Loss,
		jitter:   rand.New(rand.NewPCG(settings.Seed, 1<<63)),
	}
	n.router.LatencyFunc = n.delay
	n.router.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	n.router.Start()
	return n, nil
}

// Close ends the network. It may be called again.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	cables := n.hosts
	n.mu.Unlock()
	for _, c := range cables {
		c.unplug()
	}
	n.router.Close()
	n.pumps.Wait()
	return nil
}

// Stats returns the counts of now.
func (n *Network) Stats() Stats {
	return Stats{
		Sent:      n.sent.Load(),
		Delivered: n.delivered.Load(),
		Lost:      n.lost.Load(),
		Cut:       n.cut.Load(),
		Dropped:   n.dropped.Load(),
	}
}

// ListenAddr is where host i is reached.
func (n *Network) ListenAddr(i int) multiaddr.Multiaddr {
	return multiaddr.StringCast(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", ipOf(i), udpPort))
}

// ListenUDP returns what opens the UDP socket of host i, in place of
// net.ListenUDP. A host has one socket at a time, at ListenAddr.
func (n *Network) ListenUDP(i int) func(network string, addr *net.UDPAddr) (net.PacketConn, error) {
	return func(_ string, addr *net.UDPAddr) (net.PacketConn, error) {
		if mine := ipOf(i); !addr.IP.Equal(mine) && !addr.IP.IsUnspecified() || addr.Port != 0 && addr.Port != udpPort {
			return nil, fmt.Errorf("simnet: host %d is %v:%d, not %v", i, mine, udpPort, addr)
		}
		c, err := n.cable(i)
		if err != nil {
			return nil, err
		}
		return c.plug()
	}
}

// cable returns that of host i, laying it at the first time.
func (n *Network) cable(i int) (*cable, error) {
	if i < 0 || i >= MaxHosts {
		return nil, fmt.Errorf("simnet: host %d, there are %d at most", i, MaxHosts)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, net.ErrClosed
	}
	if c := n.hosts[i]; c != nil {
		return c, nil
	}
	link := upstream.LinkSettings{BitsPerSecond: n.settings.Bandwidth, MTU: burst(n.settings.Bandwidth)}
	addr := &net.UDPAddr{IP: ipOf(i), Port: udpPort}
	c := &cable{
		network: n,
		host:    i,
		addr:    addr,
		end:     n.router.NewEndpoint(addr, upstream.NodeBiDiLinkSettings{Uplink: link, Downlink: link}),
		random:  rand.New(rand.NewPCG(n.settings.Seed, uint64(i))),
	}
	n.hosts[i] = c
	n.pumps.Go(c.pump)
	return c, nil
}

// burst is how many bytes a link lets pass at once. The router's clock is
// coarser than a packet on a fast link, and a packet larger than this would
// block the link for good.
func burst(bitsPerSecond int) int {
	const tick = 500 // bursts a second
	return min(max(bitsPerSecond/8/tick, maxPacket), 60<<10)
}

// ipOf spreads the hosts over many /16 networks, since libp2p and kad-dht
// distrust many peers in one. They count as public addresses.
func ipOf(i int) net.IP {
	return net.IPv4(1, byte(i%perOctet), byte(i/perOctet), 1).To4()
}

// hostOf is the host that has addr, or -1.
func hostOf(addr net.Addr) int {
	udp, ok := addr.(*net.UDPAddr)
	if !ok || udp.Port != udpPort {
		return -1
	}
	i := -1
	if ip := udp.IP.To4(); ip != nil {
		i = int(ip[2])*perOctet + int(ip[1])
	}
	if i < 0 || i >= MaxHosts || !ipOf(i).Equal(udp.IP) {
		return -1
	}
	return i
}

// delay is the router's question for each packet.
func (n *Network) delay(p *upstream.Packet) time.Duration {
	n.mu.RLock()
	d, ok := n.latency[pair(hostOf(p.From), hostOf(p.To))]
	n.mu.RUnlock()
	if !ok {
		d = n.settings.Latency
	}
	if n.settings.Jitter > 0 {
		d += time.Duration(n.jitter.Int64N(int64(n.settings.Jitter)))
	}
	return d
}
