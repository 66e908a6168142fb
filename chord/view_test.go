package chord

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// slowSuccessors is the obvious twin of View.Successors: every position, sorted
// by its distance from id.
func slowSuccessors(peers []Peer, id ID, n int) []PeerID {
	type at struct {
		d    ID
		peer PeerID
	}
	var all []at
	for i := range peers {
		for _, pos := range peers[i].Positions() {
			all = append(all, at{distance(id, pos), peers[i].ID})
		}
	}
	slices.SortFunc(all, func(a, b at) int { return a.d.Compare(b.d) })
	var ids []PeerID
	for _, a := range all {
		if len(ids) < n && !slices.Contains(ids, a.peer) {
			ids = append(ids, a.peer)
		}
	}
	return ids
}

func TestViewAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var peers []Peer
		for i := range rapid.IntRange(1, 12).Draw(t, "peers") {
			peers = append(peers, testPeer(i, rapid.IntRange(1, 5).Draw(t, "positions")))
		}
		v := NewView("p0", peers)
		id := HashID([]byte(rapid.String().Draw(t, "key")))
		if rapid.Bool().Draw(t, "exact") {
			id = peers[0].Positions()[0]
		}
		n := rapid.IntRange(0, 14).Draw(t, "n")
		var got []PeerID
		for _, p := range v.Successors(id, n) {
			got = append(got, p.ID)
		}
		if want := slowSuccessors(peers, id, n); !slices.Equal(got, want) {
			t.Fatalf("Successors(%s, %d) = %v, want %v", id.Short(), n, got, want)
		}
		if got, want := v.Owner(id).ID, slowSuccessors(peers, id, 1)[0]; got != want {
			t.Fatalf("Owner = %s, want %s", got, want)
		}
		sum := 0.0
		for _, p := range v.Peers() {
			sum += v.Owns(p.ID)
			inArc := slices.ContainsFunc(v.Arcs(p.ID), func(a Arc) bool { return a.Contains(id) })
			if inArc != (v.Owner(id).ID == p.ID) {
				t.Fatalf("arcs of %s and Owner disagree", p.ID)
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("shares add up to %v", sum)
		}
	})
}

func TestEmptyView(t *testing.T) {
	v := newTestRing(t, 0, 2).View()
	if v.Len() != 0 || v.Owner(ID{}).ID != "" || v.Successors(ID{}, 3) != nil || v.Owns("p0") != 0 {
		t.Fatal("a peer that has not joined sees a ring")
	}
}

func TestNewIndexesBalance(t *testing.T) {
	for _, c := range []struct {
		positions int
		most      float64 // largest share over the mean
	}{{1, 5}, {8, 1.9}, {32, 1.6}} {
		var peers []Peer
		for i := range 100 {
			p := Peer{ID: PeerID(fmt.Sprintf("peer-%d", i)), Seq: 1}
			p.Indexes = NewIndexes(NewView("", peers), p.ID, c.positions)
			if err := p.validate(); err != nil {
				t.Fatal(err)
			}
			peers = append(peers, p)
		}
		v := NewView("", peers)
		most := 0.0
		for _, p := range peers {
			most = max(most, v.Owns(p.ID)*float64(len(peers)))
		}
		t.Logf("%d positions: largest share %.2f of the mean", c.positions, most)
		if most > c.most {
			t.Errorf("%d positions: largest share %.2f of the mean, want at most %.2f", c.positions, most, c.most)
		}
	}
}

func TestIDArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "a"))
		b := ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "b"))
		k := rapid.IntRange(0, 255).Draw(t, "k")
		if d := distance(a, plusPow2(a, k)); d != plusPow2(ID{}, k) {
			t.Fatalf("a + 2^%d lies %s from a", k, d)
		}
		if a != b && between(a, b, a) != true {
			t.Fatal("b is not on the circle from a to a")
		}
		if x := plusPow2(a, k); between(a, x, b) == between(b, x, a) && x != a && x != b && a != b {
			t.Fatal("a position lies in both halves of the circle, or in neither")
		}
		if back, err := ParseID(a.String()); err != nil || back != a {
			t.Fatalf("ParseID(%s) = %s, %v", a, back, err)
		}
	})
}
