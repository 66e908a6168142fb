package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func contacts(t *testing.T, n int) []Contact {
	cs := make([]Contact, n)
	for i := range cs {
		cs[i] = contact(t, i+1, fmt.Sprintf("/ip4/192.0.2.%d/tcp/4747", i+1))
	}
	return cs
}

func TestOrder(t *testing.T) {
	cs := contacts(t, 6)
	given, remembered := cs[:3], []Contact{cs[4], contact(t, 1, "/ip4/198.51.100.1/tcp/1"), cs[3]}
	firsts := map[string]bool{}
	for seed := range uint64(20) {
		got := Order(given, remembered, rng(seed))
		if diff := cmp.Diff(got, Order(given, remembered, rng(seed))); diff != "" {
			t.Fatalf("seed %d gives two orders:\n%s", seed, diff)
		}
		if len(got) != 5 {
			t.Fatalf("%d contacts, want 5 distinct ones", len(got))
		}
		if diff := cmp.Diff([]Contact{cs[4], cs[3]}, got[3:]); diff != "" {
			t.Errorf("remembered ones (-want +got):\n%s", diff)
		}
		for _, c := range got[:3] {
			if c.ID == cs[0].ID && !slices.Equal(c.Addrs, []string{cs[0].Addrs[0], "/ip4/198.51.100.1/tcp/1"}) {
				t.Errorf("addresses of a peer given and remembered: %q", c.Addrs)
			}
		}
		firsts[got[0].String()] = true
	}
	if len(firsts) != 3 {
		t.Errorf("20 seeds ask %d of 3 contacts first", len(firsts))
	}
	if cs[0].Addrs[0] != given[0].Addrs[0] || len(given[0].Addrs) != 1 {
		t.Error("Order changed its input")
	}
}

func TestBackoff(t *testing.T) {
	r := rng(1)
	for n, want := range map[int]time.Duration{
		-1: firstWait, 0: firstWait, 1: 2 * firstWait, 5: 32 * firstWait, 6: lastWait, 100: lastWait, 1 << 40: lastWait,
	} {
		seen := map[time.Duration]bool{}
		for range 100 {
			d := Backoff(n, r)
			if d < want/2 || d > want {
				t.Fatalf("round %d: %v, want %v to %v", n, d, want/2, want)
			}
			seen[d] = true
		}
		if len(seen) < 50 {
			t.Errorf("round %d: %d different pauses of 100: no jitter", n, len(seen))
		}
	}
}

// asked records who was dialled when, and answers as told.
type asked struct {
	mu    sync.Mutex
	start time.Time
	log   []string
}

func (a *asked) dial(how func(ctx context.Context, n int, c Contact) error) func(context.Context, Contact) (string, error) {
	a.start = time.Now()
	return func(ctx context.Context, c Contact) (string, error) {
		host := strings.Split(c.Addrs[0], "/")[2]
		a.mu.Lock()
		n := len(a.log)
		a.log = append(a.log, fmt.Sprintf("%v %s", time.Since(a.start).Round(time.Millisecond), host))
		a.mu.Unlock()
		if err := how(ctx, n, c); err != nil {
			return "", err
		}
		return host, nil
	}
}

// silent is a contact that never answers.
func silent(ctx context.Context, _ int, _ Contact) error { <-ctx.Done(); return ctx.Err() }

func TestFindFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		got, err := Find(t.Context(), contacts(t, 3), rng(1), a.dial(func(context.Context, int, Contact) error { return nil }))
		if err != nil || got != "192.0.2.1" {
			t.Fatalf("got %q, %v", got, err)
		}
		if diff := cmp.Diff([]string{"0s 192.0.2.1"}, a.log); diff != "" {
			t.Errorf("dialled (-want +got):\n%s", diff)
		}
	})
}

