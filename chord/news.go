package chord

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"
)

// News of joins and departures spread in a large ring along trees, as in D1HT
// (Monnerat and Amorim, arXiv 1408.7070), but over ranges of positions: peers stand
// on the circle by the first of their positions, and whoever is told of an event is
// told up to where it has to pass it on. It splits that range among the peers that
// it knows at distances of powers of two, so that everybody hears of an event once,
// and buffers what comes within a while, so that few messages do. Who holds the
// state of a position announces its peer: the successor that of a newcomer, the
// predecessor that of a dead one.

// rate counts events in spans of time.
type rate struct {
	span      time.Time // when this one began
	now, last int       // events in it and in the one before
}

const rateSpan = 10 * time.Second

func (e *rate) roll(now time.Time) {
	switch d := now.Sub(e.span); {
	case d >= 2*rateSpan:
		*e = rate{span: now}
	case d >= rateSpan:
		*e = rate{span: e.span.Add(rateSpan), last: e.now}
	}
}

func (e *rate) add(now time.Time) {
	e.roll(now)
	e.now++
}

// of returns the events a second.
func (e *rate) of(now time.Time) float64 {
	e.roll(now)
	return float64(max(e.now, e.last)) / rateSpan.Seconds()
}

// News passes an event on. Kind is EventAlive, and Peer the record of whom it is
// of in Message.Peers; or it is the end of the member whose record has At and Mark.
// The receiver tells those who stand behind it and before Until.
type News struct {
	Kind  EventKind
	Peer  uint32
	At    uint64 // first bytes of the first position
	Mark  uint32
	Until uint32 // first bytes of a first position
}

// newsKey identifies an event.
type newsKey struct {
	at   uint64
	mark uint32
	gone bool
}

// item is an event that is to be passed on.
type item struct {
	newsKey
	kind  EventKind
	rec   *Record // nil of a departure
	until uint32
	due   time.Time
}

const (
	maxNews     = 256     // events in one message
	maxItems    = 1 << 12 // events that wait to be passed on
	maxCarried  = 1 << 14
	carriedFor  = time.Minute
	youngFor    = 30 * time.Second // a newcomer is told, and not charged with telling others
	backupAfter = 10 * time.Second // the second one announces a death after so long
	fewEvents   = 0.3              // a second: those are not gathered
	minBuffer   = 100 * time.Millisecond
	maxBuffer   = 5 * time.Second
)

// standing returns the first bytes of a peer's first position: where it stands.
func (rec *Record) standing() uint32 { return binary.BigEndian.Uint32(rec.places[0].ID[:4]) }

func (rec *Record) newsKey(gone bool) newsKey {
	return newsKey{binary.BigEndian.Uint64(rec.places[0].ID[:8]), rec.mark(), gone}
}

// announceNew tells the ring of a newcomer right before one of our positions.
func (r *Ring) announceNew(rec *Record) {
	r.carry(item{newsKey: rec.newsKey(false), kind: EventAlive, rec: rec, until: r.self.standing(), due: r.now})
}

// announceEnd tells the ring of a death or departure if the first position of
// the peer is right behind one of ours, but for others that seem to have died. If it is
// the second, somebody else does, who may have died as well.
func (r *Ring) announceEnd(rec *Record, why EventKind) {
	for i, p := range rec.places[:min(2, len(rec.places))] {
		if slices.ContainsFunc(r.slots, func(s *slot) bool { return r.leadsTo(s, p) }) {
			r.carry(item{
				newsKey: rec.newsKey(true), kind: why, until: r.self.standing(), due: r.now.Add(time.Duration(i) * backupAfter),
			})
			return
		}
	}
}

// leadsTo reports whether none but suspects stand between a slot and a place on its
// list.
func (r *Ring) leadsTo(s *slot, p Place) bool {
	for _, q := range s.list {
		if q == p {
			return true
		}
		if q.Peer == r.self.ID || q.Peer != p.Peer && !r.suspected(q.Peer) {
			return false
		}
	}
	return false
}

