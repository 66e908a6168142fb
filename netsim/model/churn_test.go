package model

import (
	"testing"
	"time"
)

// TestChurnCosts lets peers come and go, with sessions of two minutes in the mean:
// lookups find the owners all the same, and maintenance costs no more than it does today: 2,275
// and 1,020 bytes a second.
func TestChurnCosts(t *testing.T) {
	if testing.Short() {
		t.Skip("a few seconds")
	}
	for _, c := range []struct {
		name    string
		fingers bool
		most    float64 // bytes a second that a peer sends
	}{{"tables", false, 2400}, {"fingers", true, 1150}} {
		t.Run(c.name, func(t *testing.T) {
			rep, err := Run(t.Context(), Settings{
				Peers: 100, Seed: 1, FingersOnly: c.fingers, Churn: 2 * time.Minute, Duration: time.Minute, Lookups: 10,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.0f bytes a second, %+v", rep.BytesPerPeerS, rep.Lookups)
			if rep.BytesPerPeerS > c.most {
				t.Errorf("a peer sends %.0f bytes a second, want at most %.0f", rep.BytesPerPeerS, c.most)
			}
			if l := rep.Lookups; l.Failed > 0 || l.WrongOwner*1000 > l.N {
				t.Errorf("%d of %d lookups failed, %d named a wrong owner", l.Failed, l.N, l.WrongOwner)
			}
		})
	}
}
