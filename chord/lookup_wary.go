package chord

import "slices"

// A wary lookup believes nobody alone. A peer can stand only where its identity says, and
// only who lives answers; so what a liar can do is to leave out peers, and to name dead
// ones. The owner is therefore the first peer behind the target that answers, whatever it
// says itself, and the lookup only has to hear of it from somebody: it goes several ways,
// which begin at different peers that we know ourselves and never meet, each until the
// nearest peers before the target that it knows have answered. (Baumgart and Mies: "S/Kademlia",
// ICPADS 2007, has such disjoint paths.)
const (
	wayCount = 4 // ways of a lookup, if the table does not hold the whole ring
	wayWidth = 2 // peers nearest to the target of each way that must have answered
)

// way is one of the ways of a lookup: peers before the target, nearest first. Each belongs
// to the way that first heard of it.
type way []Place

// wary reports whether a lookup is to believe nobody alone.
func (r *Ring) wary(l *lookup) bool { return r.cfg.Wary && l.checked() && !l.told }

// spread begins the ways of a lookup, with places before the target, nearest first.
func (l *lookup) spread(places []Place) {
	l.ways = make([]way, wayCount)
	l.placed = nil
	for i, p := range places {
		l.placed = append(l.placed, p.Peer)
		l.ways[i%wayCount] = append(l.ways[i%wayCount], p)
	}
}

// nextWary picks whom a wary lookup asks next, or settles it: when all ways have ended and
// nobody who may live stands before the first behind the target that has answered.
func (r *Ring) nextWary(l *lookup) (PeerID, bool) {
	if len(l.asked) == 0 && !l.news {
		if r.anew(l); l.told {
			return "", false
		}
	}
	if len(l.asked) >= maxWary {
		return "", false
	}
	owner := -1
	for i, p := range l.ahead {
		if p.Peer == r.self.ID || slices.Contains(l.heard, p.Peer) {
			owner = i
			break
		}
		if !l.knows(p.Peer) {
			return p.Peer, true
		}
	}
	for _, w := range l.ways {
		if p, ok := l.along(w); ok {
			return p, true
		}
	}
	if owner < 0 || len(l.asked) > 0 {
		return "", false
	}
	l.done, l.told = l.ahead[owner:], true
	return "", false
}

// maxWary bounds the requests of a wary lookup that are under way at once.
const maxWary = 2 * wayCount

// along picks whom to ask next on a way; nobody while an answer on it is awaited, or when it
// has ended.
func (l *lookup) along(w way) (PeerID, bool) {
	answered := 0
	for _, p := range w {
		switch {
		case slices.Contains(l.asked, p.Peer):
			return "", false
		case slices.Contains(l.heard, p.Peer):
			if answered++; answered == wayWidth {
				return "", false
			}
		case !slices.Contains(l.missed, p.Peer):
			return p.Peer, true
		}
	}
	return "", false
}

// takeWary takes the answer of a peer, which stands at the given places. Whom it names may
// stand behind the target or before it; which of both, their places say.
func (l *lookup) takeWary(from PeerID, at, nodes []Place) {
	if p, ok := l.first(at); ok {
		l.add(p)
	}
	mine := slices.IndexFunc(l.ways, func(w way) bool {
		return slices.ContainsFunc(w, func(p Place) bool { return p.Peer == from })
	})
	for _, p := range nodes {
		before, behind := distance(p.ID, l.target), distance(l.target, p.ID)
		if behind.Compare(before) <= 0 {
			l.add(p)
			continue
		}
		if mine < 0 || slices.Contains(l.placed, p.Peer) {
			continue
		}
		l.placed = append(l.placed, p.Peer)
		i, _ := slices.BinarySearchFunc(l.ways[mine], p, func(a, b Place) int {
			da, db := distance(a.ID, l.target), distance(b.ID, l.target)
			return da.Compare(db)
		})
		l.ways[mine] = slices.Insert(l.ways[mine], i, p)
		l.ways[mine] = l.ways[mine][:min(len(l.ways[mine]), maxNearer)]
	}
}
