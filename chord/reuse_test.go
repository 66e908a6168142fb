package chord

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestMemberAgainstMap compares member, which remembers whom it returned, with the map, while
// members come, go and come back with other records.
func TestMemberAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	x := newTable("self")
	for range 20_000 {
		id := PeerID(fmt.Sprintf("p%d", rng.IntN(90)))
		m := x.members[id]
		switch {
		case rng.IntN(3) > 0:
		case m != nil:
			x.remove(m)
		case rng.IntN(2) == 0:
			x.insert(completed(Peer{ID: id, Seq: 1, Indexes: []uint32{0}}))
		default:
			x.file(x.stand(completed(Peer{ID: id, Seq: 1, Indexes: []uint32{0}})))
		}
		if got := x.member(id); got != x.members[id] {
			t.Fatalf("%s: %p is not %p", id, got, x.members[id])
		}
	}
	for _, short := range []PeerID{"", "a", "ab"} {
		if x.member(short) != nil {
			t.Errorf("%q is nobody", short)
		}
	}
}

// TestReuse sees that what is used again is empty, and that little is kept.
func TestReuse(t *testing.T) {
	var u reuse
	for range 2 * maxReuse {
		w := wanted{slot: &slot{}, place: Place{Peer: "a"}, base: answer{answered: answered{list: []Place{{}}}}}
		u.keep(&request{req: 7, to: "a", wants: []wanted{w}, finds: []uint64{1}, told: true})
	}
	if len(u.requests) != maxReuse {
		t.Fatalf("%d requests are kept, want %d", len(u.requests), maxReuse)
	}
	o := u.out()
	if len(o.wants) != 0 || cap(o.wants) == 0 {
		t.Errorf("wants of %d, room for %d", len(o.wants), cap(o.wants))
	}
	for _, w := range o.wants[:cap(o.wants)] {
		if w.slot != nil || w.place.Peer != "" || w.base.list != nil {
			t.Errorf("left of an earlier request: %+v", w)
		}
	}
	if p := u.out(); cap(p.wants) > 0 && &p.wants[:1][0] == &o.wants[:1][0] {
		t.Error("two share the wants of one request")
	}
	o.meet, o.finds = true, []uint64{1}
	u.done(o)
	if p := u.out(); p.meet || p.finds != nil || p.wants != nil {
		t.Errorf("left of an earlier call: %+v", p)
	}
}
