package chord

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"time"
)

// round is one round of maintenance: every own position asks its successor,
// in one message a peer, and the table and fingers get their turn.
func (r *Ring) round() {
	r.stats.Rounds++
	r.lastRound = r.now
	for i := len(r.slots) - 1; i >= 0; i-- {
		r.stabilise(r.slots[i])
	}
	r.gossipPartner()
	r.revive()
	r.fixFinger()
	r.prune()
	r.vetting.prune(r.now)
	jitter := time.Duration(r.rng.Int64N(int64(r.period)/8 + 1))
	r.stabiliseAt = r.now.Add(r.period - jitter)
	r.period = min(r.period*3/2, r.cfg.Calm)
}

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
	if m := r.table.members[h.Peer]; m != nil && m.suspect && r.now.Before(m.probeAt) {
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
			return Place{}, false
		}
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
	if !r.table.holds(p) || p.ID != head.ID && !between(s.ID, p.ID, head.ID) {
		return // overtaken by events
	}
	again := a.serial != 0 && a.serial == s.last.serial && s.copiedAt == r.stamp()
	s.last = a
	if r.mutant == mutantSkipCopy && p.ID == head.ID {
		return
	}
	if !again {
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
	if s == nil {
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
	case s.pred == nil || between(s.pred.ID, p.ID, s.ID):
		r.setPred(s, p)
	case s.pred.ID == p.ID || s.pred.Peer == r.self.ID || r.mutant == mutantTrustPred:
	default:
		m := r.table.members[s.pred.Peer]
		if m == nil {
			r.setPred(s, p)
		} else if m.waiting == 0 && r.now.Sub(m.heard) >= r.cfg.Stabilise {
			r.ask(s.pred.Peer)
		}
	}
}

// addStates answers what the asker wants to know of our positions.
func (r *Ring) addStates(reply *Message, k *packer, wants []Want) {
	refs := 0
	for _, w := range wants {
		s := r.slotAt(w.Index)
		if s == nil {
			continue
		}
		st := State{Index: w.Index, Digest: r.stateDigest(s)}
		if st.Digest == w.Have {
			st.Same = true
			reply.States = append(reply.States, st)
			continue
		}
		if refs += len(s.list); refs > maxRefs || !r.packState(&st, s, k) {
			return // the rest when it is asked for again
		}
		reply.States = append(reply.States, st)
	}
}

func (r *Ring) packState(st *State, s *slot, k *packer) bool {
	for _, p := range s.list {
		rec := r.record(p.Peer)
		if rec == nil || !k.add(rec) {
			return false
		}
		st.List = append(st.List, k.ref(p))
	}
	if s.pred != nil {
		rec := r.record(s.pred.Peer)
		if rec == nil || !k.add(rec) {
			return false
		}
		st.HasPred, st.Pred = true, k.ref(*s.pred)
	}
	return true
}

// record returns the record of a peer, our own included; nil if unknown.
func (r *Ring) record(id PeerID) *Record {
	if id == r.self.ID {
		return r.self
	}
	if m := r.table.members[id]; m != nil {
		return m.peer
	}
	return nil
}

// stamp tells whether slots or records have changed.
type stamp struct{ revision, version uint64 }

func (r *Ring) stamp() stamp { return stamp{r.revision, r.table.version} }

// stateDigest identifies predecessor and list of a slot, records included. It
// is never 0.
func (r *Ring) stateDigest(s *slot) uint64 {
	if now := r.stamp(); s.digest == 0 || s.digestAt != now {
		s.digest, s.digestAt = r.computeDigest(s), now
	}
	return s.digest
}

func (r *Ring) computeDigest(s *slot) uint64 {
	h := fnv.New64a()
	var b [8]byte
	add := func(p Place) {
		h.Write(p.ID[:8])
		if rec := r.record(p.Peer); rec != nil {
			binary.BigEndian.PutUint64(b[:], rec.Seq)
			h.Write(b[:])
		}
	}
	for _, p := range s.list {
		add(p)
	}
	if s.pred != nil {
		h.Write([]byte{1})
		add(*s.pred)
	}
	return h.Sum64()&math.MaxInt64 | 1
}
