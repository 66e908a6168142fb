package model

import (
	"testing"
	"time"
)

// TestProximity compares fingers and hops that round trips decide with those
// that positions alone decide, in a ring over two regions.
func TestProximity(t *testing.T) {
	var reports [2]LookupReport
	for i, classic := range []bool{false, true} {
		rep, err := Run(t.Context(), Settings{
			Peers: 64, Seed: 1, Positions: 1, SuccessorPeers: 4, FingersOnly: true, Classic: classic,
			MinDelay: 5 * time.Millisecond, MaxDelay: 10 * time.Millisecond, Regions: 2, RegionDelay: 75 * time.Millisecond,
			Duration: 60 * time.Second, Lookups: 20,
		})
		if err != nil {
			t.Fatal(err)
		}
		reports[i] = rep.Lookups
		t.Logf("classic %v: %.0f ms, %.2f hops, %d hedges, %d wrong", classic, rep.Lookups.MeanMS, rep.Lookups.MeanHops, rep.Lookups.Hedges, rep.Lookups.WrongOwner)
	}
	if near, far := reports[0], reports[1]; near.MeanMS > 0.95*far.MeanMS {
		t.Errorf("lookups take %.0f ms, and %.0f ms without a look at round trips", near.MeanMS, far.MeanMS)
	}
}
