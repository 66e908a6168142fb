package model

import (
	"encoding/json"
	"testing"
	"time"
)

func TestRunLookups(t *testing.T) {
	rep, err := Run(t.Context(), Settings{Peers: 40, Seed: 1, Positions: 4, Duration: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(rep)
	t.Logf("%s", b)
	l := rep.Lookups
	if l.N < 500 || l.Failed != 0 || l.WrongOwner != 0 || l.OneHop < 0.995 {
		t.Errorf("lookups in a calm ring: %+v", l)
	}
}

func TestRunRepeats(t *testing.T) {
	s := Settings{Peers: 20, Seed: 7, Positions: 2, Churn: 20 * time.Second, Loss: 0.02, Duration: 20 * time.Second}
	a, err := Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	a.WallS, a.RSSMiB, b.WallS, b.RSSMiB = 0, 0, 0, 0
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	if string(x) != string(y) {
		t.Errorf("one seed, two runs:\n%s\n%s", x, y)
	}
}

func TestSplitHeals(t *testing.T) {
	for _, c := range []struct{ peers, rings int }{{24, 2}, {40, 4}} {
		rep, err := Run(t.Context(), Settings{
			Peers: c.peers, Rings: c.rings, Seed: 3, Positions: 4, Lookups: 5,
			Split: 2 * time.Minute, Churn: 20 * time.Minute, Duration: 3 * time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d rings: healed in %.1f s with %.0f KB a peer", c.rings, rep.HealS, rep.HealBytes/1000)
		if rep.HealS < 0 || rep.HealS > 30 {
			t.Errorf("%d rings healed in %v s", c.rings, rep.HealS)
		}
		if rep.WrongHealed != 0 {
			t.Errorf("%d lookups named a wrong owner after that", rep.WrongHealed)
		}
	}
}

func TestFingersOnly(t *testing.T) {
	rep, err := Run(t.Context(), Settings{Peers: 64, Seed: 1, Positions: 2, FingersOnly: true, Duration: 60 * time.Second, Lookups: 20})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(rep)
	t.Logf("%s", b)
	if l := rep.Lookups; l.Failed != 0 || l.WrongOwner != 0 || l.MeanHops > 5 {
		t.Errorf("lookups by fingers: %+v", l)
	}
}

// TestKeysSpread has peers join one after another: they choose their positions as well
// as if each knew all before it, which is far better than chance.
func TestKeysSpread(t *testing.T) {
	var load [2]float64
	for i, formed := range []bool{false, true} {
		rep, err := Run(t.Context(), Settings{Peers: 24, Seed: 1, Keys: 20_000, Formed: formed, PlainChord: formed})
		if err != nil {
			t.Fatal(err)
		}
		load[i] = rep.LoadMax
		if rep.PlainChord != nil && rep.LoadMax > rep.PlainChord.LoadMax {
			t.Errorf("the fullest peer holds %.2f of the mean, in plain Chord %.2f", rep.LoadMax, rep.PlainChord.LoadMax)
		}
	}
	if load[0] != load[1] {
		t.Errorf("the fullest peer holds %.3f of the mean, by exact knowledge %.3f", load[0], load[1])
	}
}
