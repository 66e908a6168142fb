package model

import (
	"encoding/binary"
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// owners holds the members and their positions: who owns what in truth. A peer
// owns from the moment in which it becomes a member, whether or not others know of
// it, to the one in which it stops or says that it leaves.
type owners struct {
	members []*Peer // in no order
	parts   [][]owner
}

// owner is a position of a member.
type owner struct {
	at   chord.ID
	peer *Peer
}

// ownerParts divides the circle; each part is ascending.
const ownerParts = 1 << 12

func partOf(at *chord.ID) int { return int(binary.BigEndian.Uint16(at[:2])) * ownerParts >> 16 }

// enter puts in a peer that became a member.
func (o *owners) enter(p *Peer) {
	if p.member > 0 {
		return
	}
	o.members = append(o.members, p)
	p.member = len(o.members)
	if o.parts == nil {
		o.parts = make([][]owner, ownerParts)
	}
	for _, at := range p.Record.Positions() {
		part := &o.parts[partOf(&at)]
		i, _ := searchOwner(*part, &at)
		*part = slices.Insert(*part, i, owner{at, p})
	}
}

// quit takes out a peer that is no member any more.
func (o *owners) quit(p *Peer) {
	if p.member == 0 {
		return
	}
	last := o.members[len(o.members)-1]
	o.members[p.member-1], last.member = last, p.member
	o.members = o.members[:len(o.members)-1]
	p.member = 0
	for _, at := range p.Record.Positions() {
		part := &o.parts[partOf(&at)]
		if i, ok := searchOwner(*part, &at); ok {
			*part = slices.Delete(*part, i, i+1)
		}
	}
}

// of returns the owner of a target; none in an empty ring.
func (o *owners) of(target chord.ID) chord.PeerID {
	if len(o.members) == 0 {
		return ""
	}
	part := partOf(&target)
	i, _ := searchOwner(o.parts[part], &target)
	for i == len(o.parts[part]) {
		part, i = (part+1)%ownerParts, 0
	}
	return o.parts[part][i].peer.Record.ID
}

// from yields the positions from a target on, once around, until see returns false.
func (o *owners) from(target chord.ID, see func(owner) bool) {
	if len(o.members) == 0 {
		return
	}
	first := partOf(&target)
	at, _ := searchOwner(o.parts[first], &target)
	for k := range ownerParts + 1 {
		part := o.parts[(first+k)%ownerParts]
		begin, end := 0, len(part)
		switch k {
		case 0:
			begin = at
		case ownerParts:
			end = at
		}
		for _, own := range part[begin:end] {
			if !see(own) {
				return
			}
		}
	}
}

func searchOwner(part []owner, at *chord.ID) (int, bool) {
	return slices.BinarySearchFunc(part, at, func(a owner, at *chord.ID) int { return a.at.Compare(*at) })
}

// load returns the largest share of the circle that a peer holds, over the mean,
// if each point is held by the first n distinct peers from there on.
func (o *owners) load(n int) float64 {
	all := slices.Concat(o.parts...)
	held := make(map[*Peer]float64)
	most, sum := 0.0, 0.0
	for i := range all {
		arc := chord.Arc{From: all[(i+len(all)-1)%len(all)].at, To: all[i].at}.Fraction()
		var holders []*Peer
		for k := 0; k < len(all) && len(holders) < n; k++ {
			if p := all[(i+k)%len(all)].peer; !slices.Contains(holders, p) {
				holders = append(holders, p)
				held[p] += arc
				most = max(most, held[p])
				sum += arc
			}
		}
	}
	return most * float64(len(held)) / sum
}
