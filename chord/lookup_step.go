package chord

import (
	"slices"
	"time"
)

// maxAsked bounds the requests of one lookup that are under way at once.
const maxAsked = 3

// next picks whom to ask, or settles the lookup: the contact; the believed
// owner, which is the first ahead that lives; those before the target, who know
// better; those ahead that are suspects. While an answer is awaited it picks
// somebody only if that answer is late, or another one has led further.
func (r *Ring) next(l *lookup) (PeerID, bool) {
	if l.contact != "" && l.asks == 0 {
		return l.contact, true
	}
	if len(l.asked) == 0 && !l.news {
		if r.anew(l); l.told {
			return "", false
		}
	}
	late := l.lateBy(r.now)
	to, doubt, wait := r.nextAhead(l, late)
	near, ok := r.nextNearer(l)
	ok = ok && (l.futile < maxFutile || !l.checked())
	switch {
	case l.told || wait || len(l.asked) >= maxAsked:
		return "", false
	case to != "" && (!late || !ok || l.hedges%2 == 1):
		return to, true
	case ok && late:
		return near, true // the target's predecessor knows whether the owner lives
	case ok && (len(l.asked) == 0 || l.leads(near)):
		return near, true
	case len(l.asked) == 0 && doubt != "":
		return doubt, true
	default:
		return "", false
	}
}

// anew lets a lookup that knew nobody else to ask begin anew. What did not
// answer is still held against those peers.
func (r *Ring) anew(l *lookup) {
	l.ahead, l.nearer, l.heard, l.vouched, l.named = nil, nil, nil, nil, nil
	l.futile = 0
	r.orient(l)
}

// nextAhead picks the first place ahead that is to be asked, and settles the
// lookup if it finds the owner: a peer that has answered, and before which nobody
// stands, as far as somebody knows, but the dead. It picks a peer in doubt, one
// that failed to answer before, if nothing else keeps the lookup from its end;
// otherwise it returns it apart. wait: what is missing is under way.
func (r *Ring) nextAhead(l *lookup, late bool) (to, doubt PeerID, wait bool) {
	under := false
	for i, p := range l.ahead {
		switch missed := l.misses(p.Peer); {
		case p.Peer == r.self.ID || slices.Contains(l.heard, p.Peer):
			switch {
			case !slices.Contains(l.vouched, p.Peer):
				return "", doubt, under && !late
			case under:
				return "", doubt, true
			case doubt != "":
				return doubt, doubt, false
			}
			l.done, l.told = l.ahead[i:], true
			return "", "", false
		case missed > 1 || missed > 0 && r.table.members[p.Peer] == nil:
		case slices.Contains(l.asked, p.Peer):
			under = under || !l.overtaken(p.Peer)
		case missed > 0 || r.suspected(p.Peer):
			if doubt == "" {
				doubt = p.Peer
			}
		case under && !late:
			return "", doubt, true
		default:
			return p.Peer, doubt, false
		}
	}
	return "", doubt, under && !late
}

// nextNearer picks who is to be asked of those before the target that were not:
// the one that should lead to the owner soonest. Each request that its way is longer than
// the shortest costs a usual round trip, which a short one to that peer may be worth; but
// not where the last answer came from nobody nearer, lest all that do so come first.
func (r *Ring) nextNearer(l *lookup) (PeerID, bool) {
	best, least := PeerID(""), 0.0
	seen := 0
	for _, p := range l.nearer {
		if p.Peer == r.self.ID || l.knows(p.Peer) {
			continue
		}
		if r.cfg.Classic || l.futile > 0 {
			return p.Peer, true
		}
		cost := float64(r.roundTrip(p.Peer)) + float64(r.usual.smooth)*p.reach
		if seen == 0 || cost < least {
			best, least = p.Peer, cost
		}
		if seen++; seen == maxChoice {
			break
		}
	}
	return best, best != ""
}

// maxChoice bounds the peers before the target between which round trips decide.
const maxChoice = 6

