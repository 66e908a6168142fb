package chord

import "time"

// failure counts the requests that a peer left unanswered, in a row.
type failure struct {
	suspect  bool
	reported bool // others said that it departed: less is enough
	fails    int
	refused  int       // of fails, those that the driver could not deliver
	failedAt time.Time // requests sent before it do not count
	probeAt  time.Time // when a watched peer is to be probed next
	waiting  int       // requests to it that may still be answered in time
	*suspicion
}

// suspicion is how long a suspect has been one, and what others say of it. It
// is nil of a peer that is none.
type suspicion struct {
	since   time.Time
	heardOf time.Time // when a helper last said that the suspect had answered it
	helpers []PeerID  // asked to probe the suspect, and not heard of since
	helpAt  time.Time // no further helpers before
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
func (r *Ring) timeout(id PeerID) time.Duration { return r.timeoutOf(r.table.members[id]) }

// timeoutOf is timeout of a member, nil if it is none.
func (r *Ring) timeoutOf(m *member) time.Duration {
	if m == nil || m.rtt.smooth == 0 {
		return r.firstTimeout()
	}
	return min(max(m.rtt.smooth+4*m.rtt.vary, r.cfg.MinTimeout), r.cfg.MaxTimeout)
}

// firstTimeout is timeoutOf a peer whose round trip is not known: no less than usual ones
// ask for. It doubles with each attempt at joining that failed, since a machine or network
// too slow for one is too slow for the next.
func (r *Ring) firstTimeout() time.Duration {
	d := min(max(r.usual.smooth+4*r.usual.vary, r.cfg.FirstTimeout), r.cfg.MaxTimeout)
	if r.phase == phaseJoining {
		d = min(d<<min(max(r.join.attempts-1, 0), joinBackoff), 2*r.cfg.MaxTimeout)
	}
	return d
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

// failed counts a request that was sent at the given time and got no answer, or
// that the driver could not deliver. Requests that were under way together fail
// as one.
func (r *Ring) failed(id PeerID, sent time.Time, refused bool, pause time.Duration) {
	m := r.table.members[id]
	if m == nil || sent.Before(m.failedAt) {
		return
	}
	m.met().fails++
	if refused {
		m.refused++
	}
	m.failedAt = r.now
	if !r.small() && !r.duty(id) {
		pause = r.pace(r.cfg.Stabilise) // others notice sooner, and we shall hear of it
		if refused && r.wide() && r.believes() && !r.neighbour(id) {
			pause = newsWithin
		}
	}
	m.probeAt = r.now.Add(pause)
	if !m.suspect {
		m.suspect = true
		m.suspicion = &suspicion{since: r.now}
		r.table.changed = true
		r.stats.Suspected++
	}
	if r.hopeless(m) {
		r.evict(m, EventDead)
		return
	}
	r.table.watched[id] = m
	if !r.dismiss(m) {
		r.seekHelp(m)
	}
}

// dismiss spares a peer that cannot be reached a probe if it is nothing to us, and
// reports whether it is.
func (r *Ring) dismiss(m *member) bool {
	if m.refused == 0 || r.small() || r.wide() || r.neighbour(m.peer.ID) {
		return false
	}
	r.cutFingers(func(p Place) bool { return p.Peer == m.peer.ID })
	delete(r.table.watched, m.peer.ID)
	return true
}

// rouse lets a suspect that has become a slot's successor be probed at once.
func (r *Ring) rouse(s *slot) {
	if m := r.table.members[s.head().Peer]; m != nil && m.suspect {
		m.probeAt = r.now
		r.table.watched[m.peer.ID] = m // if it was spared that, as it was nothing to us
	}
}

// newsWithin is how long the news of the death of a peer that cannot be reached is
// waited for, before it is probed.
const newsWithin = 20 * time.Second

// hopeless reports whether a suspect is to be evicted: enough requests failed,
// nobody heard of it lately, and either none of them could be delivered, as when
// its process has ended, or it has been silent for long. Where others say that it
// departed, less is enough. What helpers say delays the end and cannot avert it:
// who cannot reach a peer cannot keep a ring with it.
func (r *Ring) hopeless(m *member) bool {
	need, long := r.cfg.Probes+1, r.cfg.Silence
	if m.reported {
		need, long = min(need, 2), min(long, r.cfg.MaxTimeout)
	}
	if !r.small() && !r.duty(m.peer.ID) {
		need = min(need, 2) // far apart
	}
	silent := r.now.Sub(m.since)
	switch {
	case m.fails < need:
		return false
	case silent >= maxVouched*r.cfg.Silence:
		return true
	case r.now.Sub(m.heardOf) < long:
		return false
	default:
		return m.refused >= need || silent >= long
	}
}

// maxVouched is for how many times Config.Silence helpers can delay an eviction.
const maxVouched = 3

// evict takes a peer with all its positions out of the ring.
func (r *Ring) evict(m *member, why EventKind) {
	if m.admitted {
		r.announceEnd(m.peer, why)
	}
	if why == EventDead {
		r.mourn(m)
	}
	r.drop(m)
	if m.admitted {
		r.stats.Evicted++
		r.spread(rumour{kind: why, peer: m.peer.ID, incarnation: m.peer.Incarnation, seq: m.peer.Seq})
	}
	r.table.bury(m, why == EventLeft, r.now)
}

// drop removes a peer from the table and every list, without a word.
func (r *Ring) drop(m *member) {
	r.table.remove(m)
	if r.neighbour(m.peer.ID) {
		r.table.version++
	}
	for _, s := range r.slots {
		if s.last.names(m.peer.ID) {
			r.table.version++
			s.last = answer{} // to be told again in full: whoever is named may be back by then
		}
	}
	r.unlist(func(p Place) bool {
		return p.Peer == m.peer.ID && (r.mutant != mutantDropOnePosition || p.Index == m.peer.Indexes[0])
	})
}

// unlist removes the places that gone names from lists, predecessors and
// fingers.
func (r *Ring) unlist(gone func(Place) bool) {
	for _, s := range r.slots {
		for i := 0; i < len(s.list); i++ {
			if gone(s.list[i]) && (i > 0 || r.mutant != mutantKeepDeadHead) {
				s.list = append(s.list[:i:i], s.list[i+1:]...)
				if i == 0 {
					r.hasten(s)
					r.rouse(s)
				}
				i--
				r.news(s)
			}
		}
		if len(s.list) == 0 && r.phase == phaseMember {
			s.list = r.normal(s, nil)
		}
		if s.pred != nil && gone(*s.pred) {
			s.pred = nil
			r.news(s)
		}
	}
	r.cutFingers(gone)
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
		if !r.dismiss(r.table.watched[id]) {
			r.ask(id)
		}
	}
}

// nextProbe returns when the next of the watched is to be asked; the zero time
// if none is, or if the next answer or time-out has to make room.
func (r *Ring) nextProbe() (at time.Time) {
	free := maxProbes
	for _, m := range r.table.watched {
		if m.waiting > 0 {
			if free--; free == 0 {
				return time.Time{}
			}
		} else if at.IsZero() || m.probeAt.Before(at) {
			at = m.probeAt
		}
	}
	return at
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
		r.failed(id, latest, true, r.cfg.ProbePause)
	case !m.suspect:
		r.failed(id, r.now, true, 0)
	}
}

// oversleep makes up for time in which nobody called: the process was stopped,
// or the machine was busy. Answers may have come meanwhile and wait to be read,
// so that requests get a fresh time-out; and that time speaks against no suspect.
func (r *Ring) oversleep(late time.Duration) {
	r.stats.Overslept++
	for _, q := range r.requests {
		if at := r.now.Add(r.timeout(q.to)); !q.late && at.After(q.deadline) {
			r.file(q, at)
		}
	}
	for _, m := range r.table.watched {
		if m.suspect {
			m.since = m.since.Add(late)
			m.heardOf = m.heardOf.Add(late)
		}
	}
	if late >= r.cfg.Silence && r.phase == phaseMember {
		r.table.untold() // they may have evicted us
		for _, id := range r.circle() {
			r.ask(id)
		}
	}
}

// drowsy is how late a call may come without being taken for the end of a sleep.
const drowsy = 200 * time.Millisecond
