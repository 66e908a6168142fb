package chord

import (
	"slices"
	"testing"
	"time"
)

// TestJoinStartsAnewWhereAListIsEmpty lets the peer that a joiner has found for one of
// its positions go while it still looks for the place of the other: what is left is
// no list, and above all not that of a ring of one, which would skip everybody.
func TestJoinStartsAnewWhereAListIsEmpty(t *testing.T) {
	for _, goes := range []bool{false, true} {
		r := newTestRing(t, 0, 2)
		r.Join(start, []PeerID{"p1"})
		r.begin(start)
		one, two := completed(testPeer(1, 1)), completed(testPeer(2, 1))
		r.table.admit(r.insert(one))
		r.table.admit(r.insert(two))
		for i, rec := range []*Record{one, two} {
			r.foundSuccessor(r.slots[i], rec.places, nil)
		}
		r.learnt(r.slots[0], one.places[0], answer{of: one.places[0].ID})
		if goes {
			r.evict(r.table.members[one.ID], EventLeft)
		}
		r.learnt(r.slots[1], two.places[0], answer{of: two.places[0].ID})
		if r.Member() == goes {
			t.Errorf("the first successor goes: %v, a member: %v, with %v", goes, r.Member(), r.slots[0].list)
		}
		r.finish()
	}
}

// TestRecordsOfBasesAreKept fills a ring without a table while a state is asked for
// that may be told as what is new in another one: the records of that one stay.
func TestRecordsOfBasesAreKept(t *testing.T) {
	r, _ := newFingerRing(t, false, 16)
	r.begin(start)
	asked, named := completed(testPeer(1, 1)), completed(testPeer(2, 1))
	s := r.slots[0]
	s.last = answer{of: asked.places[0].ID, digest: 7, answered: answered{list: slices.Clone(named.places)}}
	r.want(s, asked.places[0])
	r.finish()
	s.last = answer{}
	r.begin(start)
	r.makeRoom(len(r.table.members))
	if r.record(named.ID) == nil {
		t.Error("the record of a peer that the answer may refer to was forgotten")
	}
	if n := len(r.table.members); n > 2 {
		t.Errorf("%d members are left", n)
	}
	r.finish()
}

// TestJoinFromAfar lets a peer join whose round trips take longer than the first time-out:
// attempts that are given up too soon are followed by ones that are given more time.
func TestJoinFromAfar(t *testing.T) {
	p := newPair(t)
	r := newTestRing(t, 2, 4)
	oneWay := r.cfg.FirstTimeout * 7 / 10
	type parcel struct {
		at time.Time
		m  Message
	}
	var under []parcel
	post := func(ms []Message) {
		for _, m := range ms {
			at := p.now
			if m.From == "p2" || m.To == "p2" {
				at = at.Add(oneWay)
			}
			under = append(under, parcel{at, m})
		}
	}
	p.rings["p2"] = r
	post(r.Join(p.now, []PeerID{"p0", "p1"}).Messages)
	for end := p.now.Add(30 * time.Second); r.phase != phaseMember; p.now = p.now.Add(10 * time.Millisecond) {
		if p.now.After(end) {
			t.Fatalf("no member after 30 s and %d attempts", r.Stats().Joins)
		}
		for {
			i := slices.IndexFunc(under, func(l parcel) bool { return !l.at.After(p.now) })
			if i < 0 {
				break
			}
			m := under[i].m
			under = slices.Delete(under, i, i+1)
			post(p.rings[m.To].Step(p.now, m).Messages)
		}
		for _, id := range []PeerID{"p0", "p1", "p2"} {
			if r := p.rings[id]; !r.Deadline().IsZero() && !p.now.Before(r.Deadline()) {
				post(r.Tick(p.now).Messages)
			}
		}
	}
}
