package chord

import (
	"slices"
	"time"
)

// joining is the state of a peer that looks for its place.
type joining struct {
	contacts []PeerID
	next     int
	attempts int
	failed   bool // the present attempt; another one follows at retryAt
	retryAt  time.Time
	aloneAt  time.Time // when to start a ring of one's own; zero: never
}

const (
	maxContacts = 64
	joinPause   = 200 * time.Millisecond
	joinMax     = 2 * time.Second
	joinBackoff = 2 // doublings of the first time-out
)

// Join makes the peer a member of the ring that one of the contacts belongs
// to. It keeps trying, each contact in turn, until Output.Joined.
func (r *Ring) Join(now time.Time, contacts []PeerID) Output {
	r.begin(now)
	r.startJoin(contacts, time.Time{})
	return r.finish()
}

// Rejoin is Join for a peer that was a member before it stopped. If none of
// the peers that it remembers is a member within Config.Patience, as after a
// blackout, it makes a ring of one, and the rings of those that come back grow
// together.
func (r *Ring) Rejoin(now time.Time, remembered []PeerID) Output {
	r.begin(now)
	r.startJoin(remembered, now.Add(r.cfg.Patience+time.Duration(r.rng.Int64N(int64(r.cfg.Patience)))))
	return r.finish()
}

func (r *Ring) startJoin(contacts []PeerID, alone time.Time) {
	if r.phase != phaseNew && r.phase != phaseJoining {
		return
	}
	r.phase = phaseJoining
	r.join.aloneAt = alone
	for _, id := range contacts {
		r.addContact(id)
	}
	r.tryJoin()
}

func (r *Ring) addContact(id PeerID) {
	if id != r.self.ID && len(id) > 0 && len(id) <= maxPeerID &&
		!slices.Contains(r.join.contacts, id) && len(r.join.contacts) < maxContacts {
		r.join.contacts = append(r.join.contacts, id)
	}
}

// tryJoin starts an attempt through the next contact.
func (r *Ring) tryJoin() {
	j := &r.join
	if !j.aloneAt.IsZero() && !r.now.Before(j.aloneAt) {
		r.create()
		for _, id := range j.contacts {
			r.ask(id)
		}
		return
	}
	pause := min(joinPause<<min(j.attempts, 8), joinMax)
	if len(j.contacts) == 0 {
		j.retryAt = r.now.Add(pause)
		return
	}
	r.stats.Joins++
	j.attempts++
	j.failed = false
	j.retryAt = r.now.Add(max(pause, 2*r.firstTimeout()) + time.Duration(r.rng.Int64N(int64(pause))))
	contact := j.contacts[j.next%len(j.contacts)]
	j.next++
	r.forgetAttempt()
	for _, s := range r.slots {
		r.startLookup(&lookup{target: s.ID, join: s, contact: contact})
	}
}

// joinAdvances lets an attempt go on that gets answers. It makes a bounded number of
// requests, so that it ends.
func (r *Ring) joinAdvances() {
	if r.phase != phaseJoining || r.join.failed {
		return
	}
	if at := r.now.Add(2 * r.firstTimeout()); at.After(r.join.retryAt) {
		r.join.retryAt = at
	}
}

// forgetAttempt drops what an earlier attempt learnt and still waits for.
func (r *Ring) forgetAttempt() {
	clear(r.lookups)
	for _, s := range r.slots {
		s.list, s.joining, s.asking, s.last = nil, nil, nil, answer{}
	}
	for _, q := range r.requests {
		q.wants, q.finds = nil, nil
	}
	known := make([]PeerID, 0, len(r.table.members))
	for id := range r.table.members {
		known = append(known, id)
	}
	sortPeerIDs(known)
	for _, id := range known {
		r.addContact(id) // the contact may be gone the next time
		r.table.remove(r.table.members[id])
		r.table.version++
	}
}

