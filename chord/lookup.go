package chord

import (
	"errors"
	"slices"
	"time"
)

// ErrLookup reports a lookup of which no peer knew the end.
var ErrLookup = errors.New("no peer knows the owner")

// ErrBusy reports that too many lookups are under way.
var ErrBusy = errors.New("too many lookups under way")

// LookupResult is the end of a lookup.
type LookupResult struct {
	ID     uint64 // as Lookup returned it
	Target ID
	// Owner is the owner of the target, which has answered, and Nodes the
	// distinct peers from there onward, the owner first.
	Owner    Peer
	OwnerAt  ID // the owner's position
	Nodes    []Peer
	Hops     int   // answers that it took, 0 if this peer knew
	Timeouts int   // requests that were given up
	Requests int   // that were made in all
	Hedges   int   // of them, those made because an answer was late
	Path     []Hop // those whose requests ended before the lookup did, in that order
	Err      error
}

// Hop is one request of a lookup.
type Hop struct {
	Peer     PeerID
	RTT      time.Duration // until the answer, or until it was waited for no longer
	Answered bool          // with something that the lookup could use
}

// lookup is an iterative search for the successors of a target.
type lookup struct {
	id      uint64
	target  ID
	join    *slot  // for a position of our own that wants to join
	unify   bool   // for a position of our own, in another part of the ring
	sounds  bool   // it is to find out whether there is another part
	contact PeerID // whom to ask first, if not those that we know
	finger  int    // 1 + ordinal of the finger that it is for; 0: none
	word    *Event // what those who are asked are told

	ahead   []Place   // at or behind the target, nearest first: the first that lives is its owner
	nearer  []step    // before the target, those that lead to it soonest first
	heard   []PeerID  // those that answered since it last began
	missed  []PeerID  // those that did not, once for each time
	vouched []PeerID  // of whom somebody said that only those ahead of them come before
	named   []PeerID  // of whom somebody said that they come before another one
	asked   []PeerID  // those whose answer is awaited
	lateAt  time.Time // when to ask another one beside them, or to begin anew; zero: not
	news    bool      // something came in since the last step
	closest float64   // the shortest reach of those that answered
	futile  int       // answers in a row that came from nobody nearer
	ways    []way     // of a wary lookup; nil of another
	placed  []PeerID  // those who are on one of them
	starts  int       // how often it began, first and anew
	asks    int       // requests so far
	hedges  int       // of them, those made because another one was late
	hops    int
	path    []Hop
	done    []Place
	told    bool // done is final
}

// checked reports whether the owner must have answered. A lookup of our own
// purposes need not know: whoever uses what it found asks it anyway.
func (l *lookup) checked() bool {
	return l.join == nil && !l.unify && l.finger == 0 && l.word == nil
}

const (
	maxAsks    = 64 // requests that a lookup makes at most
	maxNearer  = 16
	maxHopless = 3
	maxFutile  = 4 // answers in a row of peers that stand no nearer
	maxStarts  = 7
	startPause = 100 * time.Millisecond // before it begins anew; doubles
)

// Lookup starts a search for the owner of target, whose result comes in an
// Output with the returned number, perhaps in this one. Where View is complete,
// View.Owner usually answers as well.
func (r *Ring) Lookup(now time.Time, target ID) (uint64, Output) {
	r.begin(now)
	l := &lookup{target: target}
	if r.phase != phaseMember || len(r.lookups) >= maxLookups {
		r.nextLook++
		l.id = r.nextLook
		err := ErrLookup
		if r.phase == phaseMember {
			err = ErrBusy
		}
		r.result.Lookups = append(r.result.Lookups, LookupResult{ID: l.id, Target: target, Err: err})
		return l.id, r.finish()
	}
	r.startLookup(l)
	return l.id, r.finish()
}

func (r *Ring) startLookup(l *lookup) {
	r.nextLook++
	l.id = r.nextLook
	r.lookups[l.id] = l
	l.news = true
	if l.contact == "" {
		r.orient(l)
	}
}

