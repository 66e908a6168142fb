package chord

// finger is the first places at or behind a distance from us, as far as is
// known.
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
	base := r.slots[0]
	last := len(r.fingers) // the nearest finger that the list does not cover
	for last > 0 && len(base.list) > 0 && between(base.list[len(base.list)-1].ID, plusPow2(base.ID, last-1), base.ID) {
		last--
	}
	k := len(r.fingers) - 1
	for k >= last && len(r.fingers[k]) > 0 {
		k--
	}
	if k < last {
		r.fixes++
		if last == len(r.fingers) || !r.small() && r.fixes%fingerTurn != 0 {
			return
		}
		r.nextFinger = (r.nextFinger + 1) % (len(r.fingers) - last)
		k = len(r.fingers) - 1 - r.nextFinger
	}
	l := &lookup{target: plusPow2(base.ID, k), finger: k + 1}
	r.startLookup(l)
	r.fixing = l.id
}

// fingerTurn is the number of rounds from the refresh of one finger to that of
// the next.
const fingerTurn = 8

// fixedFinger takes the places that a finger's lookup found: the first, which
// may be one of our own, and another in reserve.
func (r *Ring) fixedFinger(k int, nodes []Place) {
	f := finger{}
	for _, p := range nodes {
		if len(f) < fewNodes && (p.Peer == r.self.ID || r.table.holds(p)) {
			f = append(f, p)
		}
	}
	if len(f) > 0 {
		r.fingers[k] = f
	}
}
