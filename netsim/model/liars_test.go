package model

import (
	"testing"
	"time"
)

// Peers that lie mislead lookups that believe whoever they ask, and hardly any that do not.
func TestLiars(t *testing.T) {
	run := func(s Settings) LookupReport {
		t.Helper()
		s.Peers, s.Seed, s.Positions, s.Liars, s.Duration = 80, 1, 4, 0.2, 20*time.Second
		rep, err := Run(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		l := rep.Lookups
		t.Logf("%d liars, %d Sybils, wary %v, fingers only %v: %.4f right, %d past a silent owner, %.1f messages", rep.Liars, rep.Sybils, s.Wary, s.FingersOnly, l.Right, l.Bypassed, float64(l.Messages)/float64(l.N))
		if rep.Liars != 16 || l.N < 500 || l.Bypassed == 0 || l.Abandoned != 0 {
			t.Errorf("%+v", rep)
		}
		return l
	}
	if l := run(Settings{FingersOnly: true}); l.Right > 0.9 {
		t.Errorf("the lies mislead nobody: %.4f right", l.Right)
	}
	for _, s := range []Settings{{Wary: true}, {Wary: true, FingersOnly: true}, {Wary: true, Sybils: 20}} {
		if l := run(s); l.Right < 0.99 {
			t.Errorf("%.4f right", l.Right)
		}
	}
}

// Lookups that believe nobody alone find their way among peers that die and come, too.
func TestWary(t *testing.T) {
	for _, s := range []Settings{
		{Peers: 60, Churn: 2 * time.Minute, FingersOnly: true},
		{Peers: 60, Kill: 0.5, SuccessorPeers: 20},
	} {
		s.Seed, s.Positions, s.Wary, s.Duration = 1, 4, true, 20*time.Second
		rep, err := Run(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if l := rep.Lookups; l.N < 500 || l.Failed != 0 || l.Right < 0.995 {
			t.Errorf("%+v", l)
		}
	}
}
