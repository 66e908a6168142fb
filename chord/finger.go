package chord

// fixFinger refreshes one finger: the successor of the first own position plus
// a power of two, from the farthest inward, until the successor list covers it.
// Where the table holds the whole ring there is nothing to refresh. Fingers
// shorten lookups and never affect what they find.
func (r *Ring) fixFinger() {
	if r.cfg.tabled() && r.table.count < r.cfg.TableSize || len(r.lookups) >= maxLookups {
		return
	}
	if _, busy := r.lookups[r.fixing]; busy {
		return
	}
	base := r.slots[0]
	k := len(r.fingers) - 1 - r.nextFinger
	if k < 0 || len(base.list) == 0 || !between(base.list[len(base.list)-1].ID, plusPow2(base.ID, k), base.ID) {
		r.nextFinger = 0
		return
	}
	r.nextFinger++
	l := &lookup{target: plusPow2(base.ID, k), finger: k + 1}
	r.startLookup(l)
	r.fixing = l.id
}

// fixedFinger takes the first of the places that a finger's lookup found.
func (r *Ring) fixedFinger(k int, nodes []Place) {
	if len(nodes) > 0 && nodes[0].Peer != r.self.ID && r.table.holds(nodes[0]) {
		r.fingers[k] = &nodes[0]
	}
}
