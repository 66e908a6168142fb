package load

import (
	"slices"
	"testing"
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
