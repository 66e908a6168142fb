package chord

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// finger is a few places in an interval of distances behind our anchor, the best one first.
// Those that are anchors halve the way as long as they stand in the interval; others help
// only with targets near them. With Config.Classic they are the first ones there.
//
// Intervals are numbered from the farthest inward: 0 is from three quarters of the circle on, 1 from
// half of it, 2 from three eighths, 3 from a quarter. With Config.Classic those with even
// numbers are left out, and the others reach twice as far.
type finger []Place

// ordinal returns the number of the interval in which a distance lies.
func ordinal(d ID) int {
	n := d.bits()
	upper := n > 1 && d.bit(n-2)
	if upper {
		return 2 * (256 - n)
	}
	return 2*(256-n) + 1
}

// interval returns where finger k begins, and where it ends.
func (r *Ring) interval(k int) (from, to ID) {
	power := 255 - k/2
	from, to = plusPow2(r.anchor.ID, power), plusPow2(plusPow2(r.anchor.ID, power), power)
	if half := plusPow2(from, max(0, power-1)); k%2 == 0 {
		from = half
	} else if !r.cfg.Classic {
		to = half
	}
	return from, to
}

// inInterval reports whether a place may be finger k.
func (r *Ring) inInterval(k int, p Place) bool {
	from, to := r.interval(k)
	return p.ID == from || between(from, p.ID, to)
}

// skips reports whether there is no finger k.
func (r *Ring) skips(k int) bool { return r.cfg.Classic && k%2 == 0 }

// fingerCount returns how many intervals the list of the anchor does not cover. There are
// fingers for those.
func (r *Ring) fingerCount() int {
	list := r.anchor.list
	if len(list) == 0 {
		return 0
	}
	return ordinal(distance(r.anchor.ID, list[len(list)-1].ID))
}

// fingerAt returns finger k, to be changed.
func (r *Ring) fingerAt(k int) *finger {
	for len(r.fingers) <= k {
		r.fingers = append(r.fingers, nil)
	}
	return &r.fingers[k]
}

// fixFinger looks up one finger, from the farthest inward. One that is missing, and for which
// nobody is known, comes first;
// the others have their turn now and then, as the ring grows. Where the table holds the
// whole ring there is nothing to look up. Fingers shorten lookups and never affect what they
// find.
func (r *Ring) fixFinger() {
	if r.complete() || len(r.lookups) >= maxLookups {
		return
	}
	if _, busy := r.lookups[r.fixing]; busy {
		return
	}
	r.rankFinger()
	count := r.fingerCount()
	k := 0
	for k < count && (r.skips(k) || !r.missing(k) || r.takeFinger(k)) {
		k++
	}
	if k == count {
		r.fixes++
		turn := uint64(fingerTurn)
		if r.quiet() {
			turn *= 2
		}
		if count == 0 || !r.small() && r.fixes%turn != 0 {
			return
		}
		if r.nextFinger = (r.nextFinger + 1) % count; r.skips(r.nextFinger) {
			r.nextFinger++
		}
		k = r.nextFinger
	}
	from, _ := r.interval(k)
	l := &lookup{target: from, finger: k + 1}
	r.startLookup(l)
	r.fixing = l.id
}

// fingerTurn is the number of rounds from the refresh of one finger to that of
// the next.
const fingerTurn = 32

// fixedFinger takes the places that a finger's lookup found, which may be our
// own. They compete with those that it has.
func (r *Ring) fixedFinger(k int, nodes []Place) {
	f := finger{}
	for _, p := range nodes {
		if len(f) < fingerNodes && (p.Peer == r.self.ID || r.table.holds(p)) {
			f = append(f, p)
		}
	}
	if len(f) == 0 {
		return
	}
	old := r.fingerAt(k)
	if r.cfg.Classic {
		*old = f[:min(len(f), fewNodes)]
		return
	}
	for _, p := range *old {
		if !slices.ContainsFunc(f, func(q Place) bool { return q.Peer == p.Peer }) && r.inInterval(k, p) {
			f = append(f, p)
		}
	}
	*old, r.contest, r.contested = f, k, true
	for _, p := range f {
		if p.Peer != r.self.ID {
			r.gauge(p.Peer)
		}
	}
}

