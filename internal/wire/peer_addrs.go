package wire

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/multiformats/go-multiaddr"
)

// An endpoint is an IP address and a port at which a peer listens by QUIC and by TCP,
// as nearly all do: a third of the bytes of the two binary multiaddrs.
const (
	ip4Len  = 4
	ip6Len  = 16
	portLen = 2
)

// What the parts of an endpoint's multiaddrs begin with.
var (
	codeIP4  = multiaddr.CodeToVarint(multiaddr.P_IP4)
	codeIP6  = multiaddr.CodeToVarint(multiaddr.P_IP6)
	codeUDP  = multiaddr.CodeToVarint(multiaddr.P_UDP)
	codeTCP  = multiaddr.CodeToVarint(multiaddr.P_TCP)
	codeQUIC = multiaddr.CodeToVarint(multiaddr.P_QUIC_V1)
)

// byQUIC and byTCP return the binary multiaddrs of an endpoint.
func byQUIC(e []byte) []byte { return slices.Concat(ipOf(e), codeUDP, e[len(e)-portLen:], codeQUIC) }
func byTCP(e []byte) []byte  { return slices.Concat(ipOf(e), codeTCP, e[len(e)-portLen:]) }

func ipOf(e []byte) []byte {
	if len(e) == ip4Len+portLen {
		return slices.Concat(codeIP4, e[:ip4Len])
	}
	return slices.Concat(codeIP6, e[:ip6Len])
}

// endpoint returns the endpoint whose address by TCP is addr, if it is one.
func endpoint(addr []byte) ([]byte, bool) {
	for _, kind := range []struct {
		code []byte
		size int
	}{{codeIP4, ip4Len}, {codeIP6, ip6Len}} {
		ip, ok := bytes.CutPrefix(addr, kind.code)
		if !ok || len(ip) < kind.size {
			continue
		}
		if port, ok := bytes.CutPrefix(ip[kind.size:], codeTCP); ok && len(port) == portLen {
			return slices.Concat(ip[:kind.size], port), true
		}
	}
	return nil, false
}

// splitEndpoints takes what endpoints tell out of binary multiaddrs,
// and returns both.
func splitEndpoints(addrs [][]byte) (endpoints, rest [][]byte) {
	listed := func(addrs [][]byte, addr []byte) bool {
		return slices.ContainsFunc(addrs, func(a []byte) bool { return bytes.Equal(a, addr) })
	}
	for _, a := range addrs {
		if e, ok := endpoint(a); ok && listed(addrs, byQUIC(e)) && !listed(endpoints, e) {
			endpoints = append(endpoints, e)
		}
	}
	told := joinEndpoints(endpoints)
	for _, a := range addrs {
		if !listed(told, a) {
			rest = append(rest, a)
		}
	}
	return endpoints, rest
}

// joinEndpoints returns the binary multiaddrs of endpoints.
func joinEndpoints(endpoints [][]byte) (addrs [][]byte) {
	for _, e := range endpoints {
		addrs = append(addrs, byQUIC(e), byTCP(e))
	}
	return addrs
}

// encodeAddrs returns the binary form of multiaddrs, a third of the text.
func encodeAddrs(addrs []string) ([][]byte, error) {
	if len(addrs) == 0 {
		return nil, nil
	}
	bin := make([][]byte, len(addrs))
	for i, s := range addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("encode address %q: %w", s, err)
		}
		bin[i] = a.Bytes()
	}
	return bin, nil
}

// decodeAddrs returns the text of binary multiaddrs. One of a kind that this
// version does not know is left out: the others may do.
func decodeAddrs(bin [][]byte) ([]string, error) {
	var addrs []string
	for _, b := range bin {
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err != nil {
			continue
		}
		s := a.String()
		if len(s) > maxPeerAddr {
			return nil, fmt.Errorf("address of %d characters", len(s))
		}
		addrs = append(addrs, s)
	}
	return addrs, nil
}