// foundSuccessor takes the end of the lookup of an own position: the list of
// the member that stands before it. That list skips nobody who counts on not being
// skipped, which is more than a successor could say, who may not know yet whom its
// predecessors have put between. The first on it that answers as a member is joined.
func (r *Ring) foundSuccessor(s *slot, nodes []Place, err error) {
	if r.phase != phaseJoining {
		return
	}
	if err != nil {
		r.retryJoin()
		return
	}
	s.joining = slices.DeleteFunc(slices.Clone(nodes), func(p Place) bool { return p.Peer == r.self.ID })
	if len(s.joining) == 0 {
		r.retryJoin() // our former self is all that is left of the ring
		return
	}
	if r.mutant == mutantOwnersWord {
		r.joinedAt(s, s.joining[0], answer{})
		return
	}
	r.want(s, s.joining[0])
}

// joinMissed passes over a possible successor that did not answer as a member.
func (r *Ring) joinMissed(s *slot, p Place) {
	if len(s.joining) == 0 || s.joining[0].ID != p.ID {
		return
	}
	if s.joining = s.joining[1:]; len(s.joining) == 0 {
		r.retryJoin()
		return
	}
	r.want(s, s.joining[0])
}

// retryJoin shortens the wait for the next attempt: this one has failed.
func (r *Ring) retryJoin() {
	r.join.failed = true
	pause := min(joinPause<<min(r.join.attempts, 8), joinMax)
	if at := r.now.Add(pause); at.Before(r.join.retryAt) {
		r.join.retryAt = at
	}
}

// joinedAt takes the state of a slot's successor. Once every slot has one the
// peer is a member.
func (r *Ring) joinedAt(s *slot, p Place, a answer) {
	if len(s.joining) == 0 || s.joining[0].ID != p.ID {
		return
	}
	end := s.joining[len(s.joining)-1].ID
	s.list = slices.Clone(s.joining)
	if i := slices.IndexFunc(a.list, func(q Place) bool { return between(end, q.ID, s.ID) }); i >= 0 {
		s.list = append(s.list, a.list[i:]...) // what was found may be cut short
	}
	if r.mutant == mutantJoinShort {
		s.list = s.list[:1]
	}
	s.last = a
	for _, other := range r.slots {
		if other.list == nil {
			return
		}
	}
	lists := make([][]Place, len(r.slots))
	for i, s := range r.slots {
		if lists[i] = r.normal(s, s.list); !r.namesOthers(lists[i]) {
			r.retryJoin() // whom it had found has gone while the others looked
			return
		}
	}
	for i, s := range r.slots {
		s.list, s.joining = lists[i], nil
	}
	r.become()
}

// namesOthers reports whether a list names another peer.
func (r *Ring) namesOthers(list []Place) bool {
	return slices.ContainsFunc(list, func(p Place) bool { return p.Peer != r.self.ID })
}

// create makes a ring of one.
func (r *Ring) create() {
	r.forgetAttempt()
	r.filled = true
	for _, s := range r.slots {
		s.list = r.normal(s, nil)
	}
	r.become()
}

// become makes the peer a member.
func (r *Ring) become() {
	r.phase = phaseMember
	r.fresh = true
	clear(r.lookups)
	r.table.enter(r.self)
	r.table.untold() // they know us as a stranger
	r.spread(rumour{kind: rumourAlive, peer: r.self.ID, incarnation: r.self.Incarnation, seq: r.self.Seq})
	r.stabiliseAt, r.roundAt = r.now, r.now
	r.lastRound = r.now.Add(-minRound)
	r.touch()
	r.believe()
	r.result.Joined = true
}

// believe admits those of whom the peer heard while it joined, if the ring turns out to
// be so large that others are believed who is in it: nobody of them is worth a probe.
func (r *Ring) believe() {
	if !r.wide() || !r.believes() {
		return
	}
	heard := make([]PeerID, 0, len(r.table.watched))
	for id, m := range r.table.watched {
		if !m.suspect {
			heard = append(heard, id)
		}
	}
	sortPeerIDs(heard)
	for _, id := range heard {
		r.admit(r.table.watched[id])
	}
}
