package overlay

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A goroutine that is done runs what comes next, all that was started has run when close returns,
// and nothing is started after.
func TestGroupReuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var ran atomic.Int64
		const one, many = 100, 50
		for i := range one {
			if !g.start(func() { ran.Add(1) }) {
				t.Fatal("refused")
			}
			synctest.Wait()
			if n := len(g.idle); n != 1 {
				t.Fatalf("%d goroutines wait after %d tasks, one at a time", n, i+1)
			}
		}
		hold := make(chan struct{})
		for range many {
			g.start(func() {
				<-hold
				ran.Add(1)
			})
		}
		synctest.Wait()
		close(hold)
		synctest.Wait()
		if n := len(g.idle); n != many {
			t.Errorf("%d goroutines wait after %d tasks at a time", n, many)
		}
		g.start(func() { ran.Add(1) })
		g.close()
		if n := ran.Load(); n != one+many+1 {
			t.Errorf("%d tasks have run of %d", n, one+many+1)
		}
		if g.start(func() {}) {
			t.Error("a closed group takes more")
		}
	})
}

// Goroutines that nobody needs go.
func TestGroupShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		for range 3 {
			g.start(func() {})
		}
		time.Sleep(2 * idleGoroutine)
		synctest.Wait()
		if n := len(g.idle); n != 0 {
			t.Errorf("%d goroutines wait", n)
		}
		g.close()
	})
}
