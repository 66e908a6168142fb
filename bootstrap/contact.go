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

	"github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
)

const (
	maxContacts     = 256     // contacts that ParsePlaces returns, and that a Book keeps
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

// Places are where to join a ring.
type Places struct {
	// Contacts are whom to ask, those of the tokens included.
	Contacts []Contact
	// Relays are the peers through which addresses of the Contacts lead. They are of the ring
	// as well, but tokens are none of their business.
	Relays []Contact
	// Tokens are invitations.
	Tokens []pass.Token
}

// ParsePlaces reads the places to join by: multiaddrs, tokens, or @FILE for a
// file with one of these a line (empty lines and lines that begin with # count for
// nothing). Addresses of one peer become one contact, in the order of its first.
func ParsePlaces(args []string) (Places, error) {
	var p Places
	for _, arg := range args {
		arg = strings.TrimSpace(arg)
		var err error
		if path, ok := strings.CutPrefix(arg, "@"); ok {
			err = p.readFile(path)
		} else {
			err = p.add(arg)
		}
		if err != nil {
			return Places{}, err
		}
	}
	p.Contacts = merge(p.Contacts)
	p.Relays = relays(p.Contacts)
	if len(p.Contacts) > maxContacts {
		return Places{}, &Error{
			Code: CodeBadAddress, Message: fmt.Sprintf("%d peers to join by, at most %d", len(p.Contacts), maxContacts),
			Fix: "name a few: one that answers is enough",
		}
	}
	return p, nil
}

// add reads one multiaddr or token.
func (p *Places) add(s string) error {
	if !pass.IsToken(s) {
		c, err := ParseContact(s)
		p.Contacts = append(p.Contacts, c)
		return err
	}
	t, err := pass.ParseToken(s)
	if err != nil {
		return &Error{Code: CodeBadToken, Message: err.Error(), Err: err, Fix: "copy the whole token, one line that begins with chorus1_; peer invite prints it"}
	}
	c := Contact{ID: t.Inviter.Key.PeerID()}
	for _, b := range t.Addrs {
		if m, err := multiaddr.NewMultiaddrBytes(b); err == nil {
			c.Addrs = append(c.Addrs, m.String())
		}
	}
	p.Tokens = append(p.Tokens, t)
	p.Contacts = append(p.Contacts, c)
	return nil
}

// relays returns the relays that the addresses of contacts lead through.
func relays(contacts []Contact) []Contact {
	var out []Contact
	for _, c := range contacts {
		for _, a := range c.Addrs {
			if before, _, ok := strings.Cut(a, "/p2p-circuit"); ok {
				if r, err := ParseContact(before); err == nil {
					out = append(out, r)
				}
			}
		}
	}
	return merge(out)
}

func (p *Places) readFile(path string) error {
	b, err := readFile(path, maxContactFile)
	if err != nil {
		return &Error{
			Code: CodeNoFile, Message: fmt.Sprintf("read places to join by from %s: %v", path, withoutPath(err)),
			Fix: "@FILE names a file with one multiaddr or token a line", Err: err,
		}
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := p.add(line); err != nil {
			var e *Error
			if errors.As(err, &e) {
				return &Error{Code: e.Code, Message: fmt.Sprintf("%s line %d: %s", path, n, e.Message), Fix: e.Fix}
			}
			return err
		}
	}
	return nil
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
