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

// prune keeps the table in its bounds, which are looser for neighbours and
// fingers than for others.
func (r *Ring) prune() {
	for limit := max(0, r.cfg.TableSize); len(r.table.members) > limit; {
		if !r.makeRoom() {
			return
		}
	}
}

// makeRoom forgets the member that is of least use and reports whether there
// was one.
func (r *Ring) makeRoom() bool {
	pinned := r.pinned()
	var worst *member
	for id, m := range r.table.members {
		if pinned[id] || m.waiting > 0 {
			continue
		}
		if worst == nil || m.heard.Before(worst.heard) || m.heard.Equal(worst.heard) && id < worst.peer.ID {
			worst = m
		}
	}
	if worst == nil {
		return false
	}
	r.table.remove(worst)
	return true
}

// pinned names those that lists, predecessors and fingers refer to.
func (r *Ring) pinned() map[PeerID]bool {
	ids := make(map[PeerID]bool)
	for _, s := range r.slots {
		for _, p := range s.list {
			ids[p.Peer] = true
		}
		for _, p := range s.joining {
			ids[p.Peer] = true
		}
		for _, p := range s.last.list {
			ids[p.Peer] = true // named again by an answer that says "unchanged"
		}
		ids[s.last.pred.Peer] = true
		if s.pred != nil {
			ids[s.pred.Peer] = true
		}
	}
	for _, f := range r.fingers {
		if f != nil {
			ids[f.Peer] = true
		}
	}
	for _, l := range r.lookups {
		l.pin(ids)
	}
	return ids
}
