package model

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// TestSmallTable forms rings that are larger than the tables of their peers, one of which
// holds even less than the lists of a peer name: lists leave nobody out all the same, also
// after crashes, and lookups find the owners.
func TestSmallTable(t *testing.T) {
	for _, c := range []struct{ table, peers, positions int }{{20, 40, 4}, {40, 60, 8}} {
		wrong, ended := 0, 0
		w := NewWorld(chord.Config{TableSize: c.table}, 1)
		w.OnLookup = func(_ *Peer, res chord.LookupResult) {
			ended++
			if res.Err != nil || res.Owner.ID != w.owners.of(res.Target) {
				wrong++
			}
		}
		for range c.peers {
			w.Add(consecutive(c.positions))
		}
		w.Create(w.peers[0])
		for i, p := range w.peers[1:] {
			w.Join(p, w.peers[i])
			if err := w.Run(time.Second); err != nil {
				t.Fatal(err)
			}
		}
		ideal := func() bool { return w.census().ideal(8) == nil }
		w.await(t, "right lists", 2*time.Minute, ideal)
		for _, p := range w.peers[:6] {
			w.Crash(p)
		}
		w.await(t, "right lists after crashes", time.Minute, ideal)
		for i, p := range w.Members() {
			w.Lookup(p, chord.Position("key", uint32(i)))
		}
		if err := w.Run(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		if n := len(w.Members()); n != c.peers-6 || ended != n || wrong > 0 {
			t.Errorf("%d members, %d lookups, %d of them wrong", n, ended, wrong)
		}
	}
}