// offerFinger takes the places of a peer that was heard of by the way for fingers that are
// missing, or know of no anchor, so that they need not be looked up.
func (r *Ring) offerFinger(rec *Record) {
	if r.complete() || r.cfg.Classic || r.phase != phaseMember {
		return
	}
	count := r.fingerCount()
	for i, p := range rec.places {
		k := ordinal(distance(r.anchor.ID, p.ID))
		if k >= count {
			continue
		}
		if f := r.known(k); !r.missing(k) && (i > 0 || len(f) >= fewNodes || slices.ContainsFunc(f, r.anchored)) {
			continue
		}
		f := r.fingerAt(k)
		if !slices.ContainsFunc(*f, func(q Place) bool { return q.Peer == p.Peer }) {
			*f = append(*f, p)
			r.gauge(p.Peer)
		}
	}
}

// takeFinger takes the first place for a missing finger of those that are known, an anchor if
// there is one, and reports whether there is any: joiners have heard of many.
func (r *Ring) takeFinger(k int) bool {
	if r.cfg.Classic {
		return false
	}
	from, _ := r.interval(k)
	x := &r.table.index
	var first *Place
	at := x.from(from)
	for range x.count {
		p := x.get(at).place()
		at = x.next(at)
		if !r.inInterval(k, *p) {
			break
		}
		if p.Peer == r.self.ID || !r.table.trusted(p.Peer) {
			continue
		}
		if anchored := r.anchored(*p); first == nil || anchored {
			if first = p; anchored {
				break
			}
		}
	}
	if first == nil {
		return false
	}
	*r.fingerAt(k) = finger{*first}
	r.gauge(first.Peer)
	return true
}

// gauge measures the round trip to a peer, unless it is known and the peer was heard lately.
func (r *Ring) gauge(id PeerID) {
	if m := r.table.members[id]; m == nil || m.rtt.smooth == 0 || r.now.Sub(m.heard) >= r.pace(doubtfulAfter) {
		r.ask(id)
	}
}

// known returns the places that may serve as finger k. Where much changes, those of the other
// half of its power of two do, so that half as many need to be replaced.
func (r *Ring) known(k int) []Place {
	f := *r.fingerAt(k)
	if r.cfg.Classic || r.quiet() {
		return f
	}
	return slices.Concat(f, *r.fingerAt(k ^ 1))
}

// missing reports whether a place for finger k is wanted.
func (r *Ring) missing(k int) bool {
	return len(*r.fingerAt(k)) == 0 && (r.cfg.Classic || r.quiet() || len(*r.fingerAt(k ^ 1)) == 0)
}

// anchorsFirst returns the places with those that are anchors of their peers before the others.
func (r *Ring) anchorsFirst(places []Place) []Place {
	ps := make([]Place, 0, len(places))
	for _, first := range []bool{true, false} {
		for _, p := range places {
			if r.anchored(p) == first {
				ps = append(ps, p)
			}
		}
	}
	return ps
}

// cutFingers takes the places that gone names out of the fingers.
func (r *Ring) cutFingers(gone func(Place) bool) {
	for i, f := range r.fingers {
		r.fingers[i] = slices.DeleteFunc(f, gone)
	}
}

// fingerNodes is how many of the places that a lookup found are considered at most.
const fingerNodes = 3

// rankFinger keeps the best places of the finger that was looked up last, now
// that their round trips were measured.
func (r *Ring) rankFinger() {
	if r.cfg.Classic || !r.contested {
		return
	}
	f := r.fingerAt(r.contest)
	r.contested = false
	slices.SortStableFunc(*f, func(a, b Place) int {
		return cmp.Compare(r.fingerCost(r.contest, a), r.fingerCost(r.contest, b))
	})
	*f = (*f)[:min(len(*f), fewNodes)]
}

// fingerCost weighs a place as finger k: by its round trip, by how far into the interval it
// stands, as it overshoots that share of the targets there, which then take another request,
// and, if it is no anchor, by the requests that an anchor in its place would spare.
func (r *Ring) fingerCost(k int, p Place) float64 {
	if !r.inInterval(k, p) || p.Peer != r.self.ID && r.suspected(p.Peer) {
		return math.Inf(1)
	}
	from, to := r.interval(k)
	more := Arc{From: from, To: p.ID}.Fraction() / Arc{From: from, To: to}.Fraction()
	if p.ID == from {
		more = 0
	}
	if !r.anchored(p) {
		far := r.lists(from, to)
		more += far - byFingers(far)
	}
	return float64(r.roundTrip(p.Peer)) + more*float64(r.usual.smooth)
}

// roundTrip returns the smoothed round trip to a peer; where it was not measured,
// the usual one.
func (r *Ring) roundTrip(id PeerID) time.Duration {
	if id == r.self.ID {
		return 0
	}
	if m := r.table.members[id]; m != nil && m.rtt.smooth != 0 {
		return m.rtt.smooth
	}
	return r.usual.smooth
}
