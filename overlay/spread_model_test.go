package overlay

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// How soon all of 1,000 peers know a decree is computed from the rules of spread, round by round
// in virtual time, with calls that are lost: told by whoever learns it to a few, and compared
// with a random peer by each now and then.
func TestSpreadReachesAll(t *testing.T) {
	const peers, latency, runs = 1000, 100 * time.Millisecond, 40
	for _, loss := range []float64{0, 0.1, 0.3} {
		worst, messages := time.Duration(0), 0
		for seed := range uint64(runs) {
			took, sent := spreadOver(rand.New(rand.NewPCG(seed, 1)), peers, latency, loss)
			worst, messages = max(worst, took), messages+sent
		}
		t.Logf("%.0f%% of calls lost: all of %d peers know after %v at most, in %d runs; %d calls tell of it, on average", loss*100, peers, worst, runs, messages/runs)
		if worst > time.Minute {
			t.Errorf("%.0f%% of calls lost: %v", loss*100, worst)
		}
	}
}

// spreadOver returns when the last of some peers learnt a decree of the first one, and how many
// calls told of it.
func spreadOver(rng *rand.Rand, peers int, latency time.Duration, loss float64) (took time.Duration, sent int) {
	const step = 10 * time.Millisecond
	learns := make([]time.Duration, peers) // when; 0: not yet
	compares := make([]time.Duration, peers)
	for i := range compares {
		compares[i] = time.Duration(rng.Int64N(int64(3 * decreeEvery / 2)))
	}
	arrivals := map[time.Duration][]int{step: {0}}
	for now, know := step, 0; know < peers; now += step {
		for _, p := range arrivals[now] {
			if learns[p] != 0 {
				continue
			}
			learns[p], took = now, now
			know++
			for range decreeFanout {
				if sent++; rng.Float64() >= loss {
					at := now + latency
					arrivals[at] = append(arrivals[at], rng.IntN(peers))
				}
			}
		}
		delete(arrivals, now)
		for p := range compares {
			if now < compares[p] {
				continue
			}
			compares[p] = now + decreeEvery/2 + time.Duration(rng.Int64N(int64(decreeEvery)))
			other := rng.IntN(peers)
			if rng.Float64() < loss {
				continue
			}
			for _, pair := range [2][2]int{{p, other}, {other, p}} { // both learn
				if learns[pair[0]] != 0 && learns[pair[1]] == 0 {
					arrivals[now+2*latency] = append(arrivals[now+2*latency], pair[1])
				}
			}
		}
		if now > time.Hour {
			panic(fmt.Sprintf("%d of %d know after an hour", know, peers))
		}
	}
	return took, sent
}
