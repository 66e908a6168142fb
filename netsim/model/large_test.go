package model

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// TestLargerThanTables has more peers than their tables hold: the ring forms, peers keep
// neighbours and fingers, lookups find the owner in a few steps, and lists are right again
// after peers have died.
func TestLargerThanTables(t *testing.T) {
	const peers, table = 80, 60
	rep := &Report{}
	x := newExperiment(chord.Config{TableSize: table}, Settings{Peers: peers, Positions: 4, Seed: 1, Lookups: 20}.withDefaults(), rep)
	if err := x.form(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.running = true
	x.nextLookup()
	x.let(t, time.Minute)
	for _, p := range draw(x.rng, x.Members(), 5) {
		x.Crash(p)
	}
	x.await(t, "right lists", spareRepairTime, func() bool { return x.census().ideal(x.successorPeers()) == nil })
	x.let(t, time.Minute)
	x.running = false
	x.let(t, 10*time.Second)
	x.close()
	if l := rep.Lookups; l.N < 1000 || l.Failed > 0 || l.WrongOwner > 0 || l.MeanHops < 1.1 || l.MeanHops > 4 {
		t.Errorf("lookups: %+v", l)
	}
	for _, p := range x.Members() {
		if n, _ := p.Ring.Sees(); n == len(x.Members()) {
			t.Errorf("%s sees all %d peers, its table is for %d", p, n, table)
		}
	}
}
