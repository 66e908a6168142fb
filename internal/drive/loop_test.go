package drive_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/chorus-net/chorus/internal/drive"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// egg is a core that rings at a time that messages set. It is watched by the
// race detector: everything in it is unsynchronised.
type egg struct {
	due    time.Time
	again  time.Duration // what each Tick moves due by; 0: due becomes zero
	asked  int           // calls of Deadline
	heard  []string
	onStep func(string)
}

func (e *egg) Step(_ time.Time, in string) string {
	if e.onStep != nil {
		e.onStep(in)
	}
	e.heard = append(e.heard, in)
	return "step " + in
}

func (e *egg) Tick(now time.Time) string {
	if e.again == 0 {
		e.due = time.Time{}
	} else {
		e.due = e.due.Add(e.again)
	}
	return "tick " + now.Format("05.000")
}

func (e *egg) Deadline() time.Time {
	e.asked++
	return e.due
}

var _ drive.Core[string, string] = (*egg)(nil)

type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, s)
}

func (l *log) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out log
		l := drive.New(&egg{}, out.add, drive.Config{})
		defer l.Close()
		for i := range 3 {
			if err := l.Post(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		err := l.Act(t.Context(), func(e *egg, _ time.Time) string { return fmt.Sprint("act after ", len(e.heard)) })
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"step 0", "step 1", "step 2", "act after 3"}
		if diff := cmp.Diff(want, out.got()); diff != "" {
			t.Fatalf("output when Act returned (-want +got):\n%s", diff)
		}
		var heard []string
		if err := l.Do(t.Context(), func(e *egg) { heard = slices.Clone(e.heard) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"0", "1", "2"}, heard); diff != "" {
			t.Fatalf("core heard (-want +got):\n%s", diff)
		}
		if got := l.Stats(); got != (drive.Stats{Steps: 3}) {
			t.Fatalf("stats %+v", got)
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Truncate(time.Minute)
		time.Sleep(time.Until(start.Add(time.Minute)))
		start = start.Add(time.Minute)

		var out log
		l := drive.New(&egg{due: start.Add(time.Second), again: 2 * time.Second}, out.add, drive.Config{})
		defer l.Close()
		time.Sleep(4 * time.Second)
		// A message brings the deadline forward; after it the core wants no more.
		err := l.Do(t.Context(), func(e *egg) { e.due, e.again = start.Add(4500*time.Millisecond), 0 })
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		want := []string{"tick 01.000", "tick 03.000", "tick 04.500"}
		if diff := cmp.Diff(want, out.got()); diff != "" {
			t.Fatalf("ticks (-want +got):\n%s", diff)
		}
	})
}

// A loop whose core wants nothing never wakes.
func TestIdleIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out log
		l := drive.New(&egg{}, out.add, drive.Config{})
		defer l.Close()
		asked := func() (n int) {
			if err := l.Do(t.Context(), func(e *egg) { n = e.asked }); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := asked()
		synctest.Wait()
		time.Sleep(24 * time.Hour)
		if woke := asked() - before; woke > 1 { // the first Do itself asks once
			t.Errorf("looked at its core %d times in an idle day", woke)
		}
		if got := out.got(); len(got) != 0 {
			t.Errorf("output %q, want none", got)
		}
	})
}

// A core that always wants its tick at once is held to one each MinTick.
func TestMinTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out log
		past := time.Now().Add(-time.Hour)
		l := drive.New(&egg{due: past, again: time.Nanosecond}, out.add, drive.Config{MinTick: 10 * time.Millisecond})
		defer l.Close()
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		if n := l.Stats().Ticks; n < 100 || n > 102 {
			t.Fatalf("%d ticks in a second, want 101", n)
		}
	})
}

// A late tick still comes while messages keep the loop busy.
func TestTickUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &egg{due: time.Now().Add(time.Second), again: time.Second}
		e.onStep = func(string) { time.Sleep(100 * time.Millisecond) }
		var out log
		l := drive.New(e, out.add, drive.Config{Inbox: 4})
		defer l.Close()
		for range 100 {
			_ = l.Post("m") // some are refused: the loop is slower
			time.Sleep(50 * time.Millisecond)
		}
		if s := l.Stats(); s.Ticks < 4 || s.Refused == 0 {
			t.Fatalf("stats %+v, want 4 ticks in 5 s and refusals", s)
		}
	})
}

