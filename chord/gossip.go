package chord

import (
	"math/bits"
	"slices"
	"time"
)

// rumour is news of a peer that is passed on a bounded number of times.
type rumour struct {
	kind        EventKind // or rumourAlive
	peer        PeerID
	incarnation uint64
	seq         uint64
	left        int // times that it is still to be passed on
}

// rumourAlive is the kind of a rumour that travels as a record.
const rumourAlive EventKind = 0

const (
	maxRumours    = 1024
	rumoursInOne  = 8
	gossipFanout  = 2
	maxDoubts     = 8
	syncPause     = 250 * time.Millisecond
	doubtfulAfter = time.Second
)

// spread starts to pass news on.
func (r *Ring) spread(n rumour) {
	if !r.wide() || !r.small() || r.phase != phaseMember {
		return
	}
	n.left = 2*bits.Len(uint(r.table.count)) + 2
	if _, known := r.rumours[n.peer]; !known && len(r.rumours) >= maxRumours {
		return
	}
	r.rumours[n.peer] = &n
	if r.gossipAt.IsZero() {
		r.gossipAt = r.now.Add(gossipPause)
	}
}

// addRumours puts the freshest news into a message.
func (r *Ring) addRumours(m *Message, k *packer, to PeerID) {
	if len(r.rumours) == 0 || r.phase != phaseMember {
		return
	}
	var freshest [rumoursInOne]*rumour
	for _, n := range r.freshest(freshest[:0]) {
		if n.peer == to {
			// It knows. That still counts, or it would never be over in a ring
			// of two.
		} else if n.kind != rumourAlive {
			m.Events = append(m.Events, Event{Kind: n.kind, Peer: n.peer, Incarnation: n.incarnation, Seq: n.seq})
		} else if rec := r.record(n.peer); rec != nil && !k.add(rec) {
			continue
		}
		if n.left--; n.left <= 0 {
			delete(r.rumours, n.peer)
		}
	}
}

// freshest appends the rumours that are to be passed on most often, as many as
// news has room for.
func (r *Ring) freshest(news []*rumour) []*rumour {
	for _, n := range r.rumours {
		i := len(news)
		for i > 0 && n.fresher(news[i-1]) {
			i--
		}
		if i == cap(news) {
			continue
		}
		if len(news) == cap(news) {
			news = news[:len(news)-1]
		}
		news = slices.Insert(news, i, n)
	}
	return news
}

func (n *rumour) fresher(o *rumour) bool {
	if n.left != o.left {
		return n.left > o.left
	}
	return n.peer < o.peer
}

// gossip tells a few peers the news.
func (r *Ring) gossip() {
	r.gossipAt = time.Time{}
	if len(r.rumours) == 0 {
		return
	}
	if r.table.count == 0 {
		clear(r.rumours)
		return
	}
	for range gossipFanout {
		if id, ok := r.anyMember(); ok {
			r.ask(id)
		}
	}
	r.gossipAt = r.now.Add(gossipPause)
}

// gossipPartner asks a random peer once a round: news travel, tables are
// compared, and a dead peer that nobody watches is noticed in the end.
func (r *Ring) gossipPartner() {
	if !r.wide() {
		return
	}
	if id, ok := r.anyMember(); ok {
		r.ask(id)
	}
}

// anyMember picks an admitted peer at random, by its share of positions.
func (r *Ring) anyMember() (PeerID, bool) {
	x := &r.table.index
	if r.table.count == 0 || x.count == 0 {
		return "", false
	}
	at := x.nth(r.rng.IntN(x.count))
	for range x.count {
		id := x.get(at).rec.ID
		if id != r.self.ID && !r.table.members[id].suspect {
			return id, true
		}
		at = x.next(at)
	}
	return "", false
}

// revive asks one departed peer, now and then, whether it is back: this is how
// the halves of a ring that was split find each other.
func (r *Ring) revive() {
	var due *departed
	for id, d := range r.table.departed {
		switch {
		case r.now.Sub(d.at) > departedLimit:
			delete(r.table.departed, id)
		case d.left || r.now.Before(d.retryAt):
		case due == nil || d.retryAt.Before(due.retryAt) || d.retryAt.Equal(due.retryAt) && id < due.peer.ID:
			due = d
		}
	}
	if due != nil {
		r.retry(due)
	}
}

// events takes what others say of departures, each of which is a hint to look,
// and of suspects.
func (r *Ring) events(m *Message) {
	for _, e := range m.Events {
		if e.Kind == EventHeard {
			r.heardOf(m.From, e)
			continue
		}
		if e.Peer == r.self.ID {
			r.ask(m.From) // we live
			continue
		}
		p := r.table.members[e.Peer]
		if p == nil || p.peer.Incarnation != e.Incarnation || p.peer.Seq > e.Seq {
			continue
		}
		if r.mutant == mutantHearsay {
			r.evict(p, e.Kind)
			continue
		}
		p.met().reported = true
		if p.waiting == 0 {
			r.ask(e.Peer)
		}
	}
}
