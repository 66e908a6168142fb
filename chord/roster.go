package chord

import (
	"slices"
	"time"
)

// Roster lists the peers of a ring that stands, so that a simulation of many peers
// can begin with one instead of having each of them join. It shares what it works out
// with the rings that stand by it.
type Roster struct {
	records []*Record
	index   positions
}

// NewRoster returns a list of nobody.
func NewRoster() *Roster { return &Roster{index: newPositions()} }

// Choose returns what NewIndexes chooses for a peer that knows all of the list.
func (o *Roster) Choose(id PeerID, k int) []uint32 {
	return NewIndexes(&View{self: id, places: o.index, roll: roll{index{count: len(o.records)}}}, id, k)
}

// Add puts in a peer that is not there.
func (o *Roster) Add(p Peer) {
	rec := completed(p)
	o.records = append(o.records, rec)
	o.index.addAll(rec)
}

// Stand makes the peer, which is listed, a member of the ring of those in the list: with
// the lists and predecessors that it has at rest there, and with a table of all of
// them or, where it keeps none of so many, one of its neighbours and fingers. All others of
// the ring are to stand by the same list.
func (r *Ring) Stand(now time.Time, o *Roster) Output {
	r.begin(now)
	r.phase = phaseMember
	r.result.Joined = true
	t := r.table
	r.self = o.index.get(o.index.from(r.slots[0].ID)).rec // the same, shared
	if len(o.records) <= r.cfg.TableSize {
		t.index = positions{o.index.freeze()}
		for _, rec := range o.records {
			t.toggle(rec)
			if rec.ID != r.self.ID {
				m := t.stand(rec)
				t.filed[rec.part] = append(t.filed[rec.part], m)
			}
		}
		r.filled = true
	} else {
		t.enter(r.self)
	}
	for _, s := range r.slots {
		r.standAt(s, o)
	}
	if !r.filled {
		r.standFingers(o)
	}
	r.roundAt = r.now.Add(time.Duration(r.rng.Int64N(int64(r.pace(r.cfg.Calm)))))
	r.stabiliseAt, r.lastRound = r.roundAt, r.now
	r.revision++
	return r.finish()
}

// stand adds a record that is true.
func (t *table) stand(rec *Record) *member {
	m := &member{peer: rec, contact: &stranger, admitted: true}
	t.members[rec.ID] = m
	t.count++
	return m
}

// knows makes sure that the table holds a record of the list.
func (r *Ring) knows(rec *Record) {
	if rec.ID == r.self.ID || r.table.members[rec.ID] != nil {
		return
	}
	r.table.file(r.table.stand(rec))
}

// standAt gives a slot the neighbours that the list says.
func (r *Ring) standAt(s *slot, o *Roster) {
	x := &o.index
	at := x.from(s.ID)
	if p := x.get(x.prev(at)); p.place().ID != s.ID {
		r.knows(p.rec)
		pred := *p.place()
		s.pred = &pred
	}
	var named []PeerID
	for at = x.next(at); len(named) < r.cfg.SuccessorPeers; at = x.next(at) {
		e := x.get(at)
		p := e.place()
		if p.ID == s.ID {
			break
		}
		r.knows(e.rec)
		if s.list = append(s.list, *p); p.Peer != r.self.ID && !slices.Contains(named, p.Peer) {
			named = append(named, p.Peer)
		}
	}
	if len(s.list) == 0 {
		s.list = r.normal(s, nil)
	}
}

// standFingers takes the fingers that lookups would find.
func (r *Ring) standFingers(o *Roster) {
	for k := range r.fingerCount() {
		if r.skips(k) {
			continue
		}
		from, _ := r.interval(k)
		var f finger
		var late finger // no anchors
		for _, e := range o.following(from, r.cfg.SuccessorPeers) {
			switch p := *e.place(); {
			case !r.inInterval(k, p) || p.Peer == r.self.ID:
			case e.rec.anchor() == p || r.cfg.Classic:
				f = append(f, p)
			default:
				late = append(late, p)
			}
		}
		f = append(f, late...)
		f = slices.Clone(f[:min(len(f), fewNodes)])
		for _, p := range f {
			r.knows(o.index.get(o.index.from(p.ID)).rec)
		}
		*r.fingerAt(k) = f
	}
}

// following returns the first places of n peers at or after id.
func (o *Roster) following(id ID, n int) []*entry {
	var es []*entry
	at := o.index.from(id)
	for range o.index.count {
		e := o.index.get(at)
		at = o.index.next(at)
		if !slices.ContainsFunc(es, func(q *entry) bool { return q.rec == e.rec }) {
			if es = append(es, e); len(es) == n {
				break
			}
		}
	}
	return es
}
