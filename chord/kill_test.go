package chord_test

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/netsim/model"
)

// TestHalfKilled kills every other peer of rings at once. Those who are to pass the news
// of it on have died as well, and still all hear of all deaths, or find out.
func TestHalfKilled(t *testing.T) {
	const n, within = 120, 30 * time.Second
	for seed := uint64(1); seed <= 3; seed++ {
		w := model.NewWorld(chord.Config{VerifyPeers: 8, SmallRing: -1, SuccessorPeers: 16}, seed)
		for range n {
			w.Add([]uint32{0, 1, 2, 3})
		}
		w.Stand(w.Peers())
		if err := w.Run(30 * time.Second); err != nil {
			t.Fatal(err)
		}
		for i, p := range w.Rand().Perm(n) {
			if i < n/2 {
				w.Crash(w.Peers()[p])
			}
		}
		began := w.Now()
		if ok, err := w.RunUntil(2*time.Minute, time.Second, func() bool { return w.Agreed() && w.Converged() == nil }); !ok {
			t.Errorf("seed %d: not whole 2 minutes later: %v, %v", seed, w.Converged(), err)
		} else if took := w.Now() - began; took > within {
			t.Errorf("seed %d: whole after %v", seed, took)
		}
		t.Logf("seed %d: whole after %v", seed, w.Now()-began)
	}
}
