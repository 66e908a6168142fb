package model

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestEventsInOrder compares the queue with its slow twin, a slice that is
// searched: near and far events, of one moment and late, pushed while others are
// taken.
func TestEventsInOrder(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var q events
		var twin []event
		now := time.Duration(0)
		for range 3000 {
			if rng.IntN(3) > 0 {
				d := []time.Duration{0, time.Microsecond, 3 * time.Millisecond, 9 * time.Second, time.Hour}[rng.IntN(5)]
				e := event{at: now + time.Duration(rng.Int64N(int64(d)+1))}
				q.push(e)
				e.serial = q.serial
				twin = append(twin, e)
				continue
			}
			until := now + time.Duration(rng.Int64N(int64(5*time.Second)))
			for range rng.IntN(4) {
				want := -1
				for i := range twin {
					if twin[i].at <= until && (want < 0 || twin[i].compare(&twin[want]) < 0) {
						want = i
					}
				}
				got, ok := q.pop(until)
				if ok != (want >= 0) {
					t.Fatalf("seed %d: an event until %v: %v, want %v", seed, until, ok, want >= 0)
				}
				if !ok {
					now = until
					break
				}
				if got.serial != twin[want].serial {
					t.Fatalf("seed %d: event %d at %v, want %d at %v", seed, got.serial, got.at, twin[want].serial, twin[want].at)
				}
				now = got.at
				twin = slices.Delete(twin, want, want+1)
			}
		}
	}
}

func TestNumbersAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var s numbers
	twin := make(map[int]bool)
	for range 20_000 {
		n := rng.IntN(300) * (1 + rng.IntN(3))
		if rng.IntN(2) == 0 {
			s.add(n)
			twin[n] = true
		} else {
			s.remove(n)
			delete(twin, n)
		}
		if len(twin) != s.n {
			t.Fatalf("%d numbers, want %d", s.n, len(twin))
		}
	}
	for _, n := range s.sorted() {
		if !twin[n] {
			t.Errorf("%d was removed", n)
		}
		delete(twin, n)
	}
	if len(twin) > 0 {
		t.Errorf("%d numbers are missing", len(twin))
	}
}
