package model

import (
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// owners holds the positions of all members, ascending: who owns what in
// truth. A peer owns from the moment in which it becomes a member, whether or not
// others know of it, to the one in which it stops or says that it leaves.
type owners []owner

type owner struct {
	at   chord.ID
	peer chord.PeerID
}

// enter puts in a peer that became a member.
func (o *owners) enter(p *Peer) {
	for _, at := range p.Record.Positions() {
		if i, ok := o.search(at); !ok {
			*o = slices.Insert(*o, i, owner{at, p.Record.ID})
		}
	}
}

// quit takes out a peer that is no member any more.
func (o *owners) quit(p *Peer) {
	for _, at := range p.Record.Positions() {
		if i, ok := o.search(at); ok {
			*o = slices.Delete(*o, i, i+1)
		}
	}
}

// of returns the owner of a target; none in an empty ring.
func (o owners) of(target chord.ID) chord.PeerID {
	if len(o) == 0 {
		return ""
	}
	i, _ := o.search(target)
	return o[i%len(o)].peer
}

func (o owners) search(at chord.ID) (int, bool) {
	return slices.BinarySearchFunc(o, at, func(a owner, at chord.ID) int { return a.at.Compare(at) })
}

// load returns the largest share of the circle that a peer holds, over the mean,
// if each point is held by the first n distinct peers from there on.
func (o owners) load(n int) float64 {
	held := make(map[chord.PeerID]float64)
	most, all := 0.0, 0.0
	for i := range o {
		arc := chord.Arc{From: o[(i+len(o)-1)%len(o)].at, To: o[i].at}.Fraction()
		var holders []chord.PeerID
		for k := 0; k < len(o) && len(holders) < n; k++ {
			if p := o[(i+k)%len(o)].peer; !slices.Contains(holders, p) {
				holders = append(holders, p)
				held[p] += arc
				most = max(most, held[p])
				all += arc
			}
		}
	}
	return most * float64(len(held)) / all
}
