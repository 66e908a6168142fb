package bootstrap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
)

const (
	maxContacts     = 256     // contacts that ParseContacts returns, and that a Book keeps
	maxContactAddrs = 16      // addresses of one contact
	maxAddr         = 512     // bytes of an address
	maxContactFile  = 1 << 20 // bytes of a file of contacts
)

// Contact is a peer to ask: who it is and where it may be.
type Contact struct {
	ID chord.PeerID
	// Addrs are multiaddrs without the /p2p/PEER-ID part, distinct, at least one.
	Addrs []string
}

// Multiaddrs returns the contact's addresses with /p2p/PEER-ID at their end.
func (c Contact) Multiaddrs() []string {
	out := make([]string, len(c.Addrs))
	for i, a := range c.Addrs {
		out[i] = a + "/p2p/" + peer.ID(c.ID).String()
	}
	return out
}

// String names the contact for people: the first of its multiaddrs.
func (c Contact) String() string {
	if len(c.Addrs) == 0 {
		return peer.ID(c.ID).String()
	}
	return c.Multiaddrs()[0]
}

// ParseContact reads a multiaddr that ends in /p2p/PEER-ID. What is missing
// from anything else is said in the error's fix. Names (/dns4/...) are resolved
// when they are dialled.
func ParseContact(s string) (Contact, error) {
	if len(s) > maxAddr {
		return Contact{}, badAddress(s[:64]+"...", fmt.Sprintf("%d bytes long, at most %d", len(s), maxAddr), fixMultiaddr)
	}
	if !strings.HasPrefix(s, "/") {
		return Contact{}, notMultiaddr(s)
	}
	m, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		return Contact{}, badAddress(s, strings.TrimPrefix(err.Error(), "failed to parse multiaddr "), fixMultiaddr)
	}
	addr, id := peer.SplitAddr(m)
	switch {
	case id == "":
		return Contact{}, badAddress(s, "it does not say which peer must answer", "append /p2p/PEER-ID: "+fixID)
	case len(addr) == 0:
		return Contact{}, badAddress(s, "it does not say where the peer is", fixMultiaddr)
	}
	return Contact{ID: chord.PeerID(id), Addrs: []string{addr.String()}}, nil
}

// ParseContacts reads the places to join by: multiaddrs, or @FILE for a file
// with one multiaddr a line (empty lines and lines that begin with # count for
// nothing). Addresses of one peer become one contact, in the order of its first.
func ParseContacts(args []string) ([]Contact, error) {
	var all []Contact
	for _, arg := range args {
		arg = strings.TrimSpace(arg)
		if path, ok := strings.CutPrefix(arg, "@"); ok {
			cs, err := readContacts(path)
			if err != nil {
				return nil, err
			}
			all = append(all, cs...)
			continue
		}
		c, err := ParseContact(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	all = merge(all)
	if len(all) > maxContacts {
		return nil, &Error{
			Code: CodeBadAddress, Message: fmt.Sprintf("%d peers to join by, at most %d", len(all), maxContacts),
			Fix: "name a few: one that answers is enough",
		}
	}
	return all, nil
}

func readContacts(path string) ([]Contact, error) {
	b, err := readFile(path, maxContactFile)
	if err != nil {
		return nil, &Error{
			Code: CodeNoFile, Message: fmt.Sprintf("read addresses to join by from %s: %v", path, withoutPath(err)),
			Fix: "@FILE names a file with one multiaddr a line", Err: err,
		}
	}
	var cs []Contact
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c, err := ParseContact(line)
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				return nil, &Error{Code: e.Code, Message: fmt.Sprintf("%s line %d: %s", path, n, e.Message), Fix: e.Fix}
			}
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// merge makes one contact of those with the same ID, in the order of the first.
func merge(cs []Contact) []Contact {
	var out []Contact
	at := make(map[chord.PeerID]int)
	for _, c := range cs {
		i, ok := at[c.ID]
		if !ok {
			i = len(out)
			at[c.ID] = i
			out = append(out, Contact{ID: c.ID})
		}
		for _, a := range c.Addrs {
			if len(out[i].Addrs) < maxContactAddrs && !slices.Contains(out[i].Addrs, a) {
				out[i].Addrs = append(out[i].Addrs, a)
			}
		}
	}
	return out
}

const (
	fixID        = "`peer status` on that host prints its addresses with it"
	fixMultiaddr = "an address reads /ip4/192.0.2.7/tcp/4747/p2p/PEER-ID: " + fixID
)

func badAddress(s, why, fix string) error {
	return &Error{Code: CodeBadAddress, Message: fmt.Sprintf("address %q: %s", s, why), Fix: fix}
}

// notMultiaddr explains what stands for the host:port that people try first.
func notMultiaddr(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return badAddress(s, "not a multiaddr", fixMultiaddr)
	}
	kind := "dns"
	if ip, err := netip.ParseAddr(host); err == nil {
		kind = "ip4"
		if ip.Is6() {
			kind = "ip6"
		}
	}
	return badAddress(s, "a host and a port do not say which peer must answer",
		fmt.Sprintf("write /%s/%s/tcp/%s/p2p/PEER-ID: %s", kind, host, port, fixID))
}
