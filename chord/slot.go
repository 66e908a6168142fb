package chord

import "slices"

// slot is the ring state of one own position: Zave's prdc and succList.
type slot struct {
	pace // first: every round looks at it
	Place
	pred *Place // nil: unknown
	// list holds the positions that follow, clockwise, our own among them. It
	// runs until it names r distinct other peers, or wraps round the circle.
	list []Place

	asking []ID   // positions whose state was asked for and has not come
	last   answer // the newest state of the head, so that an unchanged one need not travel

	digest   uint32 // of pred and list as of digestAt; 0: not computed yet
	digestAt stamp
	copiedAt stamp // list is what came of last then

	told     [toldStates]told
	nextTold int
	watcher  PeerID // who last asked as the predecessor
	watched  uint32 // digest of the state that it then heard, or was told since
	owed     int    // rounds, and one, since it was to be told and has not asked; 0: it has

	joining []Place // while joining: nodes that may be the successor, nearest first
}

// pace says when a slot asks its successor.
type pace struct {
	quiet  int  // rounds since something changed
	spared int  // rounds that it may leave out, as its successor has told it something
	hasty  bool // it is to ask its successor soon
	news   bool // it changed since it was told of

	turnAt stamp
	leader *member // the peer of the head as of turnAt; nil if it is unknown
	turn   int     // the head is one of the peer's positions, in the order of its indexes,
	turns  int     // and asked in one of so many rounds while the slot rests
	taken  int64   // the turn in which it last was
	alone  stamp   // of lists and the table's index, when nobody stood between the slot and its head
}

// answer is the state of a position as its peer told it.
type answer struct {
	of      ID
	digest  uint32
	serial  uint64 // numbers the answers; an unchanged one keeps its number
	version version
	answered
}

// version orders the answers of one life of a peer, which its record's Seq
// names: it grows with each change.
type version struct{ life, change uint64 }

// overtaken reports whether w is known to be newer than v.
func (v version) overtaken(w version) bool { return v.life == w.life && v.change < w.change }

// entries returns the list with the predecessor behind it.
func (a *answered) entries() []Place {
	if a.pred.Peer == "" {
		return a.list
	}
	return append(a.list[:len(a.list):len(a.list)], a.pred)
}

// names reports whether the state names a peer.
func (a *answered) names(id PeerID) bool {
	return a.pred.Peer == id || slices.ContainsFunc(a.list, func(p Place) bool { return p.Peer == id })
}

// head returns the first successor: the slot's own place if it is alone.
func (s *slot) head() Place {
	if len(s.list) == 0 {
		return s.Place
	}
	return s.list[0]
}

// similar returns places that the list of a new successor is likely to name.
func (s *slot) similar() []Place {
	switch {
	case len(s.list) > 0:
		return s.list
	case len(s.joining) > 0:
		return s.joining
	default:
		return s.last.list
	}
}

// normal turns seq, places clockwise from s as somebody told them, into a
// successor list: unknown and departed peers dropped, own positions put in as far
// as seq reaches, cut where it names enough peers or wraps. A list of nobody is
// that of a ring of one.
func (r *Ring) normal(s *slot, seq []Place) []Place {
	list := make([]Place, 0, len(seq)+len(r.slots))
	last := s.ID
	whole := len(seq) == 0
	for _, p := range seq {
		if !between(last, p.ID, s.ID) {
			whole = true
			break
		}
		last = p.ID
		if p.Peer != r.self.ID && r.table.holds(p) {
			list = append(list, p)
		}
	}
	for _, own := range r.slots {
		if own != s && (whole || own.ID == last || between(s.ID, own.ID, last)) {
			list = append(list, own.Place)
		}
	}
	slices.SortFunc(list, func(a, b Place) int {
		da, db := distance(s.ID, a.ID), distance(s.ID, b.ID)
		return da.Compare(db)
	})
	return r.cut(list)
}

// cut ends the list where it has named r distinct other peers.
func (r *Ring) cut(list []Place) []Place {
	var named []PeerID
	for i, p := range list {
		if p.Peer != r.self.ID && !slices.Contains(named, p.Peer) {
			named = append(named, p.Peer)
		}
		if len(named) == r.cfg.SuccessorPeers {
			return list[:i+1]
		}
	}
	return list
}

// setList takes a new list and reports whether it differs.
func (r *Ring) setList(s *slot, list []Place) bool {
	if slices.Equal(s.list, list) {
		return false
	}
	before := s.head()
	r.count(s.list, list)
	s.list = list
	if s.head() != before {
		r.hasten(s)
		r.rouse(s)
	}
	r.news(s)
	return true
}

// count counts the entries that are new in a list.
func (r *Ring) count(old, list []Place) {
	if r.reuniting() {
		return // they were in the ring before
	}
	for _, p := range list {
		if len(old) > 0 && p.Peer != r.self.ID && !slices.Contains(old, p) {
			r.budget.listed++
		}
	}
}

// setPred takes a new predecessor.
func (r *Ring) setPred(s *slot, p Place) {
	if s.pred != nil && *s.pred == p {
		return
	}
	s.pred = &p
	r.news(s)
}
