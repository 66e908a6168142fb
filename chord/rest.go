package chord

import "slices"

// Where nothing changes, a slot of a large ring asks its successor less often: that
// peer has other positions, and those before them ask it meanwhile. So a peer is asked
// once in a round, however many positions it has. What changes is told unasked. Who
// finds that it has died lets those others know, so that they need not find out by
// themselves.

// quietRounds is the number of rounds without a change after which a slot rests.
const quietRounds = 10

// resting reports whether a slot leaves out this round.
func (r *Ring) resting(s *slot) bool {
	if s.quiet <= quietRounds || r.small() {
		return false
	}
	m := r.leader(s)
	return m != nil && s.taken == r.turnOf(s) && (len(r.table.watched) == 0 || !m.suspect)
}

// turnOf numbers the turns of those before the positions of a peer, each of which takes
// one round of as many as these are: those who share a clock ask it one after another, and
// others at random.
func (r *Ring) turnOf(s *slot) int64 {
	if r.leader(s) == nil {
		return 0
	}
	round := r.now.UnixNano() / int64(r.pace(r.cfg.Calm))
	return (round + int64(s.turn)) / int64(s.turns)
}

// leader returns the peer of a slot's head, nil if it is unknown.
func (r *Ring) leader(s *slot) *member {
	if at := r.stamp(); s.turnAt != at {
		h := s.head()
		s.leader, s.turnAt = r.table.member(h.Peer), at
		if s.leader != nil {
			s.turn, _ = slices.BinarySearch(s.leader.peer.Indexes, h.Index)
			s.turns = len(s.leader.peer.Indexes)
		}
	}
	return s.leader
}

// quiet reports whether nothing has changed at any own position for a while.
func (r *Ring) quiet() bool {
	for _, s := range r.slots {
		if s.quiet <= quietRounds {
			return false
		}
	}
	return !r.small()
}

// mourn lets those right before the other positions of a peer that fell silent
// know that it has died. They look for themselves.
func (r *Ring) mourn(m *member) {
	if r.small() || m.reported || m.refused == m.fails || r.phase != phaseMember || len(r.lookups) > maxLookups/2 {
		return // others know, or were told by their own connections
	}
	if !r.heads(m.peer.ID) {
		return
	}
	word := Event{Kind: EventDead, Peer: m.peer.ID, Incarnation: m.peer.Incarnation, Seq: m.peer.Seq}
	for _, p := range m.peer.places {
		if _, ours := r.behind(p.ID); !ours {
			r.startLookup(&lookup{target: p.ID, word: &word, missed: []PeerID{m.peer.ID}})
		}
	}
}

// heads reports whether a peer is the successor of an own position.
func (r *Ring) heads(id PeerID) bool {
	for _, s := range r.slots {
		if s.head().Peer == id {
			return true
		}
	}
	return false
}
