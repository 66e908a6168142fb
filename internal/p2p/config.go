package p2p

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chorus-net/chorus/internal/rpc"
)

// Config configures a Host. Key (or Host) and Registry are required.
type Config struct {
	// Key is the peer's identity.
	Key crypto.PrivKey
	// Listen holds the multiaddrs to listen on. Empty: nowhere.
	Listen []string
	// Ring is the ID of the ring. It is part of every protocol name, so peers of
	// different rings cannot talk to each other.
	Ring []byte
	// Registry holds the handlers that other peers may call.
	Registry *rpc.Registry
	// Gate decides who may connect. Nil: everybody is a member, as in an open ring.
	Gate Gate

	// Host is a ready host to run on, in place of one made from Key, Listen and
	// the options below. Close leaves it open; Kill does not. It cannot have a Gate,
	// which stands in the transports.
	Host host.Host
	// Options are passed to libp2p behind those that follow from this Config.
	Options []libp2p.Option
	// ListenUDP opens the sockets that QUIC uses, as a simulated network does.
	// Nil: the system's.
	ListenUDP func(network string, addr *net.UDPAddr) (net.PacketConn, error)
	// Profile says which addresses are announced and dialled; it does not bind a ready
	// Host. Empty: ProfileAuto.
	Profile Profile
	// Given holds addresses that the operator gave, which are dialled in any profile.
	Given []string
	// Metrics is where libp2p registers its Prometheus metrics, unless Host is
	// set. Nil: it keeps none.
	Metrics prometheus.Registerer
	// MaxMemory bounds what connections and streams may use, in bytes. Zero: an
	// eighth of the machine's memory.
	MaxMemory int64
	// MaxFiles bounds the file descriptors of connections. Zero: half of what the
	// process may open.
	MaxFiles int

	// DisableKad runs no Kademlia.
	DisableKad bool

	// MaxPeers bounds the streams kept to other peers; the one unused for longest
	// makes way. Connections in excess of it are closed as well. Zero: 256.
	MaxPeers int
	// DialTimeout bounds an attempt to reach a peer. Zero: 5 s.
	DialTimeout time.Duration
	// Workers is how many handlers that may block run at a time. Zero: 256.
	Workers int
	// Waiting is how many requests may wait for a worker. Zero: 1024.
	Waiting int
	// MaxCalls and MaxBytes bound the requests and casts that a peer is heard a second, and
	// their bytes. Zero: 100,000, and 256 MiB.
	MaxCalls, MaxBytes int
	// Call configures the connections further: MaxFrame, MaxPending, MaxQueue,
	// CallTimeout and WriteTimeout are taken from it.
	Call rpc.Config

	near   func() []netip.Prefix // the networks that this machine is in; nil: as the system tells
	walled bool                  // take it that nobody can open connections to the host
}

func (c Config) withDefaults() Config {
	if c.MaxPeers == 0 {
		c.MaxPeers = 256
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 5 * time.Second
	}
	if c.Workers == 0 {
		c.Workers = 256
	}
	if c.Waiting == 0 {
		c.Waiting = 1024
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 100_000
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 256 << 20
	}
	if c.Call.MaxReplies == 0 {
		c.Call.MaxReplies = 8 << 20
	}
	if c.Call.MaxServing == 0 {
		c.Call.MaxServing = max(1, (c.Workers+c.Waiting)/4) // of what all peers share
	}
	if c.Call.MaxRunning == 0 {
		c.Call.MaxRunning = max(1, runtime.GOMAXPROCS(0)-1) // leaves a processor to others
	}
	return c
}

func (c Config) validate() error {
	if c.Key == nil && c.Host == nil {
		return fmt.Errorf("config: Key is missing")
	}
	if c.Registry == nil {
		return fmt.Errorf("config: Registry is missing")
	}
	for _, s := range c.Listen {
		if _, err := multiaddr.NewMultiaddr(s); err != nil {
			return fmt.Errorf("config: Listen %q: %w", s, err)
		}
	}
	if c.Gate != nil && (c.Host != nil || len(c.Options) > 0) {
		return fmt.Errorf("config: a Gate needs transports of the host's own making")
	}
	if err := c.Profile.validate(); err != nil {
		return err
	}
	if c.MaxMemory < 0 || c.MaxFiles < 0 || c.MaxPeers < 1 || c.Workers < 1 || c.Waiting < 0 || c.DialTimeout < 0 || c.MaxCalls < 0 || c.MaxBytes < 0 {
		return fmt.Errorf("config: negative bound")
	}
	return nil
}

// reachable reports whether others beyond this machine's networks may want to reach the host: it
// listens elsewhere than on loopback, and that on a network that is neither simulated nor of
// somebody else's making.
func (c Config) reachable() bool {
	return c.near != nil || c.Host == nil && c.ListenUDP == nil && slices.ContainsFunc(c.Listen, func(s string) bool {
		a, err := multiaddr.NewMultiaddr(s)
		return err == nil && !manet.IsIPLoopback(a)
	})
}
