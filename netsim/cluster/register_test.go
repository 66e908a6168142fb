package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/netsim/cluster/history"
	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/overlay"
)

// swappers change and read registers all the time, at peers taken at random.
type swappers struct {
	c    *cluster.Cluster
	keys []string
	h    history.Registers
	wg   sync.WaitGroup
}

// newSwappers starts n callers, which end with the context.
func newSwappers(ctx context.Context, c *cluster.Cluster, n int, keys ...string) *swappers {
	x := &swappers{c: c, keys: keys}
	for i := range n {
		x.wg.Go(func() { x.run(ctx, i) })
	}
	return x
}

func (x *swappers) run(ctx context.Context, caller int) {
	known := make(map[string]uint64)
	wait := shortest
	for n := 0; ctx.Err() == nil; n++ {
		live := x.c.Live()
		node, key := live[rand.IntN(len(live))], x.keys[rand.IntN(len(x.keys))]
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
		if rand.IntN(4) == 0 {
			if reg, err := x.h.Read(call, node, key); err == nil {
				known[key] = reg.Version
			}
		} else if reg, _ := x.h.Swap(call, node, key, known[key], fmt.Appendf(nil, "%d of %d", n, caller)); reg.Version > 0 {
			known[key] = reg.Version
		}
		// No longer than it takes here: a side that cannot answer holds nobody up for long, and
		// a machine that is slow is given the time that it needs.
		if call.Err() != nil {
			wait = min(2*wait, longest)
		} else {
			wait = shortest
		}
		cancel()
	}
}

// How long callers wait for an answer, between these two: twice as long after each that did not come.
const shortest, longest = time.Second, 16 * time.Second

// goOn waits until n more swaps were applied.
func (x *swappers) goOn(t *testing.T, n int) {
	t.Helper()
	before := x.h.Counts().Applied
	eventually(t, fmt.Sprintf("%d more swaps", n), func() error {
		if now := x.h.Counts(); now.Applied < before+n {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
}

// Whatever is killed, restarted, split and moved, what callers are told of registers is
// what single registers would tell.
func TestRegisters(t *testing.T) {
	rounds := int(*soak / (8 * time.Second))
	if rounds == 0 {
		long(t)
		rounds = 1
	}
	t.Parallel()
	ctx := t.Context()
	c, _ := start(t, cluster.Settings{
		Peers:   5,
		Dir:     t.TempDir(),
		Network: &simnet.Settings{Latency: 2 * time.Millisecond, Jitter: 4 * time.Millisecond, Loss: 0.01, Seed: 3},
		Node:    overlay.Config{ReplaceAfter: time.Second, RepairEvery: time.Second},
	})
	running, stop := context.WithCancel(ctx)
	x := newSwappers(running, c, 4, "a", "b/c", "d")
	defer x.wg.Wait()
	defer stop()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	x.goOn(t, 10)
	for range rounds {
		order := rng.Perm(5)
		c.Network().Partition(order[:3], order[3:])
		x.goOn(t, 10)
		c.Network().Heal()
		x.goOn(t, 10)
		down := order[0]
		if err := c.Kill(down); err != nil {
			t.Fatal(err)
		}
		// Some come back before anybody has noticed, some after they were replaced.
		back := time.NewTimer(time.Duration(rng.Int64N(int64(3 * time.Second))))
		x.goOn(t, 10)
		<-back.C
		if _, err := c.Restart(ctx, down); err != nil {
			t.Fatal(err)
		}
		x.goOn(t, 10)
	}
	stop()
	x.wg.Wait()
	agree(t, c)
	for _, node := range c.Live() {
		for _, key := range x.keys {
			for err := errors.New("not read"); err != nil && ctx.Err() == nil; {
				_, err = x.h.Read(ctx, node, key)
			}
		}
	}
	t.Logf("%+v", x.h.Counts())
	if err := x.h.Check(time.Minute); err != nil {
		t.Error(err)
	}
}
