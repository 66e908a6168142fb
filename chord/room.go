package chord

import "slices"

// prune keeps the table in its bounds, which are looser for neighbours and
// fingers than for others.
func (r *Ring) prune() {
	limit := r.tableLimit()
	if len(r.table.members) <= limit || r.prunedAt == (stamp{r.revision, r.table.changes}) {
		return
	}
	r.makeRoom(len(r.table.members) - limit)
	r.prunedAt = stamp{r.revision, r.table.changes}
}

// narrowTable is how many members are remembered where no table is kept: what
// is heard anyway helps lookups.
const narrowTable = 128

// tableLimit returns how many members are remembered beside neighbours and
// fingers.
func (r *Ring) tableLimit() int {
	if r.narrow {
		return min(narrowTable, r.cfg.TableSize)
	}
	return max(0, r.cfg.TableSize)
}

// makeRoom forgets up to n members, those of least use, and reports whether
// there was one.
func (r *Ring) makeRoom(n int) bool {
	r.pin()
	var idle []*member
	for _, m := range r.table.members {
		if m.pinned != r.pinnings && m.waiting == 0 {
			idle = append(idle, m)
		}
	}
	slices.SortFunc(idle, func(a, b *member) int {
		if c := a.heard.Compare(b.heard); c != 0 {
			return c
		}
		return comparePeerIDs(a.peer.ID, b.peer.ID)
	})
	idle = idle[:min(n, len(idle))]
	for _, m := range idle {
		r.table.remove(m)
	}
	return len(idle) > 0
}

// pin marks the members that lists, predecessors, fingers and lookups refer to.
func (r *Ring) pin() {
	r.pinnings++
	pinPeer := func(id PeerID) {
		if m := r.table.members[id]; m != nil {
			m.pinned = r.pinnings
		}
	}
	pin := func(p Place) { pinPeer(p.Peer) }
	for _, s := range r.slots {
		for _, p := range s.list {
			pin(p)
		}
		for _, p := range s.joining {
			pin(p)
		}
		for _, p := range s.last.list {
			pin(p) // named again by an answer that says "unchanged"
		}
		pin(s.last.pred)
		if s.pred != nil {
			pin(*s.pred)
		}
	}
	for _, q := range r.requests {
		for _, w := range q.wants {
			for _, p := range w.base.list {
				pin(p) // the answer may refer to it
			}
			pin(w.base.pred)
		}
	}
	for _, f := range r.fingers {
		for _, p := range f {
			pin(p)
		}
	}
	for _, l := range r.lookups {
		l.pin(pinPeer)
	}
}
