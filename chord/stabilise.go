package chord

import "slices"

// stabilise asks the slot's successor for its state. A successor of our own
// is asked on the spot.
func (r *Ring) stabilise(s *slot) {
	for range r.slots {
		h := s.head()
		if h.Peer != r.self.ID {
			break
		}
		own := r.slotAt(h.Index)
		if own == s {
			break
		}
		if !r.setList(s, r.normal(s, append([]Place{own.Place}, own.list...))) {
			break
		}
	}
	if c, ok := r.nearest(s); ok {
		r.want(s, c)
	}
	h := s.head()
	if h.Peer == r.self.ID {
		own := r.slotAt(h.Index)
		if own.pred != nil && own.pred.Peer != r.self.ID && between(s.ID, own.pred.ID, h.ID) {
			r.want(s, *own.pred)
		}
		if own != s {
			r.rectify(own, s.Place)
		}
		return
	}
	if m := r.leader(s); m != nil && m.suspect && r.now.Before(m.probeAt) {
		return
	}
	r.want(s, h)
	if o := r.ask(h.Peer); len(o.notes) < maxNotes {
		o.notes = append(o.notes, Note{Yours: h.Index, Mine: s.Index})
	}
}

// nearest returns the admitted place closest behind the slot if it lies before
// its successor: whatever told us of it, it becomes the successor once it has
// answered with its own list.
func (r *Ring) nearest(s *slot) (Place, bool) {
	now := stamp{r.revision, r.table.edits}
	if s.alone == now {
		return Place{}, false
	}
	alone := true
	head := s.head()
	x := &r.table.index
	at := x.from(s.ID)
	for range x.count {
		p := x.get(at).place()
		at = x.next(at)
		if p.ID == s.ID {
			continue
		}
		if !between(s.ID, p.ID, head.ID) {
			if alone {
				s.alone = now
			}
			return Place{}, false
		}
		alone = false
		if p.Peer != r.self.ID && r.table.trusted(p.Peer) {
			return *p, true
		}
	}
	return Place{}, false
}

// learnt takes the state that a place gave of itself: of the slot's successor,
// to be copied, or of one that is to become it.
func (r *Ring) learnt(s *slot, p Place, a answer) {
	if r.phase == phaseJoining {
		r.joinedAt(s, p, a)
		return
	}
	head := s.head()
	if a.serial != 0 && a.serial == s.last.serial && s.copiedAt == r.stamp() && p.ID == head.ID && a.pred.ID == s.ID && len(r.table.departed) == 0 {
		return // nothing is new
	}
	if !r.table.holds(p) || p.ID != head.ID && !between(s.ID, p.ID, head.ID) && r.mutant != mutantAnyAnswer {
		return // overtaken by events
	}
	if a.of == s.last.of && a.version.overtaken(s.last.version) {
		return
	}
	if len(r.table.departed) > 0 {
		r.inquireAll(a.entries())
	}
	again := a.serial != 0 && a.serial == s.last.serial && s.copiedAt == r.stamp()
	s.last = a
	if r.mutant == mutantSkipCopy && p.ID == head.ID {
		return
	}
	if !again {
		if slices.ContainsFunc(a.list, r.lost) {
			s.last = answer{} // we need the records once more
		}
		r.setList(s, r.normal(s, append([]Place{p}, a.list...)))
		s.copiedAt = r.stamp()
	}
	if c := a.pred; c.Peer != "" && c.Peer != r.self.ID && between(s.ID, c.ID, p.ID) && r.table.holds(c) {
		if r.mutant == mutantAdoptBlindly {
			r.setList(s, r.normal(s, []Place{c}))
			return
		}
		r.want(s, c)
	}
}

// lost reports whether nothing is known of the peer of a place.
func (r *Ring) lost(p Place) bool {
	return r.record(p.Peer) == nil && r.table.departed[p.Peer] == nil
}

// unanswered handles a state that did not come.
func (r *Ring) unanswered(w wanted) {
	if r.phase == phaseJoining {
		r.joinMissed(w.slot, w.place)
	}
}

// noted handles the notice that a position of another peer takes one of ours
// for its successor.
func (r *Ring) noted(from *member, n Note) {
	s := r.slotAt(n.Yours)
	if s == nil || s.pred != nil && s.pred.Index == n.Mine && s.pred.Peer == from.peer.ID {
		return
	}
	if p, ok := from.peer.place(n.Mine); ok {
		r.rectify(s, p)
	}
}

// rectify makes p the predecessor if there is none or p lies after it.
// Otherwise p does not know of our predecessor, so that one must prove that it
// lives.
func (r *Ring) rectify(s *slot, p Place) {
	switch {
	case s.pred == nil || between(s.pred.ID, p.ID, s.ID) || r.mutant == mutantAnyPred:
		r.setPred(s, p)
		if s.watcher != p.Peer && !r.small() {
			r.tellOf(s) // it has got a new successor
		}
	case s.pred.ID == p.ID || s.pred.Peer == r.self.ID || r.mutant == mutantTrustPred:
	default:
		m := r.table.members[s.pred.Peer]
		if m == nil {
			r.setPred(s, p)
		} else if m.waiting == 0 && r.now.Sub(m.heard) >= r.pace(r.cfg.Stabilise) {
			r.ask(s.pred.Peer)
		}
	}
}
