package chord

import (
	"slices"
	"time"
)

// next picks whom to ask, or settles the lookup: the contact; the believed
// owner, which is the first ahead that lives; those before the target, who know
// better; those ahead that are suspects. A lookup that has run dry begins anew a
// few times, as the ring heals meanwhile.
func (r *Ring) next(l *lookup) (PeerID, bool) {
	if l.contact != "" && len(l.tried) == 0 {
		return l.contact, true
	}
	for {
		if to, ok := r.nextAhead(l); ok || l.told {
			return to, ok
		}
		for len(l.nearer) > 0 {
			p := l.nearer[0]
			l.nearer = l.nearer[1:]
			if p.Peer != r.self.ID && !slices.Contains(l.tried, p.Peer) {
				return p.Peer, true
			}
		}
		if to, ok := l.doubtful(r.self.ID); ok {
			return to, true
		}
		if !l.checked() || l.starts >= maxStarts {
			l.resign()
			return "", false
		}
		l.tried, l.ahead, l.vouched = slices.Clone(l.dead), nil, nil
		r.orient(l)
		if l.told {
			return "", false
		}
	}
}

// nextAhead picks the first place ahead that is to be asked, and settles the
// lookup if it finds the owner: a peer that has answered, and before which nobody
// stands, as far as somebody knows, but the dead.
func (r *Ring) nextAhead(l *lookup) (PeerID, bool) {
	doubt := false
	for i, p := range l.ahead {
		switch {
		case slices.Contains(l.dead, p.Peer):
		case p.Peer == r.self.ID || slices.Contains(l.tried, p.Peer):
			if !doubt && slices.Contains(l.vouched, p.Peer) {
				l.done, l.told = l.ahead[i:], true
			}
			return "", false
		case r.suspected(p.Peer):
			doubt = true
		default:
			return p.Peer, true
		}
	}
	return "", false
}

// resign takes the first ahead that lives for the owner, though nobody vouches
// for it: the ring has not healed while the lookup began anew again and again.
func (l *lookup) resign() {
	live := func(p Place) bool { return !slices.Contains(l.dead, p.Peer) }
	if i := slices.IndexFunc(l.ahead, live); i >= 0 && l.checked() {
		l.done, l.told = l.ahead[i:], true
	}
}

// suspected reports whether a peer failed to answer lately, or has departed.
func (r *Ring) suspected(id PeerID) bool {
	m := r.table.members[id]
	return m == nil || m.suspect
}

// doubtful picks the first ahead that was not asked yet.
func (l *lookup) doubtful(self PeerID) (PeerID, bool) {
	for _, p := range l.ahead {
		if p.Peer != self && !slices.Contains(l.tried, p.Peer) {
			return p.Peer, true
		}
	}
	return "", false
}

// answered takes the answer of a peer, which stands at the given places. It
// took rtt.
func (l *lookup) answered(from PeerID, rtt time.Duration, at []Place, done bool, nodes []Place) {
	l.waiting = false
	l.hops++
	l.path = append(l.path, Hop{Peer: from, RTT: rtt, Answered: true})
	switch {
	case done && (!l.checked() || nodes[0].Peer == from):
		l.done, l.told = nodes, true
	case done:
		l.successors(nodes)
		l.stands(at)
	default:
		l.referred(at, nodes)
		l.stands(at)
	}
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
func (l *lookup) referred(at, nodes []Place) {
	near, ok := l.first(at)
	ok = ok && slices.Contains(l.ahead, near)
	for _, p := range nodes {
		switch {
		case ok && l.precedes(p, near):
			l.follows(near, p)
		case !slices.Contains(l.tried, p.Peer) && !slices.Contains(l.nearer, p):
			l.nearer = append(l.nearer, p)
		}
	}
	slices.SortStableFunc(l.nearer, func(a, b Place) int {
		da, db := distance(a.ID, l.target), distance(b.ID, l.target)
		return da.Compare(db)
	})
	l.nearer = l.nearer[:min(len(l.nearer), maxNearer)]
}

// unanswered gives up a peer that was asked a while ago.
func (l *lookup) unanswered(from PeerID, after time.Duration) {
	l.waiting = false
	l.lost++
	l.path = append(l.path, Hop{Peer: from, RTT: after})
	l.dead = append(l.dead, from)
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
