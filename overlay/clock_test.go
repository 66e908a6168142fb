package overlay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chorus-net/chorus/store"
)

// No version is issued twice, by any goroutine or over restarts, though the
// next life begins within the same millisecond.
func TestClockNeverRepeats(t *testing.T) {
	var (
		floor uint64
		saves int
		seen  []uint64
		mu    sync.Mutex
	)
	for range 3 {
		c := newClock(floor, func(_ context.Context, ceiling uint64) error {
			floor = ceiling
			saves++
			return nil
		})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 200 {
					v, err := c.next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					seen = append(seen, v)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if last := slices.Max(seen); last > floor {
			t.Fatalf("issued %d above the ceiling %d on disk", last, floor)
		}
	}
	slices.Sort(seen)
	if n := len(slices.Compact(seen)); n != 3*8*200 {
		t.Errorf("%d distinct versions of %d", n, 3*8*200)
	}
	if saves > 30 {
		t.Errorf("the ceiling was saved %d times", saves)
	}
}

func TestClockNeedsItsDisk(t *testing.T) {
	broken := errors.New("no space")
	fail := true
	c := newClock(0, func(context.Context, uint64) error {
		if fail {
			return broken
		}
		return nil
	})
	if _, err := c.next(t.Context()); !errors.Is(err, broken) {
		t.Fatalf("a version without a ceiling: %v", err)
	}
	fail = false
	first, err := c.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ahead := first + uint64(time.Second.Milliseconds())<<16
	if err := c.observe(store.Version{Clock: ahead, Writer: 9}); err != nil {
		t.Fatal(err)
	}
	if next, err := c.next(t.Context()); err != nil || next <= ahead {
		t.Errorf("%d after %d was observed, %v", next, ahead, err)
	}
	if err := c.observe(store.Version{Clock: ahead + uint64(time.Hour.Milliseconds())<<16, Writer: 9}); !errors.Is(err, store.ErrSkew) {
		t.Errorf("followed a clock that is an hour ahead: %v", err)
	}
}
