package chord

import (
	"fmt"
	"slices"
)

// receive handles a message that arrived.
func (r *Ring) receive(m *Message) error {
	if m.Ring != r.cfg.Ring {
		return ErrOtherRing
	}
	if m.To != r.self.ID || m.From == r.self.ID || len(m.From) == 0 || len(m.From) > maxPeerID {
		return ErrMisrouted
	}
	if err := m.envelope(); err != nil {
		return err
	}
	var q *request
	if m.Kind == KindReply {
		if q = r.requests[m.Req]; q == nil || q.to != m.From || len(m.Found) > len(q.finds) || len(m.States) > len(q.wants) {
			r.stats.Unsolicited++
			return ErrUnsolicited
		}
	}
	var resolved resolved
	rs := &resolved
	if err := m.resolve(rs, r.record, func(st *State) ([]Place, bool) { return r.base(m.From, st, q) }); err != nil {
		return err
	}
	if rs.sender >= 0 && r.ahead(m.Peers[rs.sender]) {
		return fmt.Errorf("%w: its own", ErrFuture)
	}
	switch m.Kind {
	case KindAsk:
		r.answer(m, rs)
	case KindReply:
		delete(r.requests, q.req)
		r.heard(m, rs, q)
		r.reuse.keep(q)
	case KindLeave:
		r.departing(m)
	case KindTell:
		return r.toldOf(m, rs)
	}
	return nil
}

// departing handles a farewell. The transport vouches for the sender, so this
// is the one departure that needs no check, unless it is of another life than the
// sender's present one: then a delayed word may speak of one who is back.
func (r *Ring) departing(m *Message) {
	p := r.table.members[m.From]
	switch {
	case p == nil:
	case p.peer.mark() == m.Know:
		r.evict(p, EventLeft)
	case p.waiting == 0:
		r.ask(m.From)
	}
}

// sender takes what a message says of its own sender: that it lives, its
// record, whether it is a member. q is the request that the message answers, nil
// if it is none.
func (r *Ring) sender(m *Message, rs *resolved, q *request) *member {
	p := r.table.member(m.From)
	if rs.sender >= 0 {
		rec := m.Peers[rs.sender]
		switch {
		case p == nil && m.Member:
			p = r.insert(rec)
			p.met().probeAt = r.now
			r.result.Learned = append(r.result.Learned, rec)
		case p != nil && p.peer != rec && !p.peer.same(&rec.Peer) && (q != nil || rec.Seq >= p.peer.Seq) && r.changes(m.From, p):
			r.renew(p, rec)
		}
	} else if d := r.table.departed[m.From]; p == nil && m.Member && q != nil && d != nil && d.peer.mark() == q.know {
		p = r.insert(d.peer) // it knows that we have its record
		p.met().probeAt = r.now
		r.result.Learned = append(r.result.Learned, d.peer)
	}
	if p == nil {
		if d := r.table.departed[m.From]; d != nil && m.Member && !d.left {
			r.inquire(d) // it reaches us again
		}
		return nil
	}
	r.alive(p)
	p.digest, p.narrow = m.Digest, m.Narrow
	switch {
	case m.Member:
		r.vouch(p, q != nil)
	case m.Left && q != nil:
		r.evict(p, EventLeft)
		return nil
	case q != nil && q.sent.After(p.memberAt):
		r.drop(p) // it has started anew and is to join first
		return nil
	case p.admitted:
		r.ask(m.From) // an old message, or a new start? Its answer tells
	}
	return p
}

// vouch admits a peer that says itself that it is a member. One that has
// departed must say so in answer to a request, lest a delayed message bring back
// the dead.
func (r *Ring) vouch(p *member, solicited bool) {
	id := p.peer.ID
	if d := r.table.departed[id]; d != nil {
		if !solicited {
			p.probeAt = r.now
			return
		}
		delete(r.table.departed, id)
		r.stats.Readmitted++
		if !d.left && d.peer.Seq == p.peer.Seq {
			defer r.reunite(p)
		}
	}
	p.memberAt = r.now
	r.admit(p)
}

