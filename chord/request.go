package chord

import (
	"slices"
	"time"
)

// outgoing collects what one call asks of one peer.
type outgoing struct {
	wants []wanted
	notes []Note
	finds []uint64 // lookups
	sync  bool
	news  []item
	fetch []uint32 // keys of records
	vets  []PeerID // suspects that it is to probe
	words []Event  // peers that answered, of which it wanted to know

	meet      bool // it belongs to another part of the ring
	introduce bool // our record goes along
}

// wanted is a position whose state one of our slots wants.
type wanted struct {
	slot  *slot
	place Place
	base  answer // what the slot held of it when it asked
}

// request is an Ask whose reply has not come.
type request struct {
	req      uint64
	to       PeerID
	sent     time.Time
	deadline time.Time
	wants    []wanted
	finds    []uint64
	sync     bool
	news     []item
	heir     *Record // who was given news; nil if there are none
	fetch    int     // records asked for
	fresh    bool    // it is to announce us
	know     uint32  // the mark of its record that we hold, 0 if none
	counted  *member // whose waiting counts it; nil if the peer was unknown
	told     bool    // our record went with it
	late     bool    // timed out; an answer still proves life
}

// reuse holds what requests that are over leave to later ones.
type reuse struct {
	outs     []*outgoing
	requests []*request // with nothing but the memory of wants
}

// maxReuse bounds the requests that are kept, each with wants for as many places at most.
const maxReuse = 2

// keep takes a request that is over, to which nothing refers any more.
func (s *reuse) keep(q *request) {
	if len(s.requests) < maxReuse && cap(q.wants) <= maxReuse {
		clear(q.wants)
		*q = request{wants: q.wants[:0]}
		s.requests = append(s.requests, q)
	}
}

// done takes an outgoing that was sent.
func (s *reuse) done(o *outgoing) {
	if len(s.outs) < maxReuse {
		*o = outgoing{}
		s.outs = append(s.outs, o)
	}
}

// out returns an empty outgoing, with the memory of a request's wants if there is one.
func (s *reuse) out() *outgoing {
	var o *outgoing
	if n := len(s.outs); n > 0 {
		o, s.outs = s.outs[n-1], s.outs[:n-1]
	} else {
		o = &outgoing{}
	}
	if n := len(s.requests); n > 0 {
		o.wants, s.requests[n-1].wants = s.requests[n-1].wants, nil
	}
	return o
}

// request returns a request to be overwritten.
func (s *reuse) request() *request {
	if n := len(s.requests); n > 0 {
		q := s.requests[n-1]
		s.requests = s.requests[:n-1]
		return q
	}
	return &request{}
}

// ask returns what is being asked of the peer in this call.
func (r *Ring) ask(id PeerID) *outgoing {
	o := r.out[id]
	if o == nil {
		o = r.reuse.out()
		r.out[id] = o
	}
	return o
}

// want asks for the state of a place, unless that is under way.
func (r *Ring) want(s *slot, p Place) {
	if p.Peer == r.self.ID || slices.Contains(s.asking, p.ID) || len(s.asking) >= maxAsking {
		return
	}
	o := r.ask(p.Peer)
	if len(o.wants) >= maxWants {
		return
	}
	s.asking = append(s.asking, p.ID)
	o.wants = append(o.wants, wanted{slot: s, place: p})
}

const maxAsking = 4

// flush turns what was asked into messages.
func (r *Ring) flush() {
	if len(r.out) == 0 {
		return
	}
	ids := make([]PeerID, 0, len(r.out))
	for id := range r.out {
		ids = append(ids, id)
	}
	sortPeerIDs(ids)
	for _, id := range ids {
		o := r.out[id]
		delete(r.out, id)
		r.sendAsk(id, o)
		r.reuse.done(o)
	}
}

func (r *Ring) sendAsk(id PeerID, o *outgoing) {
	r.nextReq++
	q := r.reuse.request()
	*q = request{
		req: r.nextReq, to: id, sent: r.now,
		wants: o.wants, finds: o.finds, sync: o.sync, news: o.news, fetch: len(o.fetch),
	}
	m := Message{Kind: KindAsk, To: id, Req: q.req, Notes: o.notes, Vets: o.vets, Events: o.words, Fetch: o.fetch, Meet: o.meet}
	var k packer
	peer := r.table.member(id)
	if peer != nil {
		m.Know = peer.peer.mark()
		peer.met().waiting++
		q.counted = peer
		if len(o.news) > 0 {
			q.heir = peer.peer
		}
	} else if d := r.table.departed[id]; d != nil {
		m.Know = d.peer.mark()
	}
	q.know = m.Know
	if (peer == nil || !peer.told) && r.introduces(o) {
		k.add(r.self)
		q.told = true
	}
	r.packWants(&m, o)
	r.packFinds(&m, id, o)
	if o.sync {
		m.Sync, m.Part = slices.Clone(r.table.parts[:]), uint32(r.self.part)
		if r.filled {
			m.Part = uint32(r.rng.IntN(buckets))
		}
	}
	if q.fresh = r.fresh && slices.ContainsFunc(o.notes, func(n Note) bool { return n.Mine == r.self.Indexes[0] }); q.fresh {
		m.New = true
	}
	packNews(&m, &k, o.news)
	r.addRumours(&m, &k, id)
	m.Peers = k.peers
	r.requests[q.req] = q
	r.file(q, r.now.Add(r.timeoutOf(peer)))
	r.send(m)
}