// knows reports whether a peer was asked, since the lookup last began or
// without an answer.
func (l *lookup) knows(id PeerID) bool {
	return slices.Contains(l.asked, id) || slices.Contains(l.heard, id) || slices.Contains(l.missed, id)
}

// misses returns how often a peer did not answer this lookup.
func (l *lookup) misses(id PeerID) (n int) {
	for _, m := range l.missed {
		if m == id {
			n++
		}
	}
	return n
}

// lateBy reports whether the answer to the newest request is late.
func (l *lookup) lateBy(now time.Time) bool {
	return len(l.asked) > 0 && !l.lateAt.IsZero() && !now.Before(l.lateAt)
}

// overtaken reports whether a peer whose answer is late needs not be waited
// for: somebody vouches for those behind it, and nobody who answered knows it.
func (l *lookup) overtaken(id PeerID) bool {
	return l.hedges > 0 && len(l.vouched) > 0 && !slices.Contains(l.vouched, id) && !slices.Contains(l.named, id)
}

// leads reports whether a peer before the target leads there sooner than all whose
// answer is awaited.
func (l *lookup) leads(id PeerID) bool {
	asked := func(p Place) bool { return slices.Contains(l.asked, p.Peer) }
	if slices.ContainsFunc(l.ahead, asked) {
		return false
	}
	first := slices.IndexFunc(l.nearer, func(s step) bool { return asked(s.Place) })
	return first < 0 || slices.IndexFunc(l.nearer, func(s step) bool { return s.Peer == id }) < first
}

// resign ends a lookup that knows nobody else to ask: with the first ahead
// that has answered, though nobody vouches for it, as the ring has not healed
// while the lookup began anew again and again; or with an error.
func (r *Ring) resign(l *lookup) {
	heard := func(p Place) bool { return slices.Contains(l.heard, p.Peer) }
	if i := slices.IndexFunc(l.ahead, heard); i >= 0 && l.checked() {
		l.done = l.ahead[i:]
		r.end(l, nil)
		return
	}
	r.end(l, ErrLookup)
}

// suspected reports whether a peer failed to answer lately, or has departed.
func (r *Ring) suspected(id PeerID) bool {
	m := r.table.members[id]
	return m == nil || m.suspect
}

// answered takes the answer of a peer, which stands at the given places. It
// took rtt.
func (r *Ring) answered(l *lookup, from PeerID, rtt time.Duration, at []Place, done bool, nodes []Place) {
	l.ended(from)
	l.hops++
	if r.nears(l, at) {
		l.futile = 0
	} else {
		l.futile++
	}
	l.heard = append(l.heard, from)
	l.path = append(l.path, Hop{Peer: from, RTT: rtt, Answered: true})
	switch {
	case l.ways != nil:
		l.takeWary(from, at, nodes)
	case done && (!l.checked() || nodes[0].Peer == from):
		l.done, l.told = nodes, true
	case done:
		l.successors(nodes)
		l.stands(at)
	default:
		r.referred(l, at, nodes)
		l.stands(at)
	}
}

// nears notes the shortest reach of a peer's places, and reports whether nobody who answered
// before has one as short.
func (r *Ring) nears(l *lookup, at []Place) bool {
	nearer := len(l.heard) == 0
	for i, p := range at {
		if reach := r.wayFrom(l, p); nearer && i == 0 || reach < l.closest {
			l.closest, nearer = reach, true
		}
	}
	return nearer
}

// stands files the first place of a peer that has answered ahead, if it lies
// before others that are: they are not the owner, whatever others say.
func (l *lookup) stands(at []Place) {
	if near, ok := l.first(at); ok && len(l.ahead) > 0 && l.precedes(near, l.ahead[len(l.ahead)-1]) {
		l.add(near)
	}
}