func (r *Ring) admit(p *member) {
	if p.admitted {
		return
	}
	r.table.admit(p)
	if !p.suspect {
		delete(r.table.watched, p.peer.ID)
	}
	for _, s := range r.slots {
		for _, place := range p.peer.places {
			if between(s.ID, place.ID, s.head().ID) {
				r.hasten(s) // it may be a nearer successor
			}
		}
	}
	if !r.wide() {
		return
	}
	r.urgent = true
	r.spread(rumour{kind: rumourAlive, peer: p.peer.ID, incarnation: p.peer.Incarnation, seq: p.peer.Seq})
}

// renew takes a newer version of a peer's record.
func (r *Ring) renew(p *member, rec *Record) {
	if rec.Seq != p.peer.Seq {
		// Perhaps a new start: what it left unanswered before says nothing.
		p.met().failure = failure{waiting: p.waiting, failedAt: r.now, probeAt: r.now}
		r.table.changed = true
	}
	moved := p.peer.Incarnation != rec.Incarnation || !slices.Equal(p.peer.Indexes, rec.Indexes)
	r.table.replace(p, rec)
	r.result.Learned = append(r.result.Learned, rec)
	if moved {
		r.unlist(func(pl Place) bool { return pl.Peer == rec.ID && !r.table.holds(pl) })
		r.touch()
	}
}

// insert takes a record of a peer that was not known. A slot whose newest answer
// names the peer can put it into its list now.
func (r *Ring) insert(rec *Record) *member {
	if slices.ContainsFunc(r.slots, func(s *slot) bool { return s.last.names(rec.ID) }) {
		r.table.version++
	}
	return r.table.insert(rec)
}

// hearsay takes the records of third parties that a message carries. Where the table is
// full, those of which its answers speak come last and find room all the same: a list
// must leave nobody out. Those that are of no use are pruned in the next round.
func (r *Ring) hearsay(m *Message, rs *resolved) {
	limit := r.tableLimit()
	var named map[PeerID]bool
	if limit > 0 && len(r.table.members)+len(m.Peers) > limit && m.Kind != KindAsk {
		named = rs.named()
	}
	for i, rec := range m.Peers {
		if i != rs.sender && rec.ID != r.self.ID && !named[rec.ID] {
			r.hear(m.From, rec, limit)
		}
	}
	for i, rec := range m.Peers {
		if i != rs.sender && rec.ID != r.self.ID && named[rec.ID] {
			r.hear(m.From, rec, 0)
		}
	}
}

// hear takes one such record: a hint until its peer has answered, or, in a
// large ring, until something speaks against it. limit is how many members there may be
// for it to be taken; 0: any number.
func (r *Ring) hear(from PeerID, rec *Record, limit int) {
	if r.ahead(rec) {
		r.refuse(from, fmt.Errorf("%w: of %x", ErrFuture, string(rec.ID)))
		return
	}
	if p := r.table.members[rec.ID]; p != nil {
		if rec.Seq > p.peer.Seq && r.changes(from, p) {
			r.renew(p, rec)
		}
		return
	}
	if d := r.table.departed[rec.ID]; d != nil && rec.Seq <= d.peer.Seq {
		if !r.recall(d) {
			r.wonder(d) // others reach it: the ring may be one again
		}
		return
	}
	if _, gone := r.carried[rec.newsKey(true)]; gone {
		return
	}
	if limit > 0 && len(r.table.members) >= limit && !r.makeRoom(1+limit/64) {
		return
	}
	p := r.insert(rec)
	r.result.Learned = append(r.result.Learned, rec)
	if !r.wide() || r.believes() {
		r.admit(p)
		r.offerFinger(rec)
	} else {
		p.met().probeAt = r.now
	}
}

