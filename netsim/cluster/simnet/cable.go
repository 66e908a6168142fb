package simnet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"

	upstream "github.com/marcopolo/simnet"
)

// cable joins a host to the router. It stays when the host goes down, so that
// nothing is left in the router's queues that could block it: a router that waits
// for one host would stop all.
type cable struct {
	network *Network
	host    int
	addr    *net.UDPAddr
	end     *upstream.SimConn

	mu     sync.Mutex
	socket *socket // nil: none is open
	down   bool
	random *rand.Rand
}

// plug opens the host's socket.
func (c *cable) plug() (*socket, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.down:
		return nil, fmt.Errorf("simnet: host %d: %w", c.host, syscall.ENETDOWN)
	case c.socket != nil:
		return nil, fmt.Errorf("simnet: host %d: %w", c.host, syscall.EADDRINUSE)
	}
	c.socket = newSocket(c)
	return c.socket, nil
}

// unplug takes the host down.
func (c *cable) unplug() {
	c.mu.Lock()
	s := c.socket
	c.down, c.socket = true, nil
	c.mu.Unlock()
	if s != nil {
		_ = s.Close() // never fails
	}
}

func (c *cable) restore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}

// release forgets a socket that was closed.
func (c *cable) release(s *socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket == s {
		c.socket = nil
	}
}

// send puts a packet on the wire, or loses it. It never blocks for long: the
// link's queue takes all.
func (c *cable) send(p []byte, to net.Addr) error {
	n := c.network
	n.sent.Add(1)
	host := hostOf(to)
	n.mu.RLock()
	receiver, loss := n.hosts[host], n.loss
	n.mu.RUnlock()
	switch {
	case receiver == nil || len(p) > maxPacket:
		n.dropped.Add(1)
	case !n.reaches(c.host, host):
		n.cut.Add(1)
	case c.unlucky(loss):
		n.lost.Add(1)
	default:
		_, err := c.end.WriteTo(p, receiver.addr)
		return err
	}
	return nil
}

func (c *cable) unlucky(loss float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.Float64() < loss
}

// pump takes packets off the wire for as long as the network lives.
func (c *cable) pump() {
	n := c.network
	buf := make([]byte, maxPacket)
	for {
		size, from, err := c.end.ReadFrom(buf)
		if err != nil {
			return
		}
		sender := hostOf(from)
		c.mu.Lock()
		s, down := c.socket, c.down
		c.mu.Unlock()
		switch {
		case down || !n.reaches(sender, c.host) || n.isDown(sender):
			n.cut.Add(1)
		case s == nil || !s.push(packet{from: from, data: slices.Clone(buf[:size])}):
			n.dropped.Add(1)
		default:
			n.delivered.Add(1)
		}
	}
}

func (n *Network) isDown(i int) bool {
	n.mu.RLock()
	c := n.hosts[i]
	n.mu.RUnlock()
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down
}
