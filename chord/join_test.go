package chord

import (
	"slices"
	"testing"
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
