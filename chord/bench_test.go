package chord

import (
	"fmt"
	"testing"
)

func BenchmarkViewSuccessors(b *testing.B) {
	for _, n := range []int{5, 100, 1000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			var peers []Peer
			for i := range n {
				peers = append(peers, testPeer(i, 8))
			}
			v := NewView("p0", peers)
			id := HashID([]byte("key"))
			for b.Loop() {
				id[0]++
				if len(v.Successors(id, 3)) != 3 {
					b.Fatal("too few")
				}
			}
		})
	}
}

// BenchmarkStep answers the question of a calm round: a neighbour asks for a
// state that has not changed.
func BenchmarkStep(b *testing.B) {
	p := newPair(b)
	r := p.rings["p0"]
	ask := lastAsk(b, p)
	for b.Loop() {
		ask.Req++
		if out := r.Step(p.now, ask); out.Refused != nil || len(out.Messages) == 0 {
			b.Fatal(out.Refused)
		}
	}
}

// BenchmarkTable takes a peer into a table and out of it again, and takes a view
// in between.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{100, 4000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			t := newTable("self")
			for i := range n {
				t.admit(t.insert(completed(testPeer(i, 8))))
			}
			self, more := completed(testPeer(n, 8)), completed(testPeer(n+1, 8))
			for b.Loop() {
				m := t.insert(more)
				t.admit(m)
				if t.view(self, true).Len() == 0 {
					b.Fatal("empty view")
				}
				t.remove(m)
			}
		})
	}
}