// retry asks a departed peer whether it is back.
func (r *Ring) retry(d *departed) {
	r.ask(d.peer.ID)
	d.asked = r.now
	d.retryAt = r.now.Add(d.pause)
	d.pause = min(2*d.pause, departedMax)
}

// answer replies to an Ask.
func (r *Ring) answer(m *Message, rs *resolved) {
	from := r.sender(m, rs, nil)
	reply := Message{Kind: KindReply, To: m.From, Req: m.Req}
	var k packer
	if m.Know != r.self.mark() {
		k.add(r.self)
	}
	if r.phase == phaseMember {
		reply.Who = m.Member && rs.sender < 0 && from == nil
		if from != nil && from.admitted && m.Member {
			r.hearsay(m, rs)
			r.events(m)
			r.compare(m)
			for _, n := range m.Notes {
				r.noted(from, n)
			}
			r.takeNews(m)
			if m.New && !r.small() {
				from.came = r.second()
				r.announceNew(from.peer)
			}
			r.vet(from, m.Vets)
		}
		if m.Meet && m.Member && !r.complete() {
			r.sound(m.From)
		}
		r.addStates(&reply, &k, m.Wants)
		for _, target := range m.Finds {
			reply.Found = append(reply.Found, r.find(m, target, &k))
		}
		if len(m.Sync) > 0 && from != nil && from.admitted {
			r.addSync(&reply, &k, m)
		}
		if from != nil && from.admitted {
			r.addFetched(&k, m.Fetch)
		}
		r.addRumours(&reply, &k, m.From)
	}
	reply.Peers = k.peers
	r.send(reply)
}

// heard handles the reply to request q.
func (r *Ring) heard(m *Message, rs *resolved, q *request) {
	if !q.late {
		r.release(q)
	} else {
		r.stats.Late++
	}
	from := r.sender(m, rs, q)
	if from != nil {
		from.rtt.sample(r.now.Sub(q.sent))
		r.usual.blend(r.now.Sub(q.sent))
		from.told = !m.Who && (from.told || q.told)
		r.tellAskers(from, q)
	}
	if m.Who && !q.told && r.phase == phaseMember && (r.small() || r.duty(m.From)) {
		r.introduce(m.From) // it does not know us any more
	}
	if q.late {
		return
	}
	r.joinAdvances()
	if !m.Member {
		for _, w := range q.wants {
			r.unanswered(w)
		}
	} else {
		r.hearsay(m, rs)
	}
	if from != nil && m.Member {
		r.events(m)
		r.compare(m)
		r.heardStates(m, rs, q)
		r.compared(m, q)
		r.fresh = r.fresh && !q.fresh
	}
	for i, id := range q.finds {
		l := r.lookups[id]
		switch {
		case l == nil:
		case !m.Member || i >= len(rs.found):
			l.unanswered(q.to, r.now.Sub(q.sent))
		default:
			var at []Place
			if from != nil {
				at = from.peer.places
			}
			r.answered(l, q.to, r.now.Sub(q.sent), at, m.Found[i].Done && len(rs.found[i]) > 0, rs.found[i])
		}
	}
}

// heardStates matches the states of a reply with those that were wanted.
func (r *Ring) heardStates(m *Message, rs *resolved, q *request) {
	for i := range m.States {
		st := &m.States[i]
		for _, w := range q.wants {
			if w.place.Index != st.Index {
				continue
			}
			if st.Same {
				if w.place.ID == w.slot.last.of && w.base.digest == w.slot.last.digest {
					r.learnt(w.slot, w.place, w.slot.last)
				}
				continue
			}
			r.answers++
			r.learnt(w.slot, w.place, answer{
				of: w.place.ID, digest: st.Digest, version: version{r.lifeOf(m.From), st.Version}, serial: r.answers, answered: rs.states[i],
			})
		}
	}
}
