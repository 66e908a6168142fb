package load

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPareto(t *testing.T) {
	p := Pareto{Tasks: 20000, Shape: 1.5, Mean: 4800 * time.Microsecond, Most: 500 * time.Millisecond}
	var sum time.Duration
	for seed := range uint64(20) {
		times := p.Draw(seed)
		for _, d := range times {
			sum += d
		}
		if slices.Min(times) < 1600*time.Microsecond || slices.Max(times) > p.Most {
			t.Errorf("from %v to %v", slices.Min(times), slices.Max(times))
		}
		if !slices.Equal(times, p.Draw(seed)) || slices.Equal(times, p.Draw(seed+1)) {
			t.Error("a draw is not of its seed alone")
		}
	}
	// Most takes a little off the mean: the integral of the tail beyond it is 5.7%.
	if mean := sum / time.Duration(20*p.Tasks); mean < 4400*time.Microsecond || mean > 4650*time.Microsecond {
		t.Errorf("mean %v", mean)
	}
}

func TestIdeal(t *testing.T) {
	ms := func(n ...time.Duration) []time.Duration {
		for i := range n {
			n[i] *= time.Millisecond
		}
		return n
	}
	if got := Ideal(ms(4, 4, 4, 4), 2); got != 8*time.Millisecond {
		t.Errorf("even: %v", got)
	}
	if got := Ideal(ms(1, 1, 9), 2); got != 9*time.Millisecond {
		t.Errorf("one long: %v", got)
	}
}

func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := []time.Duration{4 * time.Second, time.Second, time.Second, time.Second, time.Second}
		if took := Share(t.Context(), times, 2); took != 4*time.Second {
			t.Errorf("two workers took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if took := Share(ctx, times, 2); took != 2*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}
