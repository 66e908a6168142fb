package p2p

import (
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"
)

// FarFromAll takes all peers for ones in other networks, though they be on loopback. Walled
// besides, nobody can open connections to the host as far as it is told.
func FarFromAll(c *Config, walled bool) {
	c.near, c.walled = func() []netip.Prefix { return nil }, walled
}

// NewRanges, Announced, SeenAt, Found and MayDial let tests look at what a profile means.
func NewRanges(p Profile, given ...string) *ranges { return newRanges(p, given) }

func (r *ranges) Announced(local []ma.Multiaddr) []ma.Multiaddr { return r.announced(local) }
func (r *ranges) SeenAt(a ma.Multiaddr)                         { r.seenAt(a) }
func (r *ranges) Found(hidden bool, open, relayed []ma.Multiaddr) bool {
	return r.found(hidden, open, relayed)
}
func (r *ranges) MayDial(a ma.Multiaddr) bool { return r.mayDial(a) }

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