// referred takes the nodes that a peer named which does not know the owner. If
// it was believed to be the owner, one of them may stand between it and the target.
func (r *Ring) referred(l *lookup, at, nodes []Place) {
	near, ok := l.first(at)
	ok = ok && slices.Contains(l.ahead, near)
	for _, p := range nodes {
		switch {
		case ok && l.precedes(p, near):
			l.follows(near, p)
		case !l.knows(p.Peer) && !slices.ContainsFunc(l.nearer, func(s step) bool { return s.Place == p }):
			l.nearer = append(l.nearer, step{p, r.wayFrom(l, p)})
		}
	}
	l.nearer = slices.DeleteFunc(l.nearer, func(s step) bool { return l.knows(s.Peer) && !slices.Contains(l.asked, s.Peer) })
	slices.SortStableFunc(l.nearer, byReach)
	l.nearer = l.nearer[:min(len(l.nearer), maxNearer)]
}

// unanswered gives up a peer that was asked a while ago.
func (l *lookup) unanswered(from PeerID, after time.Duration) {
	l.ended(from)
	l.missed = append(l.missed, from)
	l.path = append(l.path, Hop{Peer: from, RTT: after})
}

// ended takes a peer off those whose answer is awaited.
func (l *lookup) ended(from PeerID) {
	l.news = true
	if i := slices.Index(l.asked, from); i >= 0 {
		l.asked = slices.Delete(l.asked, i, i+1)
	}
}

// successors takes the list of the target's predecessor.
func (l *lookup) successors(nodes []Place) {
	for _, p := range nodes {
		l.add(p)
		if !slices.Contains(l.vouched, p.Peer) {
			l.vouched = append(l.vouched, p.Peer)
		}
	}
}

// follows takes the word of the peer at p that pred comes before it. That is
// not to vouch for it: if pred is dead, others that live may stand before pred.
func (l *lookup) follows(p, pred Place) {
	l.add(p)
	l.add(pred)
	l.named = append(l.named, pred.Peer)
}

// add files a place ahead.
func (l *lookup) add(p Place) {
	i, known := slices.BinarySearchFunc(l.ahead, p, func(a, b Place) int {
		da, db := distance(l.target, a.ID), distance(l.target, b.ID)
		return da.Compare(db)
	})
	if known {
		return
	}
	l.ahead = slices.Insert(l.ahead, i, p)
	l.ahead = l.ahead[:min(len(l.ahead), maxFound)]
}

// precedes reports whether a lies between the target and b.
func (l *lookup) precedes(a, b Place) bool {
	da, db := distance(l.target, a.ID), distance(l.target, b.ID)
	return da.Compare(db) < 0
}

// first returns the first of the places from the target on.
func (l *lookup) first(at []Place) (Place, bool) {
	if len(at) == 0 {
		return Place{}, false
	}
	first := at[0]
	for _, p := range at[1:] {
		if l.precedes(p, first) {
			first = p
		}
	}
	return first, true
}

// before returns our first position from the target on and who stands right
// before it, if that lies in between: the target is not ours while that one lives.
func (r *Ring) before(target ID) (at, pred Place, ok bool) {
	l := lookup{target: target}
	first := r.slots[0]
	for _, s := range r.slots[1:] {
		if l.precedes(s.Place, first.Place) {
			first = s
		}
	}
	at = first.Place
	if pred, ok = r.intruder(target, at); !ok && first.pred != nil {
		pred, ok = *first.pred, l.precedes(*first.pred, at)
	}
	return at, pred, ok
}

// intruder returns the first trusted place of another peer between the target
// and a position of our own. While the ring heals the predecessor may not know of it.
func (r *Ring) intruder(target ID, at Place) (Place, bool) {
	l := lookup{target: target}
	x := &r.table.index
	i := x.from(target)
	for range x.count {
		p := x.get(i).place()
		i = x.next(i)
		if !l.precedes(*p, at) {
			break
		}
		if p.Peer != r.self.ID && r.table.trusted(p.Peer) {
			return *p, true
		}
	}
	return Place{}, false
}
