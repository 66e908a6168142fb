package overlay

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// While requests are served one step is taken at a time, for a quarter of the time; otherwise
// all are.
func TestPace(t *testing.T) {
	const workers, took, window = 8, 10 * time.Millisecond, 10 * time.Second
	for name, tt := range map[string]struct {
		busy  bool
		steps int64
	}{
		"requests are served": {true, int64(window / (took * (1 + restFactor)))},
		"nobody waits":        {false, workers * int64(window/took)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPace()
				ctx, cancel := context.WithTimeout(t.Context(), window)
				defer cancel()
				if tt.busy {
					p.serving(time.Now())
					go func() {
						for sleep(ctx, restAfter/2) {
							p.serving(time.Now())
						}
					}()
				}
				var steps, now atomic.Int64
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						for ctx.Err() == nil {
							_ = p.step(ctx, func() error {
								if at := now.Add(1); tt.busy && at > 1 {
									t.Errorf("%d steps at a time", at)
								}
								time.Sleep(took)
								now.Add(-1)
								steps.Add(1)
								return nil
							})
						}
					})
				}
				wg.Wait()
				if n := steps.Load(); n < tt.steps-workers || n > tt.steps+workers {
					t.Errorf("%d steps in %v, want about %d", n, window, tt.steps)
				}
			})
		})
	}
}

// A step that may not be taken yet ends with its context, and a long one is not paid for without
// end.
func TestPaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		p.serving(time.Now())
		if err := p.step(t.Context(), func() error { time.Sleep(time.Hour); return nil }); err != nil {
			t.Fatal(err)
		}
		p.serving(time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), restMost/2)
		defer cancel()
		if err := p.step(ctx, func() error { t.Error("a step within the pause"); return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("within the pause: %v", err)
		}
		began, why := time.Now(), errors.New("why")
		p.serving(began)
		if err := p.step(t.Context(), func() error { return why }); !errors.Is(err, why) || time.Since(began) > restMost {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
