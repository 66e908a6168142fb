package p2p

import (
	"fmt"
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Profile says which addresses a host tells others, and which of theirs it dials. Beyond
// a local network those of private ranges (RFC 1918 and the like, loopback, link-local) mean
// nothing there, and a member that lies could have others knock at their own networks.
type Profile string

// The profiles.
const (
	// ProfileAuto is ProfileWAN for a host that has a public address, or is seen at one by
	// most of the peers that it asked, and ProfileLAN for all others. The empty Profile means the same.
	ProfileAuto Profile = "auto"
	// ProfileLAN announces and dials all addresses.
	ProfileLAN Profile = "lan"
	// ProfileWAN announces and dials public addresses alone, and those that the operator gave.
	ProfileWAN Profile = "wan"
)

func (p Profile) validate() error {
	switch p {
	case "", ProfileAuto, ProfileLAN, ProfileWAN:
		return nil
	default:
		return fmt.Errorf("config: Profile %q is none of auto, lan and wan", string(p))
	}
}

// ranges decides by the profile which addresses are announced, and which are dialled. What
// reach finds out decides too.
type ranges struct {
	profile Profile
	given   map[string]struct{} // addresses that the operator gave; not changed

	mu     sync.Mutex
	public bool // the host has a public address
	seen   bool // most of those that were asked see it at one
	// hidden: nobody can open connections to the host's own addresses.
	hidden  bool
	open    []ma.Multiaddr // others have reached the host there
	relayed []ma.Multiaddr // a relay hands on what comes there
}

func newRanges(p Profile, given []string) *ranges {
	r := &ranges{profile: p, given: make(map[string]struct{})}
	for _, s := range given {
		if a, err := ma.NewMultiaddr(s); err == nil {
			r.given[string(a.Bytes())] = struct{}{}
		}
	}
	return r
}

// wan reports, under the lock, whether private ranges are neither announced nor dialled.
func (r *ranges) wan() bool {
	return r.profile == ProfileWAN || r.profile != ProfileLAN && (r.public || r.seen)
}

// announced is libp2p's AddrsFactory: of the addresses that the host listens on, and those that
// reach found, it returns the ones that others are told.
func (r *ranges) announced(local []ma.Multiaddr) []ma.Multiaddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.public = r.public || slices.ContainsFunc(local, manet.IsPublicAddr)
	var out []ma.Multiaddr
	if !r.hidden || len(r.relayed) == 0 || !r.wan() {
		out = slices.Clone(local)
	}
	out = append(out, r.open...)
	if r.hidden {
		out = append(out, r.relayed...)
	}
	if r.wan() {
		out = slices.DeleteFunc(out, func(a ma.Multiaddr) bool { return !manet.IsPublicAddr(a) })
	}
	return ma.Unique(out)
}

// mayDial reports whether an address may be dialled, which is resolved already if it was a name.
func (r *ranges) mayDial(a ma.Multiaddr) bool {
	if manet.IsPublicAddr(a) {
		return true
	}
	_, given := r.given[string(a.Bytes())]
	return given || !r.isWAN()
}

// found notes what reach found out, and reports whether that changes what is announced. seen: the
// host is seen at a public address.
func (r *ranges) found(hidden, seen bool, open, relayed []ma.Multiaddr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	same := r.hidden == hidden && r.seen == seen && slices.EqualFunc(r.open, open, ma.Multiaddr.Equal) && slices.EqualFunc(r.relayed, relayed, ma.Multiaddr.Equal)
	r.hidden, r.seen, r.open, r.relayed = hidden, seen, open, relayed
	return !same
}

// isWAN reports whether private ranges are neither announced nor dialled.
func (r *ranges) isWAN() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wan()
}