// carry takes an event to be passed on, unless it was before.
func (r *Ring) carry(it item) {
	if !r.wide() || r.small() || r.phase != phaseMember || len(r.items) >= maxItems {
		return
	}
	if _, known := r.carried[it.newsKey]; known {
		return
	}
	if !it.due.After(r.now) {
		r.noteCarried(it.newsKey)
	}
	r.items = append(r.items, it)
	at := it.due
	if soonest := r.newsLast.Add(r.buffering()); at.Before(soonest) {
		at = soonest
	}
	if r.newsAt.IsZero() || at.Before(r.newsAt) {
		r.newsAt = at
	}
}

func (r *Ring) noteCarried(k newsKey) {
	r.newsRate.add(r.now)
	if len(r.carried) < maxCarried {
		r.carried[k] = r.now
	}
}

// takeNews takes the events that a member passes on.
func (r *Ring) takeNews(m *Message) {
	for _, n := range m.News {
		it := item{newsKey: newsKey{n.At, n.Mark, true}, kind: n.Kind, until: n.Until, due: r.now}
		if n.Kind == EventAlive {
			it.rec = m.Peers[n.Peer]
			it.newsKey = it.rec.newsKey(false)
		}
		if _, known := r.carried[it.newsKey]; known {
			continue
		}
		if it.rec == nil {
			r.gone(it)
			if it.at == r.self.newsKey(true).at {
				r.ask(m.From) // we live
				continue
			}
		} else if p := r.table.members[it.rec.ID]; p != nil {
			if p.peer.Seq > it.rec.Seq {
				continue
			}
			p.came = r.second()
		}
		r.carry(it)
	}
}

// gone takes the news that a member has died or left. Neighbours see for
// themselves, as do all in a ring that is not too large for that, and in a larger one
// as many as the check has bytes for. The others believe it: what is true of a
// peer that lives spreads from those who have seen it.
func (r *Ring) gone(it item) {
	p := r.standsAt(it.newsKey)
	if p == nil {
		return
	}
	if !r.believes() || r.neighbour(p.peer.ID) || r.doubts(p) {
		p.met().reported = true
		if p.waiting == 0 {
			r.ask(p.peer.ID)
		}
		return
	}
	r.drop(p)
	r.stats.Evicted++
	r.table.bury(p, it.kind == EventLeft, r.now)
}

// doubts reports whether news of a death are to be checked: they say of one that was
// heard just now, or there are bytes for it. They need not be if we could not reach it
// either.
func (r *Ring) doubts(p *member) bool {
	return p.refused == 0 && (r.now.Sub(p.heard) < doubtfulAfter || r.budget.check(r.now))
}

// standsAt returns the member of which an event speaks, nil if it is unknown.
func (r *Ring) standsAt(k newsKey) *member {
	x := &r.table.index
	if x.count == 0 {
		return nil
	}
	var id ID
	binary.BigEndian.PutUint64(id[:8], k.at)
	p := r.table.members[x.get(x.from(id)).rec.ID]
	if p == nil || p.peer.newsKey(true) != k {
		return nil
	}
	return p
}

// neighbour reports whether a list or a predecessor names the peer.
func (r *Ring) neighbour(id PeerID) bool {
	return slices.ContainsFunc(r.slots, func(s *slot) bool {
		return s.pred != nil && s.pred.Peer == id || slices.ContainsFunc(s.list, func(p Place) bool { return p.Peer == id })
	})
}

// buffering returns how long events are gathered: as long as it takes for the
// messages that pass them on to cost no more than a sixth of the budget.
func (r *Ring) buffering() time.Duration {
	const message = 150 // bytes of one and its answer without the events
	rate := r.newsRate.of(r.now)
	if rate < fewEvents {
		return minBuffer
	}
	for d := minBuffer; d < maxBuffer; d += d / 2 {
		messages := 1 + bits.Len(uint(rate*d.Seconds()))
		if float64(messages*message) <= d.Seconds()*float64(r.cfg.Budget)/6 {
			return d
		}
	}
	return maxBuffer
}