// A refusal moves on at once, silence after a quarter of a second; the slow one
// may still win, and no dial outlives Find.
func TestFindHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		var ended int
		got, err := Find(t.Context(), contacts(t, 8), rng(1), a.dial(func(ctx context.Context, n int, c Contact) error {
			defer func() { a.mu.Lock(); ended++; a.mu.Unlock() }()
			switch n {
			case 0:
				return errors.New("connection refused")
			case 1:
				time.Sleep(1100 * time.Millisecond)
				return nil
			default:
				return silent(ctx, n, c)
			}
		}))
		if err != nil || got != "192.0.2.2" {
			t.Fatalf("got %q, %v", got, err)
		}
		want := []string{"0s 192.0.2.1", "0s 192.0.2.2", "250ms 192.0.2.3", "500ms 192.0.2.4", "750ms 192.0.2.5"} // four in flight
		if diff := cmp.Diff(want, a.log); diff != "" {
			t.Errorf("dialled (-want +got):\n%s", diff)
		}
		if ended != len(want) {
			t.Errorf("%d of %d dials had ended", ended, len(want))
		}
	})
}

func TestFindRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		got, err := Find(t.Context(), contacts(t, 2), rng(1), a.dial(func(_ context.Context, n int, _ Contact) error {
			if n < 7 {
				return errors.New("connection refused")
			}
			return nil
		}))
		if err != nil || got != "192.0.2.2" {
			t.Fatalf("got %q, %v", got, err)
		}
		if d := time.Since(a.start); d < 875*time.Millisecond || d > 1750*time.Millisecond {
			t.Errorf("answer in round four after %v, want 0.875 to 1.75 s", d)
		}
	})
}

func TestFindGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		_, err := Find(ctx, contacts(t, 5), rng(1), a.dial(func(ctx context.Context, n int, c Contact) error {
			if strings.Contains(c.Addrs[0], "192.0.2.2/") {
				return errors.New("connection refused\nwith details")
			}
			return silent(ctx, n, c)
		}))
		if d := time.Since(a.start); d != 12*time.Second {
			t.Errorf("gave up after %v", d)
		}
		if !errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v, want ErrNoAnswer for a deadline", err)
		}
		wantCode(t, err, CodeNoAnswer, contacts(t, 1)[0].String()+": no answer", "connection refused; ", "and 2 more", "peer status")
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a line: %q", err)
		}
	})
}

// Whoever serves another ring is not asked again.
func TestFindRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrong := &Error{Code: CodeWrongRing, Message: "another ring", Fix: "ask elsewhere"}
		var a asked
		got, err := Find(t.Context(), contacts(t, 2), rng(1), a.dial(func(_ context.Context, n int, c Contact) error {
			switch {
			case strings.Contains(c.Addrs[0], "192.0.2.1/"):
				return fmt.Errorf("hello: %w", wrong)
			case n < 4:
				return errors.New("connection refused")
			default:
				return nil
			}
		}))
		if err != nil || got != "192.0.2.2" {
			t.Fatalf("got %q, %v", got, err)
		}
		if n := strings.Count(strings.Join(a.log, "\n"), "192.0.2.1"); n != 1 {
			t.Errorf("asked the wrong ring %d times:\n%s", n, strings.Join(a.log, "\n"))
		}
		_, err = Find(t.Context(), contacts(t, 2), rng(1), a.dial(func(context.Context, int, Contact) error { return wrong }))
		if !errors.Is(err, ErrWrongRing) {
			t.Errorf("all refuse: %v, want ErrWrongRing", err)
		}
		_, err = Find(t.Context(), nil, rng(1), a.dial(silent))
		wantCode(t, err, CodeNoRing)
	})
}

func TestFindCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asked
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := Find(ctx, contacts(t, 2), rng(1), a.dial(silent))
		if !errors.Is(err, context.Canceled) || time.Since(a.start) != time.Second {
			t.Fatalf("%v after %v, want canceled after 1 s", err, time.Since(a.start))
		}
	})
}
