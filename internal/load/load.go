package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Settings say how to load an operation.
type Settings struct {
	Callers  int           // operations under way at a time, at least 1
	Duration time.Duration // for how long operations are started
	First    uint64        // the number of the first operation; the others count up
}

// Result is what was measured.
type Result struct {
	Ops      uint64 // operations that succeeded
	Failed   uint64
	Next     uint64 // the number that the next operation would have had
	Elapsed  time.Duration
	P50, P99 time.Duration // of those that succeeded
}

// PerSecond returns the rate of operations that succeeded.
func (r Result) PerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Ops) / r.Elapsed.Seconds()
}

// Run calls op from all callers until the duration is over, and waits for the
// last operations. Each operation has a number of its own. An operation that
// fails is counted; the first error is returned if all failed, or if ctx ended.
func Run(ctx context.Context, s Settings, op func(ctx context.Context, i uint64) error) (Result, error) {
	next := new(atomic.Uint64)
	next.Store(s.First)
	tallies := make([]tally, s.Callers)
	start := time.Now()
	end := start.Add(s.Duration)
	var wg sync.WaitGroup
	for i := range tallies {
		wg.Go(func() { tallies[i].run(ctx, end, next, op) })
	}
	wg.Wait()

	var all tally
	for i := range tallies {
		all.add(&tallies[i])
	}
	r := Result{
		Ops:     all.times.total,
		Failed:  all.failed,
		Next:    next.Load(),
		Elapsed: time.Since(start),
		P50:     all.times.quantile(0.50),
		P99:     all.times.quantile(0.99),
	}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	if r.Ops == 0 {
		return r, all.err
	}
	return r, nil
}

// tally is what one caller saw.
type tally struct {
	times  histogram
	failed uint64
	err    error // the first
}

func (t *tally) run(ctx context.Context, end time.Time, next *atomic.Uint64, op func(context.Context, uint64) error) {
	for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
		err := op(ctx, next.Add(1)-1)
		done := time.Now()
		if err == nil {
			t.times.record(done.Sub(now))
		} else {
			t.failed++
			if t.err == nil {
				t.err = err
			}
		}
		now = done
	}
}

func (t *tally) add(other *tally) {
	t.times.add(&other.times)
	t.failed += other.failed
	if t.err == nil {
		t.err = other.err
	}
}
