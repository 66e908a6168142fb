package p2p

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// errRefused ends an attempt at a peer whose machine says that nobody listens there.
var errRefused = errors.New("connection refused")

// An attempt that takes longer than this is looked at, again and again: near peers
// shake hands sooner, others need some long round trips.
const (
	nearPatience = 250 * time.Millisecond
	farPatience  = time.Second
)

// unlessRefused returns a context for an attempt at a peer with these addresses. It ends
// when its machine refuses TCP at all of them. Where a process has died its machine says so at
// once, but QUIC hears nothing: without this, each attempt at such a peer would take
// as long as one at a machine that is gone, and so would all that waits for it. QUIC, beside
// which the machine is asked, has had its time then. The caller calls stop.
func unlessRefused(ctx context.Context, addrs []ma.Multiaddr) (_ context.Context, stop func()) {
	ports, patience, ok := doors(addrs)
	if !ok {
		return ctx, func() {}
	}
	ctx, end := context.WithCancelCause(ctx)
	var looks sync.WaitGroup
	looks.Go(func() {
		tick := time.NewTicker(patience)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if allRefuse(ctx, ports) {
					end(errRefused)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() {
		end(nil)
		looks.Wait()
	}
}

// doors returns the TCP ports of a peer. They tell nothing, and ok is false, if it may be at
// a machine that has none of them, or behind another peer.
func doors(addrs []ma.Multiaddr) (ports []netip.AddrPort, patience time.Duration, ok bool) {
	machines := make(map[netip.Addr]bool) // and whether it has one
	patience = nearPatience
	for _, a := range addrs {
		ip, err := manet.ToIP(a)
		machine, isIP := netip.AddrFromSlice(ip)
		if err != nil || !isIP || hasProtocol(a, ma.P_CIRCUIT) {
			return nil, 0, false
		}
		machine = machine.Unmap()
		at, err := manet.ToNetAddr(a)
		tcp, isTCP := at.(*net.TCPAddr)
		isTCP = isTCP && err == nil
		if machines[machine] = machines[machine] || isTCP; isTCP {
			ports = append(ports, netip.AddrPortFrom(machine, tcp.AddrPort().Port()))
		}
		if !near(a) {
			patience = farPatience
		}
	}
	for _, has := range machines {
		if !has {
			return nil, 0, false
		}
	}
	if len(ports) == 0 {
		return nil, 0, false
	}
	return ports, patience, true
}

// allRefuse reports whether nobody listens at any of these ports.
func allRefuse(ctx context.Context, ports []netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, farPatience)
	defer cancel()
	for _, p := range ports {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", p.String())
		if err == nil {
			_ = c.Close() // it is of no use: the attempt has one of its own
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return false
		}
	}
	return true
}
