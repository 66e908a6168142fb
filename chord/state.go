package chord

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"
)

// A state is what a slot tells of itself: its successor list and predecessor. It
// travels once: whoever asks says by digest what it holds already, and is told only
// what is new in it. In a ring that is not small, the one right before the slot hears
// of changes unasked.

// toldStates is how many of its last states a slot remembers.
const toldStates = 4

// tellPause gathers the changes of which a predecessor is told.
const tellPause = 250 * time.Millisecond

// told is a state as it was told: its digest and its entries, the predecessor
// last.
type told struct {
	digest  uint32
	entries []uint32
}

// addStates answers what a peer wants to know of our positions.
func (r *Ring) addStates(reply *Message, k *packer, wants []Want) {
	refs := 0
	for _, w := range wants {
		s := r.slotAt(w.Index)
		if s == nil {
			continue
		}
		if refs += len(s.list); refs > maxRefs || !r.addState(reply, k, s, w) {
			return // the rest when it is asked for again
		}
		if s.pred != nil && s.pred.Peer == reply.To {
			s.watcher, s.watched, s.owed = reply.To, r.stateDigest(s), 0
		}
	}
}

// addState puts the state of a slot into a message to a peer that wants it, and
// reports whether it fits.
func (r *Ring) addState(m *Message, k *packer, s *slot, w Want) bool {
	st := State{Index: s.Index}
	if digest := r.stateDigest(s); digest == w.Have {
		st.Same = true
	} else if st.Digest, st.Version = digest, r.revision; !r.packState(&st, s, k, w) {
		return false
	}
	m.States = append(m.States, st)
	return true
}

func (r *Ring) packState(st *State, s *slot, k *packer, w Want) bool {
	var base []uint32
	if i := slices.IndexFunc(s.told[:], func(t told) bool { return t.digest == w.Have }); w.Have == 0 && len(w.Holds) > 0 {
		base, st.Base = w.Holds, BaseHolds
	} else if w.Have != 0 && i >= 0 && !r.small() {
		base, st.Base = s.told[i].entries, w.Have
	}
	now := told{digest: st.Digest}
	ref := func(p Place) (Ref, bool) {
		rec := r.record(p.Peer)
		if rec == nil {
			return Ref{}, false
		}
		entry := rec.entry(p)
		now.entries = append(now.entries, entry)
		if i := slices.Index(base, entry); i >= 0 {
			return Ref{Known, uint32(i)}, true
		}
		if !k.add(rec) {
			return Ref{}, false
		}
		return k.ref(p), true
	}
	for _, p := range s.list {
		x, ok := ref(p)
		if !ok {
			return false
		}
		st.List = append(st.List, x)
	}
	if s.pred != nil {
		if st.Pred, st.HasPred = ref(*s.pred); !st.HasPred {
			return false
		}
	}
	if !slices.ContainsFunc(s.told[:], func(t told) bool { return t.digest == now.digest }) {
		if s.told[s.nextTold].digest == s.watched {
			s.nextTold = (s.nextTold + 1) % toldStates // what the watcher holds is still needed
		}
		s.told[s.nextTold] = now
		s.nextTold = (s.nextTold + 1) % toldStates
	}
	return true
}

// news notes that a slot changed.
func (r *Ring) news(s *slot) {
	r.touch()
	s.news, s.quiet = true, 0
	if r.tellAt.IsZero() && !r.small() {
		r.tellAt = r.now.Add(tellPause)
	}
}

// tell lets those right before our positions know what has changed.
func (r *Ring) tell() {
	r.tellAt = time.Time{}
	for _, s := range r.slots {
		if s.news {
			s.news = false
			r.tellOf(s)
		}
	}
}

// tellOf lets the one who last asked as the slot's predecessor know the slot's
// state, if little of it is new. It asks again after that; if it does not, it is
// reminded.
func (r *Ring) tellOf(s *slot) {
	digest := r.stateDigest(s)
	if s.watcher == "" || s.watcher == r.self.ID || s.watched == digest {
		return
	}
	s.owed = 1
	if !r.table.trusted(s.watcher) {
		return
	}
	if !slices.ContainsFunc(s.told[:], func(t told) bool { return t.digest == s.watched }) {
		return
	}
	m := Message{Kind: KindTell, To: s.watcher, Know: r.self.mark()}
	var k packer
	if !r.addState(&m, &k, s, Want{Index: s.Index, Have: s.watched}) {
		return
	}
	s.watched = digest
	m.Peers = k.peers
	r.send(m)
}

