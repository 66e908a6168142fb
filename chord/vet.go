package chord

import (
	"slices"
	"time"
)

// Bounds of probes for others, so that nobody can make a peer send much.
const (
	maxHelpers = 8
	helpPause  = time.Second      // between two calls for help about one suspect
	vetSpan    = time.Second      // in which
	vetsOfOne  = 4                // suspects of one asker are probed
	vetsOfAll  = 64               // and suspects of all
	vetKept    = 10 * time.Second // an answer that comes later is told to nobody
	maxAskers  = 16               // of one suspect
)

// vetting is what a peer probes because others cannot reach it: SWIM's indirect
// probes (Das, Gupta, Motivala, DSN 2002).
type vetting struct {
	suspects map[PeerID]*vet
	spanEnds time.Time
	all      int            // suspects that were taken on in this span
	of       map[PeerID]int // the same by asker
}

// vet is a suspect of others.
type vet struct {
	askers []PeerID
	at     time.Time // when it was last asked for
}

func newVetting() vetting {
	return vetting{suspects: make(map[PeerID]*vet), of: make(map[PeerID]int)}
}

// take notes that asker wants to know of a suspect, and reports whether that is
// within the bounds.
func (v *vetting) take(asker, suspect PeerID, now time.Time) bool {
	if !now.Before(v.spanEnds) {
		v.spanEnds, v.all = now.Add(vetSpan), 0
		clear(v.of)
	}
	if v.all >= vetsOfAll || v.of[asker] >= vetsOfOne {
		return false
	}
	v.all++
	v.of[asker]++
	s := v.suspects[suspect]
	if s == nil {
		s = &vet{}
		v.suspects[suspect] = s
	}
	s.at = now
	if !slices.Contains(s.askers, asker) && len(s.askers) < maxAskers {
		s.askers = append(s.askers, asker)
	}
	return true
}

// prune forgets suspects that have not answered.
func (v *vetting) prune(now time.Time) {
	for id, s := range v.suspects {
		if now.Sub(s.at) > vetKept {
			delete(v.suspects, id)
		}
	}
}

// seekHelp asks others to probe a suspect that was silent more than once. One
// that refuses connections needs no second opinion.
func (r *Ring) seekHelp(m *member) {
	if m.fails < 2 || m.fails == m.refused || !m.admitted || r.phase != phaseMember || r.now.Before(m.helpAt) {
		return
	}
	m.helpAt = r.now.Add(helpPause)
	m.helpers = nil
	for range 2 * r.cfg.Helpers {
		id, ok := r.anyMember()
		if !ok || len(m.helpers) >= r.cfg.Helpers {
			return
		}
		if id == m.peer.ID || slices.Contains(m.helpers, id) {
			continue
		}
		if o := r.ask(id); len(o.vets) < maxVets {
			o.vets = append(o.vets, m.peer.ID)
			m.helpers = append(m.helpers, id)
		}
	}
}

// heardOf takes a helper's word that a suspect has answered it. Each may say so
// once when it was asked.
func (r *Ring) heardOf(from PeerID, e Event) {
	m := r.table.members[e.Peer]
	if m == nil || !m.suspect || m.peer.Incarnation != e.Incarnation {
		return
	}
	i := slices.Index(m.helpers, from)
	if i < 0 {
		return
	}
	m.helpers = slices.Delete(m.helpers, i, i+1)
	m.suspicion.heardOf = r.now
	r.stats.Vouched++
}

// vet probes the suspects of another member, those that are known as members.
func (r *Ring) vet(from *member, suspects []PeerID) {
	for _, id := range suspects {
		m := r.table.members[id]
		if m == nil || !m.admitted || id == from.peer.ID || !r.vetting.take(from.peer.ID, id, r.now) {
			continue
		}
		r.stats.Vetted++
		r.ask(id)
	}
}

// tellAskers tells those who suspect a peer that it has answered a request
// which was sent after they asked.
func (r *Ring) tellAskers(m *member, q *request) {
	s := r.vetting.suspects[m.peer.ID]
	if s == nil || q.sent.Before(s.at) {
		return
	}
	delete(r.vetting.suspects, m.peer.ID)
	if r.now.Sub(s.at) > vetKept {
		return
	}
	for _, id := range s.askers {
		if r.table.trusted(id) {
			o := r.ask(id)
			o.words = append(o.words, Event{Kind: EventHeard, Peer: m.peer.ID, Incarnation: m.peer.Incarnation, Seq: m.peer.Seq})
		}
	}
}