func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		e := &egg{onStep: func(in string) {
			if in == "hold" {
				<-held
			}
		}}
		var out log
		l := drive.New(e, out.add, drive.Config{Inbox: 2})
		defer l.Close()
		if err := l.Post("hold"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, want := range []error{nil, nil, drive.ErrFull, drive.ErrFull} {
			if err := l.Post("m"); !errors.Is(err, want) {
				t.Fatalf("Post: %v, want %v", err, want)
			}
		}
		// Messages that flood the inbox do not lock out the peer's own calls,
		// which have a bound of their own.
		var wg sync.WaitGroup
		errs := make(chan error, 3)
		for range 3 {
			wg.Go(func() { errs <- l.Do(t.Context(), func(*egg) {}) })
		}
		synctest.Wait()
		close(held)
		wg.Wait()
		full := 0
		for range 3 {
			if err := <-errs; errors.Is(err, drive.ErrFull) {
				full++
			} else if err != nil {
				t.Error(err)
			}
		}
		if full != 1 {
			t.Errorf("%d of 3 calls refused, want 1", full)
		}
		if got := l.Stats(); got.Refused != 3 || got.Steps != 3 {
			t.Errorf("stats %+v, want 3 refused, 3 steps", got)
		}
	})
}

// A call whose context ends is not run later; one that runs is waited for.
func TestCallContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		e := &egg{onStep: func(string) { <-held }}
		var out log
		l := drive.New(e, out.add, drive.Config{})
		defer l.Close()
		if err := l.Post("hold"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ran := false
		if err := l.Do(ctx, func(*egg) { ran = true }); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Do: %v, want deadline exceeded", err)
		}
		close(held)
		if err := l.Do(t.Context(), func(*egg) {}); err != nil {
			t.Fatal(err)
		}
		if ran {
			t.Error("a call that was given up ran")
		}

		begun, finish := make(chan struct{}), make(chan struct{})
		ctx, cancel2 := context.WithCancel(t.Context())
		defer cancel2()
		var got error
		var wg sync.WaitGroup
		wg.Go(func() {
			got = l.Do(ctx, func(*egg) { close(begun); <-finish; ran = true })
		})
		<-begun
		cancel2()
		synctest.Wait()
		close(finish)
		wg.Wait()
		if got != nil || !ran {
			t.Errorf("Do: %v, ran %v; want the call that had begun to count", got, ran)
		}
		if err := l.Do(ctx, func(*egg) { t.Error("ran under an ended context") }); !errors.Is(err, context.Canceled) {
			t.Errorf("Do: %v, want canceled", err)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		e := &egg{onStep: func(string) { <-held }}
		var out log
		l := drive.New(e, out.add, drive.Config{})
		for range 3 {
			if err := l.Post("m"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		errs := make(chan error, 1)
		go func() { errs <- l.Do(t.Context(), func(*egg) { t.Error("ran after Stop") }) }()
		synctest.Wait()
		l.Stop()
		l.Stop()
		close(held)
		for range 2 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-errs; !errors.Is(err, drive.ErrClosed) {
			t.Errorf("waiting call: %v, want ErrClosed", err)
		}
		if err := l.Post("late"); !errors.Is(err, drive.ErrClosed) {
			t.Errorf("Post: %v, want ErrClosed", err)
		}
		if err := l.Do(t.Context(), func(*egg) {}); !errors.Is(err, drive.ErrClosed) {
			t.Errorf("Do: %v, want ErrClosed", err)
		}
		if diff := cmp.Diff([]string{"step m"}, out.got()); diff != "" {
			t.Errorf("output (-want +got): only the step in progress ends\n%s", diff)
		}
	})
}

// Posting from the callback is allowed: a core may talk to itself.
func TestPostFromCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out log
		var l *drive.Loop[*egg, string, string]
		ready := make(chan struct{})
		l = drive.New(&egg{}, func(s string) {
			<-ready
			out.add(s)
			if s == "step a" {
				if err := l.Post("b"); err != nil {
					t.Error(err)
				}
			}
		}, drive.Config{})
		close(ready)
		defer l.Close()
		if err := l.Post("a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"step a", "step b"}, out.got()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Many goroutines at once: nothing is lost, nothing overtakes, nothing races.
func TestConcurrent(t *testing.T) {
	const posters, each = 8, 500
	steps := 0
	l := drive.New(&egg{}, func(string) { steps++ }, drive.Config{Inbox: posters * each})
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				if err := l.Post(fmt.Sprintf("%d/%04d", p, i)); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					if err := l.Do(t.Context(), func(*egg) {}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	var heard []string
	if err := l.Do(t.Context(), func(e *egg) { heard = slices.Clone(e.heard) }); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(heard) != posters*each || steps != len(heard) {
		t.Fatalf("core heard %d messages, callback saw %d, want %d", len(heard), steps, posters*each)
	}
	last := map[byte]string{}
	for _, m := range heard {
		if m <= last[m[0]] {
			t.Fatalf("%s after %s", m, last[m[0]])
		}
		last[m[0]] = m
	}
}
