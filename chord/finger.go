package chord

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// finger is a few places at or behind a distance from us, the best one first: all
// of them halve the way as long as they stand less than twice as far off. With
// Config.Classic they are the first ones there.
type finger []Place

// fixFinger looks up one finger: the successor of the first own position plus a
// power of two, from the farthest inward, as far as the successor list does not
// cover it. One that is missing comes first; the others have their turn now and then,
// as the ring grows. Where the table holds the whole ring there is nothing to look
// up. Fingers shorten lookups and never affect what they find.
func (r *Ring) fixFinger() {
	if r.complete() || len(r.lookups) >= maxLookups {
		return
	}
	if _, busy := r.lookups[r.fixing]; busy {
		return
	}
	r.rankFinger()
	base, last := r.slots[0], r.nearestFinger()
	k := len(r.fingers) - 1
	for k >= last && len(r.fingers[k]) > 0 {
		k--
	}
	if k < last {
		r.fixes++
		turn := uint64(fingerTurn)
		if r.quiet() {
			turn *= 2
		}
		if last == len(r.fingers) || !r.small() && r.fixes%turn != 0 {
			return
		}
		r.nextFinger = (r.nextFinger + 1) % (len(r.fingers) - last)
		k = len(r.fingers) - 1 - r.nextFinger
	}
	l := &lookup{target: plusPow2(base.ID, k), finger: k + 1}
	r.startLookup(l)
	r.fixing = l.id
}

// nearestFinger returns the nearest finger that the first own position's list does not
// cover.
func (r *Ring) nearestFinger() int {
	base := r.slots[0]
	last := len(r.fingers)
	for last > 0 && len(base.list) > 0 && between(base.list[len(base.list)-1].ID, plusPow2(base.ID, last-1), base.ID) {
		last--
	}
	return last
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
	if r.cfg.Classic {
		r.fingers[k] = f[:min(len(f), fewNodes)]
		return
	}
	for _, p := range r.fingers[k] {
		if !slices.ContainsFunc(f, func(q Place) bool { return q.Peer == p.Peer }) && r.inInterval(k, p) {
			f = append(f, p)
		}
	}
	r.fingers[k], r.contest, r.contested = f, k, true
	for _, p := range f {
		if p.Peer != r.self.ID {
			r.ask(p.Peer)
		}
	}
}

// offerFinger takes the places of a peer that was heard of by the way for fingers
// of which one is missing, so that they need not be looked up.
func (r *Ring) offerFinger(rec *Record) {
	if r.complete() || r.cfg.Classic || r.phase != phaseMember {
		return
	}
	base := r.slots[0]
	for _, p := range rec.places {
		k := distance(base.ID, p.ID).bits() - 1
		if k < 0 || len(base.list) == 0 || !between(base.list[len(base.list)-1].ID, p.ID, base.ID) || len(r.fingers[k]) >= fewNodes {
			continue
		}
		if !slices.ContainsFunc(r.fingers[k], func(q Place) bool { return q.Peer == p.Peer }) {
			r.fingers[k] = append(r.fingers[k], p)
			r.ask(p.Peer)
		}
	}
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
	f := r.fingers[r.contest]
	if r.cfg.Classic || !r.contested {
		return
	}
	r.contested = false
	slices.SortStableFunc(f, func(a, b Place) int {
		return cmp.Compare(r.fingerCost(r.contest, a), r.fingerCost(r.contest, b))
	})
	r.fingers[r.contest] = f[:min(len(f), fewNodes)]
}

// fingerCost weighs a place as finger k: by its round trip, and by how far into
// the interval it stands, as it overshoots that share of the targets there, which
// then take another request.
func (r *Ring) fingerCost(k int, p Place) float64 {
	if !r.inInterval(k, p) || p.Peer != r.self.ID && r.suspected(p.Peer) {
		return math.Inf(1)
	}
	into := Arc{From: plusPow2(r.slots[0].ID, k), To: p.ID}.Fraction() * math.Exp2(float64(len(r.fingers)-k))
	return float64(r.roundTrip(p.Peer)) + into*float64(r.usual.smooth)
}

// inInterval reports whether a place may be finger k.
func (r *Ring) inInterval(k int, p Place) bool {
	base := r.slots[0].ID
	from := plusPow2(base, k)
	to := base
	if k < len(r.fingers)-1 {
		to = plusPow2(base, k+1)
	}
	return p.ID == from || between(from, p.ID, to)
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
