package load

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Pareto is how long the tasks of a job take: many are short, and few are so long that a
// worker which starts one late is waited for.
type Pareto struct {
	Tasks int
	Shape float64       // a > 1; the smaller, the longer the longest
	Mean  time.Duration // of the distribution, before Most cuts it
	Most  time.Duration // no task takes longer
}

// Draw returns the times of one job: the same for the same seed.
func (p Pareto) Draw(seed uint64) []time.Duration {
	rng := rand.New(rand.NewPCG(seed, 0x706172))
	least := float64(p.Mean) * (p.Shape - 1) / p.Shape
	times := make([]time.Duration, p.Tasks)
	for i := range times {
		d := least / math.Pow(1-rng.Float64(), 1/p.Shape)
		times[i] = time.Duration(min(d, float64(p.Most)))
	}
	return times
}

// Ideal returns the time below which no schedule can run tasks on so many workers:
// their sum shared out evenly, or the longest.
func Ideal(times []time.Duration, workers int) time.Duration {
	var sum time.Duration
	for _, d := range times {
		sum += d
	}
	return max(sum/time.Duration(workers), slices.Max(times))
}

// Share returns how long goroutines that take tasks from one channel need to sleep so long:
// what a program does by itself.
func Share(ctx context.Context, times []time.Duration, workers int) time.Duration {
	begun := time.Now()
	tasks := make(chan time.Duration, len(times))
	for _, d := range times {
		tasks <- d
	}
	close(tasks)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for d := range tasks {
				timer := time.NewTimer(d)
				select {
				case <-timer.C:
				case <-ctx.Done():
					timer.Stop()
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begun)
}
