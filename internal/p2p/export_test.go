package p2p

import (
	"context"
	"io"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ltls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/chorus-net/chorus/chord"
)

// FarFromAll takes all peers for ones in other networks, though they be on loopback. Walled
// besides, nobody can open connections to the host as far as it is told.
func FarFromAll(c *Config, walled bool) {
	c.near, c.walled = func() []netip.Prefix { return nil }, walled
}

// NewRanges, Announced, SeenAt, Found and MayDial let tests look at what a profile means.
func NewRanges(p Profile, given ...string) *ranges { return newRanges(p, given) }

func (r *ranges) Announced(local []ma.Multiaddr) []ma.Multiaddr { return r.announced(local) }
func (r *ranges) SeenAt(a ma.Multiaddr)                         { r.seen = manet.IsPublicAddr(a) }
func (r *ranges) Found(hidden bool, open, relayed []ma.Multiaddr) bool {
	return r.found(hidden, r.seen, open, relayed)
}
func (r *ranges) MayDial(a ma.Multiaddr) bool { return r.mayDial(a) }

// Gatekeeper is a gatekeeper without a host.
type Gatekeeper struct{ k *gatekeeper }

// NewGatekeeper returns one for peers that are not connected.
func NewGatekeeper(g Gate) Gatekeeper {
	return Gatekeeper{newGatekeeper(g, func(peer.ID) bool { return false })}
}

// Enter is the end of a peer's handshake, Recheck what Host.Recheck does to the books.
func (g Gatekeeper) Enter(id chord.PeerID) error { return g.k.check(peer.ID(id), nil, false) }
func (g Gatekeeper) Recheck()                    { g.k.recheck() }
func (g Gatekeeper) Known(id chord.PeerID) bool  { _, ok := g.k.known(peer.ID(id)); return ok }

// At, ParseLines and AppendLines are at, parseLines and appendLines, for tests.
var (
	At          = at
	ParseLines  = parseLines
	AppendLines = appendLines
)

// RankDials lets tests look at the ranking.
var RankDials = rankDials

// PathOf is pathOf, for tests.
var PathOf = pathOf

// Doors is doors, for tests.
var Doors = doors

// ReadMessage and WriteMessage are readMessage and writeMessage, for tests.
var (
	ReadMessage  = readMessage
	WriteMessage = writeMessage
)

// AppendForward, ParseForward and AskWay let tests be strangers that do not keep to what
// AskAdmission says.
func AppendForward(b []byte, to chord.PeerID) []byte { return appendForward(b, peer.ID(to)) }

func ParseForward(b []byte) (chord.PeerID, bool, error) {
	to, ok, err := parseForward(b)
	return chord.PeerID(to), ok, err
}

// AskWay has the peer at an address of TCP open a way to another one, for talk.
func AskWay(ctx context.Context, key crypto.PrivKey, addr string, to chord.PeerID, talk func(io.ReadWriter) error) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	identity, err := ltls.NewIdentity(key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, admissionTime)
	defer cancel()
	_, err = askTCP(ctx, identity, info.ID, info.Addrs[0], func(s way) ([]byte, error) {
		if _, err := exchange(ctx, s, appendForward(nil, peer.ID(to))); err != nil {
			return nil, err
		}
		return nil, talk(s)
	})
	return err
}
