package chord

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIntervalsTile checks that every distance lies in the interval of its ordinal and in no
// other.
func TestIntervalsTile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := newTestRing(t, 0, 3)
	for range 2000 {
		id := r.anchor.ID
		for power := range 256 {
			if power < 8+rng.IntN(248) && rng.IntN(2) == 0 {
				id = plusPow2(id, power)
			}
		}
		want := ordinal(distance(r.anchor.ID, id))
		for _, k := range []int{want - 2, want - 1, want, want + 1, want + 2} {
			if k >= 0 && k < 500 && r.inInterval(k, Place{ID: id}) != (k == want) {
				t.Fatalf("%s of ordinal %d lies in interval %d: %v", distance(r.anchor.ID, id).Short(), want, k, k != want)
			}
		}
	}
	for k, of := range []string{"3/4", "1/2", "3/8", "1/4"} {
		if from, _ := r.interval(k); ordinal(distance(r.anchor.ID, from)) != k {
			t.Errorf("%s of the circle is not where interval %d begins", of, k)
		}
	}
}

// slowLeading is leading, by looking at everybody.
func (r *Ring) slowLeading(target ID, n int) []step {
	var ss []step
	for id, m := range r.table.members {
		if !r.table.trusted(id) {
			continue
		}
		best := step{reach: -1}
		for _, p := range m.peer.places {
			if reach := r.reach(p, target); best.reach < 0 || reach < best.reach {
				best = step{p, reach}
			}
		}
		ss = append(ss, best)
	}
	slices.SortFunc(ss, byReach)
	return ss[:min(n, len(ss))]
}

func TestLeading(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		r := newTestRing(t, 0, 1+rng.IntN(8))
		r.cfg.TableSize = -1
		r.Create(start)
		for i := range 1 + rng.IntN(60) {
			m := r.table.insert(completed(testPeer(1+i, 1+rng.IntN(8))))
			if rng.IntN(8) > 0 {
				r.table.admit(m)
			}
			m.met().suspect = rng.IntN(8) == 0
		}
		r.spanned([]float64{1, 0.1, 0.01, 0.0001}[rng.IntN(4)])
		for _, n := range []int{1, 4, maxNearer} {
			target := HashID([]byte{byte(rng.Uint32()), byte(rng.Uint32())})
			got, want := r.leading(target, n), r.slowLeading(target, n)
			if !slices.Equal(got, want) {
				t.Fatalf("those who lead to %s: %v, want %v", target.Short(), got, want)
			}
		}
	}
}

// TestFingersWantAnchors asks a member for the successors of a target once for a finger and
// once for a lookup.
func TestFingersWantAnchors(t *testing.T) {
	r := newTestRing(t, 0, 1)
	r.Create(start)
	s := r.slots[0]
	s.list = nil
	for i := range 6 {
		rec := completed(testPeer(1+i, 4))
		r.table.admit(r.table.insert(rec))
		s.list = append(s.list, rec.places[(i+1)%4]) // one anchor, the last but two
	}
	slices.SortFunc(s.list, func(a, b Place) int { return distance(s.ID, a.ID).Compare(distance(s.ID, b.ID)) })
	anchor := slices.IndexFunc(s.list, r.anchored)
	if anchor == 0 {
		t.Fatal("the anchor is the first anyway")
	}
	for _, c := range []struct {
		anchors bool
		want    Place
	}{{false, s.list[0]}, {true, s.list[anchor]}} {
		var k packer
		f := r.find(&Message{Member: true, Most: fewNodes, Anchors: c.anchors}, plusPow2(s.ID, 0), &k)
		if !f.Done || len(f.Nodes) != fewNodes {
			t.Fatalf("%+v", f)
		}
		if rec := k.peers[f.Nodes[0].Peer]; rec.ID != c.want.Peer || f.Nodes[0].Index != c.want.Index {
			t.Errorf("with anchors first %v: %s %d, want %v", c.anchors, rec.ID, f.Nodes[0].Index, c.want)
		}
	}
	l := &lookup{target: plusPow2(s.ID, 250), finger: 3}
	r.lookups[1] = l
	for _, all := range []bool{true, false} {
		var m Message
		r.packFinds(&m, "p1", &outgoing{finds: []uint64{1, 2}[:len(r.lookups)]})
		if m.Anchors != all {
			t.Errorf("%d lookups, all for fingers %v: wants anchors %v", len(m.Finds), all, m.Anchors)
		}
		r.lookups[2] = &lookup{target: l.target}
	}
}
