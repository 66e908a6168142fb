package chord

import (
	"cmp"
	"math"
	"slices"
)

// Fingers of a peer run from one of its positions, its anchor: what a peer knows of a
// target that stands far behind another of its positions is no more than what any peer
// does. So a way to a target leads from anchor to anchor, until it is so near that the
// list of some position names who stands there.

// anchor returns the position from which a peer's fingers run. It is the one that it chose
// first, so anchors are spread evenly whatever the number of positions.
func (rec *Record) anchor() Place { return rec.places[0] }

// anchored reports whether a place is the anchor of its peer, as far as we know.
func (r *Ring) anchored(p Place) bool {
	rec := r.record(p.Peer)
	return rec != nil && p.Index == rec.Indexes[0]
}

// reach estimates how many requests it takes from the peer of a place before the target to
// the target. A list tells of everybody as far as it runs, from there on the way goes from list
// to list; that from an anchor becomes half as long with each request.
func (r *Ring) reach(p Place, target ID) float64 {
	far := r.lists(p.ID, target)
	if r.anchored(p) {
		return byFingers(far)
	}
	return far
}

// byFingers returns the reach of an anchor that stands so many lengths of a list before the
// target.
func byFingers(far float64) float64 { return min(far, 1+math.Log2(1+far)) }

// lists returns how many times the length of a successor list lies between two positions.
func (r *Ring) lists(from, to ID) float64 {
	d := distance(from, to)
	return float64(high(&d)) / (1 << 64) / r.listSpan()
}

// listSpan returns the share of the circle that an own list covers on average, 1 while they
// tell nothing.
func (r *Ring) listSpan() float64 {
	if at := r.revision + 1; r.spanAt != at {
		r.spanAt, r.span = at, 0
		for _, s := range r.slots {
			if n := len(s.list); n > 0 {
				r.span += Arc{From: s.ID, To: s.list[n-1].ID}.Fraction() / float64(len(r.slots))
			}
		}
		if r.span == 0 {
			r.span = 1
		}
	}
	return r.span
}

// step is a place before a target, and its reach.
type step struct {
	Place
	reach float64
}

func byReach(a, b step) int {
	return cmp.Compare(a.reach, b.reach)
}

// astray reports whether a lookup has begun anew. Peers estimate differently how long a list is,
// and may lead a lookup in a circle; so from then on it goes by who stands nearest before the
// target, of which everybody who is asked knows one that stands nearer still.
func (l *lookup) astray() bool { return l.starts > 1 }

// wayFrom returns how far the peer of a place is from the target, as the lookup sees it.
func (r *Ring) wayFrom(l *lookup, p Place) float64 {
	if l.astray() {
		return r.lists(p.ID, l.target)
	}
	return r.reach(p, l.target)
}

// approach returns those with which a lookup begins.
func (r *Ring) approach(l *lookup) []step {
	if !l.astray() {
		return r.leading(l.target, maxNearer)
	}
	var ss []step
	for _, p := range r.preceding(l.target, maxNearer) {
		ss = append(ss, step{p, r.wayFrom(l, p)})
	}
	return ss
}

// leading returns up to n distinct trusted peers that lead to a target, the shortest reach first.
// Going back from the target it ends where nobody can have a shorter one.
func (r *Ring) leading(target ID, n int) []step {
	x := &r.table.index
	if x.count == 0 {
		return nil
	}
	ss := make([]step, 0, n)
	at := x.prev(x.from(target))
	for range x.count {
		e := x.get(at)
		p := e.place()
		at = x.prev(at)
		far := r.lists(p.ID, target)
		least := byFingers(far)
		if len(ss) == n && ss[n-1].reach <= least {
			break
		}
		reach := far
		if e.anchor() {
			reach = least
		}
		if len(ss) == n && reach > ss[n-1].reach || p.Peer == r.self.ID || !r.table.trusted(p.Peer) {
			continue
		}
		s := step{*p, reach}
		if i := slices.IndexFunc(ss, func(o step) bool { return o.Peer == p.Peer }); i >= 0 {
			if ss[i].reach <= s.reach {
				continue
			}
			ss = slices.Delete(ss, i, i+1)
		}
		i, _ := slices.BinarySearchFunc(ss, s, byReach)
		if i == n {
			continue
		}
		if len(ss) == n {
			ss = ss[:n-1]
		}
		ss = slices.Insert(ss, i, s)
	}
	return ss
}
