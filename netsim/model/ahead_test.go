package model

import (
	"encoding/json"
	"testing"
	"time"
)

// TestAheadChangesNothing compares runs in which one goroutine does all with such in which
// others call the cores ahead of their turn: the reports, with every count of messages
// and bytes, are the same.
func TestAheadChangesNothing(t *testing.T) {
	const brief = 4 * time.Second
	for name, s := range map[string]Settings{
		"fingers":  {Peers: 300, Formed: true, FingersOnly: true, Duration: brief, Lookups: 200},
		"tables":   {Peers: 60, Formed: true, Duration: 2 * brief, Lookups: 200, Kill: 0.3},
		"churn":    {Peers: 60, Formed: true, Duration: 4 * brief, Churn: 20 * time.Second, Loss: 0.02},
		"split":    {Peers: 60, Formed: true, Duration: 4 * brief, Split: 2 * brief, Rings: 2, FingersOnly: true},
		"liars":    {Peers: 60, Formed: true, Duration: brief, Liars: 0.2, Wary: true},
		"joining":  {Peers: 30, Positions: 3, Duration: brief, Regions: 3, RegionDelay: 20 * time.Millisecond},
		"no delay": {Peers: 40, Formed: true, Duration: brief, MinDelay: 1, MaxDelay: time.Millisecond, Loss: 0.01},
	} {
		t.Run(name, func(t *testing.T) {
			var reports [2]string
			for i, helpers := range []int{1, 3} {
				s.Seed, s.helpers = 11, helpers
				rep, err := Run(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				rep.WallS, rep.RSSMiB = 0, 0
				b, _ := json.Marshal(rep)
				reports[i] = string(b)
			}
			if reports[0] != reports[1] {
				t.Errorf("one goroutine, and three:\n%s\n%s", reports[0], reports[1])
			}
		})
	}
}

// TestAheadLeavesNothing sees that whoever is called ahead has its turn: pauses and stops
// of peers fall between turns, and a run that ends leaves no turn behind.
func TestAheadLeavesNothing(t *testing.T) {
	states := func(helpers int) (all string) {
		x := &experiment{s: Settings{Peers: 50, Positions: 2, FingersOnly: true}, World: NewWorld(chordConfig(Settings{FingersOnly: true}), 5)}
		x.helpers = helpers
		x.stand()
		for i := range 20 {
			x.Pause(x.peers[i], time.Duration(i)*7*time.Millisecond)
			x.Crash(x.peers[49-i])
			if err := x.World.Run(313 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
			for _, p := range x.peers {
				if p.ahead {
					t.Fatalf("%s is ahead after a run", p)
				}
			}
		}
		for _, p := range x.Members() {
			b, _ := json.Marshal(p.Ring.Neighbours())
			all += string(b)
		}
		b, _ := json.Marshal([]uint64{x.Messages, x.Bytes, x.Lost, x.rng.Uint64()})
		return all + string(b)
	}
	if one, three := states(1), states(3); one != three {
		t.Errorf("one goroutine, and three:\n%s\n%s", one, three)
	}
}
