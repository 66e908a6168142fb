package rpc

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// crowd is callers that share workers. A handler notes who called, and goes on when it gets a word.
type crowd struct {
	t       *testing.T
	workers *Workers
	started []byte // the payloads of the handlers that began, in order
	release chan struct{}
	results chan error
	conns   []*Conn
}

func newCrowd(t *testing.T, most, room int) *crowd {
	c := &crowd{t: t, workers: NewWorkers(most, room), release: make(chan struct{}), results: make(chan error, 1000)}
	t.Cleanup(func() {
		close(c.release)
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		c.workers.Close()
	})
	return c
}

// caller returns a way to make calls, by a caller of its own.
func (c *crowd) caller(name byte, running int, park bool) func(calls int) {
	registry := NewRegistry()
	registry.Handle(1, Spec{Name: "work"}, func(_ context.Context, req *Request) ([]byte, error) {
		c.workers.mu.Lock()
		c.started = append(c.started, req.Payload[0])
		c.workers.mu.Unlock()
		if park {
			req.Park()
			req.Park() // counts once
		}
		<-c.release
		return nil, nil
	})
	a, b := net.Pipe()
	client := NewConn(a, Config{})
	c.conns = append(c.conns, client, NewConn(b, Config{Registry: registry, Workers: c.workers, MaxRunning: running}))
	return func(calls int) {
		for range calls {
			go func() {
				_, err := client.Call(context.Background(), Header{Method: 1}, []byte{name})
				c.results <- err
			}()
			synctest.Wait()
		}
	}
}

// step lets handlers end, one after another, and returns who began since.
func (c *crowd) step(handlers int) string {
	c.workers.mu.Lock()
	from := len(c.started)
	c.workers.mu.Unlock()
	for range handlers {
		c.release <- struct{}{}
		synctest.Wait()
	}
	return string(c.started[from:])
}

// check fails if what the workers count is not what there is, once nothing is under way.
func (c *crowd) check() {
	c.t.Helper()
	w := c.workers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting != 0 || w.turn != nil || w.running > w.max {
		c.t.Errorf("at rest %d wait, %d of %d run, ring empty: %v", w.waiting, w.running, w.max, w.turn == nil)
	}
	for _, conn := range c.conns {
		if h := conn.cfg.Budget.share; h != (share{}) {
			c.t.Errorf("at rest a caller has %+v", h)
		}
	}
}

// Callers take turns, however much one of them asked for before.
func TestWorkersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 8, 100)
		greedy, first, second := c.caller('g', 100, false), c.caller('a', 100, false), c.caller('b', 100, false)
		greedy(20)
		first(6)
		second(6)
		if got := string(c.started); got != "ggggggggaaaabbbb" {
			t.Fatalf("began %q: eight, and four that each of the others has", got)
		}
		// As the first 16 end there are 8 workers again. Nobody waits for all of the greedy one's.
		if got := c.step(16); len(got) != 8 || strings.Count(got, "a") != 2 || strings.Count(got, "b") != 2 {
			t.Errorf("began %q, want 8 and all of the others'", got)
		}
		c.step(16)
		for range 32 {
			if err := <-c.results; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		c.check()
	})
}

// The turn goes round among those who have more than their own under way.
func TestWorkersGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 30, 200)
		c.caller('g', 100, false)(100)
		c.caller('a', 100, false)(20)
		c.caller('b', 100, false)(20)
		if got := c.step(38); len(got) != 30 || strings.Count(got, "a") < 8 || strings.Count(got, "b") < 8 {
			t.Errorf("began %q, want 30, of each caller's about as many", got)
		}
		c.step(102)
		for range 140 {
			if err := <-c.results; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		c.check()
	})
}

// Others taking everything leaves each caller workers, and places to wait.
func TestWorkersOfOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 2, 2)
		for i := range 4 {
			c.caller('w'+byte(i), 100, true)(20)
		}
		c.started = nil
		late := c.caller('a', 100, false)
		late(ownWorkers + ownWorkers)
		if got := string(c.started); got != "aaaa" {
			t.Errorf("began %q", got)
		}
		refused := 0
		for len(c.results) > 0 {
			if err := <-c.results; !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
			refused++
		}
		if refused < 4*20-4*2*ownWorkers-4 || refused >= 4*20 {
			t.Errorf("%d calls were refused", refused)
		}
		for len(c.results) < 4*20+8-refused {
			c.step(1)
		}
		synctest.Wait()
		c.check()
	})
}

// One caller's handlers run a few at a time, but for those that wait for something.
func TestMaxRunning(t *testing.T) {
	for _, park := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, 100, 100)
			c.caller('b', 5, false)(5)
			c.caller('a', 2, park)(10)
			c.step(5) // whose workers are free then
			want := 5 + 2
			if park {
				want = 5 + 10
			}
			if got := len(c.started); got != want {
				t.Errorf("parked %v: %d of 15 began, want %d", park, got, want)
			}
			c.step(10)
			for range 15 {
				if err := <-c.results; err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
			c.check()
		})
	}
}
