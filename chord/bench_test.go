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
