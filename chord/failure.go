package chord

import "time"

// failure counts the requests that a peer left unanswered.
type failure struct {
	suspect  bool
	reported bool // others said that it departed: two failures are enough
	fails    int
	failedAt time.Time // requests sent before it do not count
	probeAt  time.Time // when a watched peer is to be probed next
	waiting  int       // requests to it that may still be answered in time
}

// rtt estimates round trips the way TCP does (RFC 6298).
type rtt struct {
	smooth, vary time.Duration // smooth is 0 before the first sample
}

func (e *rtt) sample(d time.Duration) {
	if e.smooth == 0 {
		e.smooth, e.vary = max(d, 1), d/2
		return
	}
	e.vary += ((e.smooth - d).Abs() - e.vary) / 4
	e.smooth += (d - e.smooth) / 8
}

// timeout returns how long to wait for an answer of the peer.
func (r *Ring) timeout(id PeerID) time.Duration {
	m := r.table.members[id]
	if m == nil || m.rtt.smooth == 0 {
		return r.cfg.FirstTimeout
	}
	return min(max(m.rtt.smooth+4*m.rtt.vary, r.cfg.MinTimeout), r.cfg.MaxTimeout)
}

// alive notes that the peer itself sent something.
func (r *Ring) alive(m *member) {
	if m.suspect {
		r.table.changed = true
	}
	m.met().heard = r.now
	m.failure = failure{waiting: m.waiting, probeAt: m.probeAt}
	if m.admitted {
		delete(r.table.watched, m.peer.ID)
	}
}

// failed counts a request that was sent at the given time and got no answer.
// Requests that were under way together fail as one.
func (r *Ring) failed(id PeerID, sent time.Time, pause time.Duration) {
	m := r.table.members[id]
	if m == nil || sent.Before(m.failedAt) {
		return
	}
	m.met().fails++
	m.failedAt = r.now
	m.probeAt = r.now.Add(pause)
	if m.fails > r.cfg.Probes || m.reported && m.fails > 1 {
		r.evict(m, EventDead)
		return
	}
	if !m.suspect {
		m.suspect = true
		r.table.changed = true
	}
	r.table.watched[id] = m
}

// evict takes a peer with all its positions out of the ring.
func (r *Ring) evict(m *member, why EventKind) {
	r.drop(m)
	if m.admitted {
		r.stats.Evicted++
		r.spread(rumour{kind: why, peer: m.peer.ID, incarnation: m.peer.Incarnation, seq: m.peer.Seq})
	}
	r.table.bury(m.peer, why == EventLeft, r.now)
}

// drop removes a peer from the table and every list, without a word.
func (r *Ring) drop(m *member) {
	r.table.remove(m)
	r.unlist(func(p Place) bool { return p.Peer == m.peer.ID })
}

// unlist removes the places that gone names from lists, predecessors and
// fingers.
func (r *Ring) unlist(gone func(Place) bool) {
	for _, s := range r.slots {
		for i := 0; i < len(s.list); i++ {
			if gone(s.list[i]) && (i > 0 || r.mutant != mutantKeepDeadHead) {
				s.list = append(s.list[:i:i], s.list[i+1:]...)
				i--
				r.touch()
			}
		}
		if len(s.list) == 0 && r.phase == phaseMember {
			s.list = r.normal(s, nil)
		}
		if s.pred != nil && gone(*s.pred) {
			s.pred = nil
			r.touch()
		}
	}
	for i, f := range r.fingers {
		if f != nil && gone(*f) {
			r.fingers[i] = nil
		}
	}
}

// probe asks those that are watched whether they live.
func (r *Ring) probe() {
	if r.phase != phaseMember {
		return
	}
	due := make([]PeerID, 0, 8)
	busy := 0
	for id, m := range r.table.watched {
		switch {
		case m.waiting > 0:
			busy++
		case !r.now.Before(m.probeAt):
			due = append(due, id)
		}
	}
	sortPeerIDs(due)
	for _, id := range due[:min(len(due), max(0, maxProbes-busy))] {
		r.ask(id)
	}
}

// unreachable fails all requests to a peer.
func (r *Ring) unreachable(id PeerID) {
	latest := time.Time{}
	for _, q := range r.pendingTo(id) {
		if q.sent.After(latest) {
			latest = q.sent
		}
		r.abandon(q)
	}
	m := r.table.members[id]
	switch {
	case m == nil:
	case !latest.IsZero():
		r.failed(id, latest, r.cfg.ProbePause)
	case !m.suspect:
		r.failed(id, r.now, 0)
	}
}
