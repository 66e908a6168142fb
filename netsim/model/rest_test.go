package model

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// TestRest leaves a large ring in peace until its slots rest, and then stops peers
// without any evidence: lists are right again nearly as soon as if nobody had rested,
// which takes 20.2 s with tables and 22.0 s without, in the mean.
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

// TestRestHearsLate loses all words of what has changed for a while, in a ring at rest of
// peers with many positions: whoever was to hear is reminded, long before its turn to ask
// comes, which takes three minutes.
func TestRestHearsLate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*experiment)
	}{
		{"join", func(x *experiment) { x.Join(x.newcomer(), x.pick(1)...) }},
		{"crash", func(x *experiment) { x.Crash(x.pick(1)[0]) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := stood(t, 60, 32, -1)
			x.let(t, 2*time.Minute)
			lost := 0
			x.Tamper = func(_ *Peer, m *chord.Message) bool {
				if m.Kind == chord.KindTell {
					lost++
				}
				return m.Kind != chord.KindTell
			}
			c.change(x)
			x.let(t, 10*time.Second)
			x.Tamper = nil
			if lost == 0 {
				t.Error("nobody was told anything")
			}
			x.await(t, "right lists", time.Minute, func() bool { return x.census().ideal(x.successorPeers()) == nil })
		})
	}
}

func (x *experiment) let(t *testing.T, d time.Duration) {
	t.Helper()
	if err := x.World.Run(d); err != nil {
		t.Fatal(err)
	}
}
