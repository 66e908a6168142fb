package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/overlay"
)

// Settings describe a cluster. The zero value of a field means its default.
type Settings struct {
	// Peers is how many to start; default 5.
	Peers int
	// Dir is the folder that the peers' homes lie in, each named after its peer.
	// Empty: peers keep everything in memory and cannot be restarted.
	Dir string
	// Names are the peers' names; default peer1, peer2 ...
	Names []string
	// Network, if set, makes the peers talk over a simulated network instead of
	// loopback.
	Network *simnet.Settings
	// Node is what all nodes have in common. Home, Name, Peers, Create, Listen
	// and Host are the cluster's to set.
	Node overlay.Config
	// Logger receives what happens at the peers, named by peer; default: nothing.
	Logger *slog.Logger
}

// Cluster is a number of running peers.
type Cluster struct {
	settings Settings
	net      *simnet.Network // nil on loopback
	keys     []crypto.PrivKey

	mu    sync.Mutex
	nodes []*overlay.Node
	hosts []host.Host // of simulated peers
}

// atOnce is how many peers of a cluster join at a time. They share a machine: when
// forty join a ring of one at once, it is so busy that their requests time out,
// and they begin anew.
const atOnce = 8

// Start starts the peers: the first one makes the ring, the others join it, a few
// at once. It returns when each is a member.
func Start(ctx context.Context, s Settings) (*Cluster, error) {
	if s.Peers == 0 {
		s.Peers = 5
	}
	if s.Peers < 1 {
		return nil, fmt.Errorf("start cluster: %d peers", s.Peers)
	}
	c := &Cluster{settings: s}
	if s.Network != nil {
		var err error
		if c.net, err = simnet.New(*s.Network); err != nil {
			return nil, fmt.Errorf("start cluster: %w", err)
		}
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start cluster: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	c.grow(c.settings.Peers)
	if err := c.run(ctx, 0); err != nil {
		return err
	}
	errs := make([]error, c.settings.Peers)
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := 1; i < c.settings.Peers; i++ {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = c.run(ctx, i)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// grow makes room for n peers.
func (c *Cluster) grow(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, make([]*overlay.Node, n-len(c.nodes))...)
	c.hosts = append(c.hosts, make([]host.Host, n-len(c.hosts))...)
	for len(c.keys) < n {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			panic(fmt.Sprintf("cluster: no random numbers: %v", err))
		}
		c.keys = append(c.keys, key)
	}
}

// run starts peer i.
func (c *Cluster) run(ctx context.Context, i int) error {
	cfg := c.settings.Node
	cfg.Name, cfg.Home = c.name(i), c.Home(i)
	cfg.Create, cfg.Open = i == 0, true
	cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	if c.settings.Logger != nil {
		cfg.Logger = c.settings.Logger.With("at", cfg.Name)
	}
	if i > 0 {
		cfg.Peers = c.contacts(i)
	}
	if c.net != nil {
		h, err := libp2p.New(append(c.net.HostOptions(i), libp2p.Identity(c.keys[i]))...)
		if err != nil {
			return fmt.Errorf("start host of %s: %w", cfg.Name, err)
		}
		cfg.Host = h
	}
	node, err := overlay.Join(ctx, cfg)
	if err != nil {
		if cfg.Host != nil {
			err = errors.Join(err, cfg.Host.Close())
		}
		return fmt.Errorf("start %s: %w", cfg.Name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i], c.hosts[i] = node, cfg.Host
	return nil
}

// contacts are the addresses of a few running peers.
func (c *Cluster) contacts(self int) []string {
	var addrs []string
	for i, n := range c.Nodes() {
		if n != nil && i != self && n.Alive() {
			addrs = append(addrs, n.Addrs()...)
		}
		if len(addrs) >= 8 {
			break
		}
	}
	return addrs
}

func (c *Cluster) name(i int) string {
	if i < len(c.settings.Names) {
		return c.settings.Names[i]
	}
	return fmt.Sprintf("peer%d", i+1)
}

// Home returns the home of peer i; empty if it has none.
func (c *Cluster) Home(i int) string {
	if c.settings.Dir == "" {
		return ""
	}
	return filepath.Join(c.settings.Dir, c.name(i))
}

// Nodes returns the peers, in the order of their start. Those that were killed
// are among them, as they were.
func (c *Cluster) Nodes() []*overlay.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

// Network returns the simulated network; nil on loopback.
func (c *Cluster) Network() *simnet.Network { return c.net }

// Live returns the peers that run.
func (c *Cluster) Live() []*overlay.Node {
	return slices.DeleteFunc(c.Nodes(), func(n *overlay.Node) bool { return n == nil || !n.Alive() })
}

// Agree returns when all running peers see the same ring, of just the running
// peers. It looks at their views and makes them send nothing, since in a large
// cluster all would dial all others for an answer.
func (c *Cluster) Agree(ctx context.Context) error {
	for {
		disagrees := disagreement(c.Live())
		if disagrees == "" {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("agree on a ring: %s: %w", disagrees, ctx.Err())
		}
	}
}

// disagreement says which peer sees another ring; empty if none does.
func disagreement(live []*overlay.Node) string {
	var first uint64
	for i, n := range live {
		peers, digest := n.Sees()
		if i == 0 {
			first = digest
		}
		if peers != len(live) || digest != first {
			return fmt.Sprintf("%s sees %d of %d peers", n.Name(), peers, len(live))
		}
	}
	return ""
}

// Kill ends peer i as a crash would.
func (c *Cluster) Kill(i int) error {
	if c.net != nil {
		if err := c.net.Down(i); err != nil {
			return err
		}
	}
	c.Nodes()[i].Kill()
	return nil
}

// Restart starts a peer that was killed or closed again in its home.
func (c *Cluster) Restart(ctx context.Context, i int) (*overlay.Node, error) {
	if c.settings.Dir == "" {
		return nil, errors.New("restart: peers without a home cannot be restarted")
	}
	if c.net != nil {
		if err := c.net.Up(i); err != nil {
			return nil, err
		}
	}
	if err := c.run(ctx, i); err != nil {
		return nil, err
	}
	return c.Nodes()[i], nil
}

// Add starts one more peer.
func (c *Cluster) Add(ctx context.Context) (*overlay.Node, error) {
	i := len(c.Nodes())
	c.grow(i + 1)
	if err := c.run(ctx, i); err != nil {
		return nil, err
	}
	return c.Nodes()[i], nil
}

// Close stops all peers and then the network.
func (c *Cluster) Close() error {
	nodes := c.Nodes()
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		if n != nil {
			wg.Go(func() { errs[i] = n.Close() })
		}
	}
	wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.hosts {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	if c.net != nil {
		errs = append(errs, c.net.Close())
	}
	return errors.Join(errs...)
}
