package chord

import (
	"math"
	"math/rand/v2"
	"testing"
)

// record returns the record of a peer that is listed.
func (o *Roster) record(id PeerID) *Record {
	return o.index.get(o.index.from(Position(id, 0))).rec
}

// TestHops looks keys up in a ring at rest without tables, of peers with several positions.
// Where fingers begin at crowded positions, or lead to others than those where fingers begin,
// it takes more than half of log2 N requests.
func TestHops(t *testing.T) {
	if testing.Short() {
		t.Skip("stands a thousand peers of a ring of 20,000")
	}
	const peers, positions, looks = 20_000, 8, 200
	o := NewRoster()
	for i := range peers {
		o.Add(testPeer(i, positions))
	}
	rings := make(map[PeerID]*Ring)
	ring := func(id PeerID) *Ring { // only those that are asked need to stand
		r := rings[id]
		if r == nil {
			rec := o.record(id)
			var err error
			if r, err = New(Config{TableSize: -1}, rec.Peer, rand.New(rand.NewPCG(1, 2))); err != nil {
				t.Fatal(err)
			}
			r.Stand(start, o)
			rings[id] = r
		}
		return r
	}
	rng := rand.New(rand.NewPCG(5, 6))
	hops := 0
	for range looks {
		at := ring(o.records[rng.IntN(peers)].ID)
		target := HashID([]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())})
		_, out := at.Lookup(start, target)
		for len(out.Lookups) == 0 {
			if len(out.Messages) != 1 {
				t.Fatalf("a lookup asks %d peers at a time", len(out.Messages))
			}
			m := out.Messages[0]
			for _, reply := range ring(m.To).Step(start, m).Messages {
				if reply.To == at.self.ID {
					out = at.Step(start, reply)
				}
			}
		}
		res := out.Lookups[0]
		if owner := o.index.get(o.index.from(target)).rec.ID; res.Err != nil || res.Owner.ID != owner {
			t.Fatalf("found %s, %v, want %s", res.Owner.ID, res.Err, owner)
		}
		hops += res.Hops
	}
	mean, most := float64(hops)/looks, math.Log2(peers)/2
	t.Logf("%.2f hops, half of log2 N: %.2f", mean, most)
	if mean > most {
		t.Errorf("%.2f hops, want at most %.2f", mean, most)
	}
}
