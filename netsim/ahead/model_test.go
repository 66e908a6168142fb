package ahead_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/model"
)

// TestModel has several goroutines run the cores of a ring. It is here, and not with the
// model, for the race detector, which sees what they share.
func TestModel(t *testing.T) {
	procs := runtime.GOMAXPROCS(4)
	t.Cleanup(func() { runtime.GOMAXPROCS(procs) })
	for _, fingers := range []bool{true, false} {
		rep, err := model.Run(t.Context(), model.Settings{
			Peers: 500, Positions: 2, Formed: true, FingersOnly: fingers, Kill: 0.05, Liars: 0.05, Wary: true,
			Duration: time.Second, Lookups: 200, Seed: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if rep.Lookups.N < 50 || rep.Lookups.WrongOwner > 0 {
			t.Errorf("%+v", rep.Lookups)
		}
	}
}