// orient takes what this peer knows itself.
func (r *Ring) orient(l *lookup) {
	l.starts++
	nodes, ok := r.local(l.target)
	switch {
	case ok && (!l.checked() || nodes[0].Peer == r.self.ID):
		l.done, l.told = nodes, true
		return
	case ok:
		l.successors(nodes)
		if r.wary(l) {
			l.ways = []way{}
		}
		return // nobody stands nearer before it than we do
	case r.complete():
		l.ahead = r.following(l.target, maxHopless)
		if at, pred, ok := r.before(l.target); ok {
			l.follows(at, pred)
		}
		if r.wary(l) {
			l.ways = []way{} // nobody can hide from a whole table who stands where
			return
		}
	}
	if r.wary(l) {
		l.spread(r.preceding(l.target, maxNearer))
		return
	}
	l.nearer = r.approach(l)
}

// advanceLookups lets every lookup that has something to do take its next step.
func (r *Ring) advanceLookups() {
	if len(r.lookups) == 0 {
		return
	}
	ids := make([]uint64, 0, len(r.lookups))
	for id, l := range r.lookups {
		if l.news || !l.lateAt.IsZero() && !r.now.Before(l.lateAt) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if l := r.lookups[id]; l != nil {
			r.advance(l)
		}
	}
}

// advance asks whoever is to be asked next, or ends the lookup.
func (r *Ring) advance(l *lookup) {
	to, ok := PeerID(""), false
	if !l.told {
		if l.ways != nil {
			to, ok = r.nextWary(l)
		} else {
			to, ok = r.next(l)
		}
	}
	l.news = false
	switch {
	case l.told:
		r.end(l, nil)
	case ok && l.asks < maxAsks:
		asked := len(l.asked)
		r.request(l, to)
		if l.ways != nil && len(l.asked) > asked {
			r.advance(l) // on the other ways
		}
	case len(l.asked) > 0:
		if !r.now.Before(l.lateAt) {
			l.lateAt = time.Time{} // nobody else is left to ask
		}
	case r.detour(l):
	case !l.checked() || l.starts >= maxStarts || l.asks >= maxAsks:
		r.resign(l)
	default:
		r.delay(l, startPause<<(l.starts-1))
	}
}

// detour lets a joiner's lookup that has nobody else to ask go on through one that
// was heard of by another, and reports whether there is one.
func (r *Ring) detour(l *lookup) bool {
	if l.join == nil || l.asks >= maxAsks {
		return false
	}
	l.starts++
	l.nearer = r.approach(l)
	to, ok := r.nextNearer(l)
	if ok {
		r.request(l, to)
	}
	return ok
}

// request asks a peer for the target.
func (r *Ring) request(l *lookup, to PeerID) {
	o := r.ask(to)
	if len(o.finds) >= maxFinds {
		l.news = true // it waits for a message with room
		return
	}
	if len(l.asked) > 0 && l.ways == nil {
		l.hedges++
	}
	l.asks++
	l.asked = append(l.asked, to)
	o.finds = append(o.finds, l.id)
	o.meet = o.meet || l.unify && !l.sounds
	if l.word != nil {
		o.words, o.introduce = append(o.words, *l.word), true
	}
	r.delay(l, r.patience(l, to))
}

// end takes a lookup out and tells who waits for it.
func (r *Ring) end(l *lookup, err error) {
	delete(r.lookups, l.id)
	nodes := r.living(l)
	if err == nil && len(nodes) == 0 {
		err = ErrLookup
	}
	switch {
	case l.join != nil:
		r.foundSuccessor(l.join, l.done, err)
	case l.unify:
		r.unified(l, nodes)
	case l.finger > 0:
		r.fixedFinger(l.finger-1, nodes)
	case l.word != nil:
	default:
		r.result.Lookups = append(r.result.Lookups, r.outcome(l, nodes, err))
	}
}

// living returns what a lookup found, without those who departed as far as we
// know.
func (r *Ring) living(l *lookup) []Place {
	var ps []Place
	for _, p := range l.done {
		if r.record(p.Peer) != nil && (slices.Contains(l.heard, p.Peer) || !slices.Contains(l.missed, p.Peer)) {
			ps = append(ps, p)
		}
	}
	return ps
}

// outcome puts the end of a lookup in words.
func (r *Ring) outcome(l *lookup, nodes []Place, err error) LookupResult {
	res := LookupResult{
		ID: l.id, Target: l.target, Hops: l.hops, Timeouts: len(l.missed), Requests: l.asks, Hedges: l.hedges, Path: l.path, Err: err,
	}
	for i, p := range nodes {
		rec := r.record(p.Peer)
		if i == 0 {
			res.Owner, res.OwnerAt = rec.Peer, p.ID
		}
		if !slices.ContainsFunc(res.Nodes, func(q Peer) bool { return q.ID == p.Peer }) {
			res.Nodes = append(res.Nodes, rec.Peer)
		}
	}
	return res
}

