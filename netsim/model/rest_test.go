package model

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// TestRest leaves a large ring in peace until its slots rest, and then stops peers
// without any evidence: lists are right again nearly as soon as if nobody had rested,
// which takes 17.4 s with tables and 21.4 s without, in the mean.
func TestRest(t *testing.T) {
	for _, c := range []struct {
		name  string
		table int
	}{{"tables", 0}, {"fingers", -1}} {
		t.Run(c.name, func(t *testing.T) {
			const deaths = 6
			x := &experiment{
				World: NewWorld(chord.Config{TableSize: c.table}, 1),
				s:     Settings{Peers: 60, FingersOnly: c.table < 0}.withDefaults(), rep: &Report{},
			}
			x.Net.Evidence = false
			if err := x.form(t.Context()); err != nil {
				t.Fatal(err)
			}
			var healing time.Duration
			for range deaths {
				x.let(t, 2*time.Minute)
				sent := x.Messages
				x.let(t, time.Minute)
				if rate := float64(x.Messages-sent) / 60 / float64(len(x.owners.members)); rate > 1.5 {
					t.Errorf("a peer at rest sends %.2f messages a second", rate)
				}
				x.Crash(x.pick(1)[0])
				at := x.Now()
				x.await(t, "right lists", spareRepairTime, func() bool { return x.census().ideal(x.successorPeers()) == nil })
				healing += x.Now() - at
			}
			t.Logf("lists are right after %v in the mean", healing/deaths)
			if healing > deaths*24*time.Second {
				t.Errorf("lists are right only after %v in the mean", healing/deaths)
			}
		})
	}
}

func (x *experiment) let(t *testing.T, d time.Duration) {
	t.Helper()
	if err := x.World.Run(d); err != nil {
		t.Fatal(err)
	}
}
