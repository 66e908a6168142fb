package model

import (
	"encoding/json"
	"testing"
	"time"
)

// TestHalfKilled kills half of the peers at once, which a list of 20 survives:
// no lookup fails or names a peer that does not own the target, from the moment of
// the crash on.
func TestHalfKilled(t *testing.T) {
	rep, err := Run(t.Context(), Settings{
		Peers: 60, Seed: 2, Positions: 4, SuccessorPeers: 20, Kill: 0.5, Duration: 20 * time.Second, Lookups: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(rep)
	t.Logf("%s", b)
	l := rep.Lookups
	if l.N < 1500 || l.Failed != 0 || l.WrongOwner != 0 || float64(l.Timeouts) > 2.5*float64(l.N) {
		t.Errorf("lookups: %+v", l)
	}
	if rep.HealS < 0 || rep.HealS > 20 || rep.Violations != 0 {
		t.Errorf("healed in %v s, %d violations", rep.HealS, rep.Violations)
	}
}
