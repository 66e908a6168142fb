package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := make(map[uint64]bool)
		r, err := Run(t.Context(), Settings{Callers: 4, Duration: time.Second, First: 7},
			func(_ context.Context, i uint64) error {
				mu.Lock()
				if seen[i] {
					t.Errorf("operation %d ran twice", i)
				}
				seen[i] = true
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				if i%4 == 0 {
					return errors.New("every fourth fails")
				}
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
		if r.Ops != 300 || r.Failed != 100 || r.Elapsed != time.Second || r.Next != 7+400 {
			t.Errorf("got %+v, want 300 done, 100 failed in 1s, 407 next", r)
		}
		if r.PerSecond() != 300 {
			t.Errorf("%v a second, want 300", r.PerSecond())
		}
		for _, p := range []time.Duration{r.P50, r.P99} {
			if p < 10*time.Millisecond || p > 10*time.Millisecond*65/64 {
				t.Errorf("quantile %v, want 10ms", p)
			}
		}
		if len(seen) != 400 {
			t.Errorf("%d operations, want 400", len(seen))
		}
	})
}

func TestRunReturnsError(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Run(t.Context(), Settings{Callers: 2, Duration: time.Millisecond},
		func(context.Context, uint64) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("all failed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int32
	_, err := Run(ctx, Settings{Callers: 2, Duration: time.Hour}, func(context.Context, uint64) error {
		if n.Add(1) == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestQuantiles compares the histogram with sorting.
func TestQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(1) << rng.IntN(38)
		d += time.Duration(rng.Int64N(int64(d)))
		h.record(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.0001, 0.01, 0.5, 0.9, 0.99, 1} {
		exact, got := all[int(q*10_000)-1], h.quantile(q)
		if got < exact || got > exact+exact/steps+1 {
			t.Errorf("quantile %v: %v, want %v", q, got, exact)
		}
	}
}

func TestBucketBounds(t *testing.T) {
	for i := range buckets - 1 {
		if bucket(upper(i)) != i || bucket(upper(i)+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which lies in %d; the next in %d", i, upper(i), bucket(upper(i)), bucket(upper(i)+1))
		}
	}
	if b := bucket(1 << 62); b != buckets-1 {
		t.Errorf("the longest time lies in bucket %d", b)
	}
	if b := bucket(-1); b != 0 {
		t.Errorf("a negative time lies in bucket %d", b)
	}
}
