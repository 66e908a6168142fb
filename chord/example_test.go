package chord_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// Two cores whose driver is a loop that hands messages over at once.
func Example() {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rings := make(map[chord.PeerID]*chord.Ring)
	for i, id := range []chord.PeerID{"ada", "bob"} {
		self := chord.Peer{ID: id, Incarnation: 1, Seq: 1, Weight: 100, Indexes: chord.NewIndexes(chord.NewView(id, nil), id, 4)}
		r, err := chord.New(chord.Config{}, self, rand.New(rand.NewPCG(1, uint64(i))))
		if err != nil {
			fmt.Println(err)
			return
		}
		rings[id] = r
	}
	queue := append(rings["ada"].Create(now).Messages, rings["bob"].Join(now, []chord.PeerID{"ada"}).Messages...)
	for end := now.Add(2 * time.Second); now.Before(end); now = now.Add(10 * time.Millisecond) {
		for len(queue) > 0 {
			m := queue[0]
			queue = append(queue[1:], rings[m.To].Step(now, m).Messages...)
		}
		for _, id := range []chord.PeerID{"ada", "bob"} {
			if !now.Before(rings[id].Deadline()) {
				queue = append(queue, rings[id].Tick(now).Messages...)
			}
		}
	}
	a, b := rings["ada"].View(), rings["bob"].View()
	fmt.Println(a.Len(), "peers, agreed:", a.Digest() == b.Digest())
	key := chord.HashID([]byte("photos/7"))
	fmt.Println(len(b.Successors(key, 3)), "holders, the first is the owner:", b.Successors(key, 3)[0].ID == a.Owner(key).ID)
	// Output:
	// 2 peers, agreed: true
	// 2 holders, the first is the owner: true
}
