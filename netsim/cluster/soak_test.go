package cluster_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

// One peer after the other is killed, or stopped, and started again, while
// others write and read: no acknowledged write is lost, and no read is stale.
func TestSoak(t *testing.T) {
	length := *soak
	if length == 0 {
		long(t)
		length = 8 * time.Second
	}
	c, _ := start(t, cluster.Settings{Peers: 5, Dir: t.TempDir(), Node: overlay.Config{ReplaceAfter: 2 * time.Second, RepairEvery: time.Second}})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	x := newTraffic(t, c, 4)
	began, rounds := time.Now(), 0
	for ; time.Since(began) < length; rounds++ {
		x.goOn(20)
		i := rng.IntN(5)
		t.Logf("%v: down goes %s", time.Now().Format(time.StampMilli), c.Nodes()[i].Name())
		if rng.IntN(4) == 0 {
			if err := c.Nodes()[i].Close(); err != nil {
				t.Fatal(err)
			}
		} else if err := c.Kill(i); err != nil {
			t.Fatal(err)
		}
		// Some come back before anybody has noticed, some after they were replaced.
		pause := time.NewTimer(time.Duration(rng.Int64N(int64(3 * time.Second))))
		x.goOn(20)
		<-pause.C
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := c.Restart(ctx, i)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if rng.IntN(2) == 0 {
			agree(t, c)
		}
	}
	t.Logf("%d peers killed and restarted", rounds)
	agree(t, c)
	x.goOn(20)
	x.end()
}