// packWants asks for states.
func (r *Ring) packWants(m *Message, o *outgoing) {
	for i := range o.wants {
		w := &o.wants[i]
		want := Want{Index: w.place.Index}
		if w.slot.last.of == w.place.ID {
			w.base = w.slot.last
			want.Have = w.base.digest
		} else if k := slices.IndexFunc(o.wants[:i], func(v wanted) bool { return v.place == w.place && v.base.digest == BaseHolds }); k >= 0 {
			// What an answer refers to is told by its place and digest: it is one base for both.
			w.base, want.Holds = o.wants[k].base, m.Wants[k].Holds
		} else if list := w.slot.similar(); len(list) > 0 && (r.phase == phaseJoining || !r.small()) {
			w.base = answer{digest: BaseHolds, answered: answered{list: list[:min(len(list), maxHolds-1)], pred: r.foregoing(w.slot)}}
			want.Holds = r.entries(w.base.entries())
		}
		m.Wants = append(m.Wants, want)
	}
}

// foregoing returns the place that a new successor of the slot is likely to have for
// predecessor: the slot, or before it has joined whoever stands before.
func (r *Ring) foregoing(s *slot) Place {
	if r.phase == phaseMember {
		return s.Place
	}
	if ps := r.preceding(s.ID, 1); len(ps) > 0 {
		return ps[0]
	}
	return Place{}
}

// packFinds asks for the targets of lookups.
func (r *Ring) packFinds(m *Message, to PeerID, o *outgoing) {
	if len(o.finds) == 0 {
		return
	}
	most := uint32(1)
	for _, id := range o.finds {
		l := r.lookups[id]
		m.Finds = append(m.Finds, l.target)
		if n := l.most(to); n == 0 || most == 0 {
			most = 0
		} else {
			most = max(most, n)
		}
	}
	m.Most = most
	m.Anchors = !slices.ContainsFunc(o.finds, func(id uint64) bool { return r.lookups[id].finger == 0 })
}

// most returns how many nodes the answer of a peer to a lookup is to name: few, as
// records are long, until somebody did not answer or it went astray. 0 means all.
func (l *lookup) most(to PeerID) uint32 {
	switch missed := len(l.missed); {
	case l.checked() && missed > 1 || l.ways != nil:
		return 0
	case missed > 0 || l.astray():
		return maxReferal
	case l.checked() && slices.ContainsFunc(l.ahead, func(p Place) bool { return p.Peer == to }):
		return ownerNodes
	default:
		return fewNodes
	}
}

const (
	fewNodes   = 2 // that joiners want to know, and a finger keeps
	ownerNodes = 3 // that the owner of a target names, itself among them
)

// introduce tells a peer our record, and of which of its positions we take notice:
// one that keeps no table forgets us again if we are nothing to it.
func (r *Ring) introduce(id PeerID) {
	o := r.ask(id)
	o.introduce = true
	for _, s := range r.slots {
		if h := s.head(); h.Peer == id && len(o.notes) < maxNotes {
			o.notes = append(o.notes, Note{Yours: h.Index, Mine: s.Index})
		}
	}
}

// introduces reports whether our record is to go with what is asked. In a large
// ring only neighbours need it.
func (r *Ring) introduces(o *outgoing) bool {
	return r.phase == phaseMember && (r.small() || o.introduce || len(o.notes) > 0)
}

// send completes a message and hands it out.
func (r *Ring) send(m Message) {
	m.From = r.self.ID
	m.Ring = r.cfg.Ring
	m.Member = r.phase == phaseMember
	m.Left = r.phase == phaseLeft || m.Kind == KindLeave
	m.Narrow = m.Member && r.cfg.tabled() && !r.wide()
	if m.Member && r.wide() {
		m.Digest = r.table.digest
	}
	r.result.Messages = append(r.result.Messages, m)
}

// expire handles requests whose time is over.
func (r *Ring) expire() {
	for _, q := range r.due() {
		if q.late {
			delete(r.requests, q.req)
			continue
		}
		r.stats.Timeouts++
		q.late = true
		r.file(q, r.now.Add(2*r.cfg.MaxTimeout))
		r.settle(q)
		r.failed(q.to, q.sent, false, 0)
	}
}

// pendingTo returns the unanswered requests to a peer, oldest first.
func (r *Ring) pendingTo(id PeerID) []*request {
	var qs []*request
	for _, q := range r.requests {
		if q.to == id && !q.late {
			qs = append(qs, q)
		}
	}
	slices.SortFunc(qs, func(a, b *request) int { return int(int64(a.req - b.req)) })
	return qs
}

// abandon gives a request up for good.
func (r *Ring) abandon(q *request) {
	delete(r.requests, q.req)
	r.settle(q)
}

// settle lets those who wait for a request go on without its answer.
func (r *Ring) settle(q *request) {
	r.release(q)
	if q.heir != nil {
		r.lostNews(q.heir, q.news)
	}
	for _, w := range q.wants {
		r.unanswered(w)
	}
	for _, id := range q.finds {
		if l := r.lookups[id]; l != nil {
			l.unanswered(q.to, r.now.Sub(q.sent))
		}
	}
}

// release frees what a request holds.
func (r *Ring) release(q *request) {
	if q.counted != nil {
		q.counted.waiting--
		q.counted = nil
	}
	for _, w := range q.wants {
		w.slot.asking = slices.DeleteFunc(w.slot.asking, func(id ID) bool { return id == w.place.ID })
	}
}