// remind counts the rounds in which a slot's watcher has not asked for what has
// changed, and asks it to: the word that told of it may have been lost, and a slot that
// rests would ask late.
func (r *Ring) remind(s *slot) {
	if s.owed == 0 {
		return
	}
	switch s.owed++; s.owed {
	case remindAfter, 2 * remindAfter, 4 * remindAfter:
		if r.table.trusted(s.watcher) {
			r.send(Message{Kind: KindTell, To: s.watcher, Know: r.self.mark(), States: []State{{Index: s.Index, Same: true}}})
		}
	case 4*remindAfter + 1:
		s.owed = 0 // it has another successor now
	}
}

// remindAfter is the number of rounds after which a watcher is first reminded. It asks
// sooner if it has heard what it was told.
const remindAfter = toldRounds + 3

// toldOf takes what peers tell unasked: the state of a successor, if that is
// what it is to us.
func (r *Ring) toldOf(m *Message, rs *resolved) error {
	p := r.table.members[m.From]
	if p == nil || !p.admitted || p.peer.mark() != m.Know || r.phase != phaseMember || len(r.successorOf(m)) == 0 {
		r.stats.Unsolicited++
		return ErrUnsolicited
	}
	if p = r.sender(m, rs, nil); p == nil || !p.admitted {
		return nil
	}
	r.hearsay(m, rs)
	for i := range m.States {
		for _, s := range r.slots {
			head := s.head()
			switch st := &m.States[i]; {
			case head.Peer != m.From || head.Index != st.Index:
			case rs.states[i].unknown || st.Same:
				r.want(s, head) // we hold another state than it believes, or are to say which
			default:
				r.answers++
				r.learnt(s, head, answer{of: head.ID, digest: st.Digest, version: version{p.peer.Seq, st.Version}, serial: r.answers, answered: rs.states[i]})
				if rs.states[i].pred == s.Place {
					s.spared = toldRounds
				}
			}
		}
	}
	return nil
}

// successorOf returns the slots to which the sender's states matter.
func (r *Ring) successorOf(m *Message) []*slot {
	var slots []*slot
	for _, s := range r.slots {
		head := s.head()
		if head.Peer == m.From && slices.ContainsFunc(m.States, func(st State) bool { return st.Index == head.Index }) {
			slots = append(slots, s)
		}
	}
	return slots
}

// base returns the entries of the state that another peer's state refers to: of
// what we held when we asked, or hold now if we did not ask. It reports false if
// that is another one.
func (r *Ring) base(from PeerID, st *State, q *request) ([]Place, bool) {
	if q != nil {
		for _, w := range q.wants {
			if w.place.Index == st.Index && w.base.digest == st.Base {
				return w.base.entries(), true
			}
		}
		return nil, false
	}
	for _, s := range r.slots {
		if h := s.head(); h.Peer == from && h.Index == st.Index && s.last.of == h.ID && s.last.digest == st.Base {
			return s.last.entries(), true
		}
	}
	return nil, false
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

// lifeOf returns what tells a peer's present life from others.
func (r *Ring) lifeOf(id PeerID) uint64 {
	if rec := r.record(id); rec != nil {
		return rec.Seq
	}
	return 0
}

// entries identifies the places of a list of ours.
func (r *Ring) entries(list []Place) []uint32 {
	var es []uint32
	for _, p := range list[:min(len(list), maxHolds)] {
		e := uint32(0)
		if rec := r.record(p.Peer); rec != nil {
			e = rec.entry(p)
		}
		es = append(es, e)
	}
	return es
}

// stateDigest identifies predecessor and list of a slot, records included. It
// is odd.
func (r *Ring) stateDigest(s *slot) uint32 {
	if now := r.stamp(); s.digest == 0 || s.digestAt != now {
		s.digest, s.digestAt = r.computeDigest(s), now
	}
	return s.digest
}

func (r *Ring) computeDigest(s *slot) uint32 {
	h := fnv.New32a()
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
	return h.Sum32() | 1
}