// local answers a target that our own lists cover.
func (r *Ring) local(target ID) ([]Place, bool) {
	for _, s := range r.slots {
		if target != s.ID && (s.pred == nil || !between(s.pred.ID, target, s.ID)) {
			continue
		}
		if _, found := r.intruder(target, s.Place); !found {
			return append([]Place{s.Place}, s.list...), true
		}
	}
	return r.behind(target)
}

// behind answers a target that lies between an own position and its successor.
func (r *Ring) behind(target ID) ([]Place, bool) {
	for _, s := range r.slots {
		h := s.head()
		if target == h.ID || between(s.ID, target, h.ID) {
			if h == s.Place {
				return []Place{h}, true
			}
			return s.list, true
		}
	}
	return nil, false
}

// find answers a target that m asks for, by no more nodes than it wants. One that
// wants to join there needs the list of who stands before the target.
func (r *Ring) find(m *Message, target ID, k *packer) Found {
	about := r.local
	if !m.Member && r.mutant != mutantOwnersWord {
		about = r.behind
	}
	limit := maxFound
	if m.Most > 0 {
		limit = min(int(m.Most), maxFound)
	}
	nodes, done := about(target)
	if !done {
		nodes, limit = r.referral(target, limit), maxReferal
		if !m.Member {
			r.assure(nodes[:min(len(nodes), limit)])
		}
	}
	if done && m.Anchors {
		nodes = r.anchorsFirst(nodes)
	}
	var f Found
	for _, p := range nodes[:min(len(nodes), limit)] {
		if p.Peer == r.self.ID && m.Member && m.Know == r.self.mark() {
			f.Nodes = append(f.Nodes, Ref{Known, p.Index})
			continue
		}
		rec := r.record(p.Peer)
		if rec == nil || !k.add(rec) {
			break
		}
		f.Nodes = append(f.Nodes, k.ref(p))
	}
	f.Done = done && len(f.Nodes) > 0
	return f
}

// assure asks those of places from whom nothing came for some time whether they live. A
// joiner that is referred to them may know nobody else to ask: if they are dead, it gets in
// only once we know.
func (r *Ring) assure(places []Place) {
	for _, p := range places {
		if m := r.table.members[p.Peer]; m != nil && m.waiting == 0 && r.now.Sub(m.heard) >= doubtfulAfter {
			r.ask(p.Peer)
		}
	}
}

// referral returns who may know more of a target: who leads there soonest, or, for who
// wants more than one, those right before it, and who is known to stand between it and us.
func (r *Ring) referral(target ID, limit int) []Place {
	if limit < 3 {
		for _, s := range r.leading(target, 1) {
			return []Place{s.Place}
		}
		return nil
	}
	nodes := r.preceding(target, min(limit, maxReferal)-1)
	if _, pred, ok := r.before(target); ok {
		nodes = append(nodes, pred)
	}
	return nodes
}

// preceding returns up to n places of distinct trusted peers before the
// target, nearest first.
func (r *Ring) preceding(target ID, n int) []Place {
	x := &r.table.index
	if x.count == 0 {
		return nil
	}
	return r.pick(n, x.prev(x.from(target)), x.prev)
}

// following returns up to n places of distinct trusted peers at or after the
// target, nearest first.
func (r *Ring) following(target ID, n int) []Place {
	x := &r.table.index
	return r.pick(n, x.from(target), x.next)
}

func (r *Ring) pick(n int, at cursor, next func(cursor) cursor) []Place {
	var ps []Place
	for range r.table.index.count {
		p := r.table.index.get(at).place()
		at = next(at)
		if p.Peer != r.self.ID && r.table.trusted(p.Peer) &&
			!slices.ContainsFunc(ps, func(q Place) bool { return q.Peer == p.Peer }) {
			if ps = append(ps, *p); len(ps) == n {
				break
			}
		}
	}
	return ps
}

// pin names the peers that a lookup may end with or still ask.
func (l *lookup) pin(pin func(PeerID)) {
	for _, p := range l.ahead {
		pin(p.Peer)
	}
	for _, s := range l.nearer {
		pin(s.Peer)
	}
	for _, w := range l.ways {
		for _, p := range w {
			pin(p.Peer)
		}
	}
	for _, id := range l.heard {
		pin(id)
	}
}