// passOn tells others of the events that are due.
func (r *Ring) passOn() {
	r.newsAt, r.newsLast = time.Time{}, r.now
	wait := r.items[:0:0]
	var due []item
	for _, it := range r.items {
		switch _, known := r.carried[it.newsKey]; {
		case !r.now.Before(it.due):
			due = append(due, it)
		case !known: // the one before us did not announce it yet
			wait = append(wait, it)
			if r.newsAt.IsZero() || it.due.Before(r.newsAt) {
				r.newsAt = it.due
			}
		}
	}
	r.items = wait
	if len(due) == 0 || !r.wide() {
		return
	}
	heirs := r.heirs()
	self := r.self.standing()
	for _, it := range due {
		r.noteCarried(it.newsKey)
		whole := it.until - self // of the circle, from here on; 0 is all
		reach := whole
		for i := len(heirs) - 1; i >= 0; i-- {
			h := heirs[i]
			away := h.standing() - self
			if whole != 0 && away >= whole || it.rec != nil && h.ID == it.rec.ID {
				continue
			}
			r.give(it, h, self+reach)
			reach = away
		}
	}
}

// give passes an event to a peer, which is to tell those up to until.
func (r *Ring) give(it item, to *Record, until uint32) {
	o := r.ask(to.ID)
	if len(o.news) >= maxNews {
		return
	}
	if until == to.standing() {
		until++ // to nobody, and not all round the circle
	}
	it.until = until
	o.news = append(o.news, it)
}

// heirs returns those among whom the circle behind us is split, by distance:
// peers that keep a table, at distances of powers of two, and before the nearest of
// them all newcomers.
func (r *Ring) heirs() []*Record {
	first := r.self.places[0].ID
	var hs []*Record
	for k := 255; k >= 255-bits.Len(uint(r.table.count))-2; k-- {
		if h := r.standing(plusPow2(first, k), first, true); h != nil && (len(hs) == 0 || hs[len(hs)-1] != h) {
			hs = append(hs, h)
		}
	}
	if h := r.standing(first, first, true); h != nil && (len(hs) == 0 || hs[len(hs)-1] != h) {
		hs = append(hs, h)
	}
	slices.Reverse(hs)
	end := first
	if len(hs) > 0 {
		end = hs[0].places[0].ID
	}
	var young []*Record
	for at := first; len(young) < maxYoung; {
		h := r.standing(at, end, false)
		if h == nil {
			break
		}
		young = append(young, h)
		at = h.places[0].ID
	}
	return append(young, hs...)
}

const maxYoung = 32

// standing returns the first peer to tell whose first position lies behind at
// and before end; settled: that is no newcomer. It is nil if there is none.
func (r *Ring) standing(at, end ID, settled bool) *Record {
	x := &r.table.index
	if x.count == 0 {
		return nil
	}
	c := x.from(at)
	for range x.count {
		e := x.get(c)
		p := e.place()
		if p.ID != at {
			if p.ID == end || at != end && !between(at, p.ID, end) {
				return nil
			}
			if m := r.table.members[p.Peer]; m != nil && p.Index == e.rec.Indexes[0] && !m.suspect && !m.narrow && !(settled && r.young(m)) {
				return m.peer
			}
		}
		c = x.next(c)
	}
	return nil
}

// young reports whether we heard of a member's coming only lately.
func (r *Ring) young(m *member) bool {
	return m.came != 0 && r.second()-m.came < uint32(youngFor/time.Second)
}

// second is the time in seconds, never 0.
func (r *Ring) second() uint32 { return max(1, uint32(r.now.Unix())) }

// lostNews gives what a peer did not take to the next one behind it. By then it may
// have been forgotten.
func (r *Ring) lostNews(to *Record, items []item) {
	if !r.wide() || r.phase != phaseMember {
		return
	}
	end := r.self.places[0].ID
	next := r.standing(to.places[0].ID, end, true)
	if next == nil {
		return
	}
	away := next.standing() - to.standing()
	for _, it := range items {
		if span := it.until - to.standing(); away < span && next != it.rec {
			r.give(it, next, it.until)
		}
	}
}

// packNews puts events into a message.
func packNews(m *Message, k *packer, items []item) {
	for _, it := range items {
		n := News{Kind: it.kind, Until: it.until}
		if it.rec == nil {
			n.At, n.Mark = it.at, it.mark
		} else if !k.add(it.rec) {
			continue
		} else {
			n.Peer = uint32(k.find(it.rec.ID))
		}
		m.News = append(m.News, n)
	}
}

// forgetNews forgets which events were passed on long ago.
func (r *Ring) forgetNews() {
	for k, at := range r.carried {
		if r.now.Sub(at) > carriedFor {
			delete(r.carried, k)
		}
	}
}
