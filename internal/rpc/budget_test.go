package rpc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chorus-net/chorus/internal/wire/pb"
)

func TestBudget(t *testing.T) {
	b := NewBudget(100, 1000)
	now := time.Unix(1e9, 0)
	for _, tt := range []struct {
		after         time.Duration
		frames, bytes int
		want          time.Duration
	}{
		{0, 12, 120, 0}, // an eighth of a second's worth at once
		{0, 50, 0, 495 * time.Millisecond},
		{495 * time.Millisecond, 0, 0, 0},
		{time.Hour, 1, 2125, 2 * time.Second}, // bytes are counted apart
		{time.Hour, 12, 125, 0},               // more than a burst is never there
		{time.Hour, 112, 0, 995 * time.Millisecond},
		{-time.Minute, 0, 0, 60995 * time.Millisecond}, // a clock set back
	} {
		now = now.Add(tt.after)
		if got := b.spend(tt.frames, tt.bytes, now); got.Round(time.Millisecond) != tt.want {
			t.Errorf("%d frames and %d bytes after %v: wait %v, want %v", tt.frames, tt.bytes, tt.after, got, tt.want)
		}
	}
}

// Whoever sends more than its budget is read at its pace, and loses nothing by it.
func TestBudgetSlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := 0
		registry := NewRegistry()
		registry.Handle(1, Spec{Name: "count", Inline: true}, func(context.Context, *Request) ([]byte, error) {
			served++
			return nil, nil
		})
		a, b := net.Pipe()
		client := NewConn(a, Config{})
		server := NewConn(b, Config{Registry: registry, Budget: NewBudget(1000, 1<<30)})
		start := time.Now()
		const casts = 10_000
		for range casts {
			for client.Cast(t.Context(), Header{Method: 1}, nil) != nil {
				time.Sleep(time.Millisecond) // the queue is full
			}
		}
		if _, err := client.Call(t.Context(), Header{Method: 1, Deadline: time.Now().Add(time.Minute)}, nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); served != casts+1 || took < 8*time.Second {
			t.Errorf("%d of %d served in %v, at 1,000 a second", served, casts+1, took)
		}
		_, _ = client.Close(), server.Close()
	})
}

// What a worker runs counts for more, and is paid for before the next is read.
func TestBudgetOfWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := NewRegistry()
		registry.Handle(1, Spec{Name: "work"}, func(context.Context, *Request) ([]byte, error) { return nil, nil })
		workers := NewWorkers(2, 2)
		a, b := net.Pipe()
		client := NewConn(a, Config{})
		server := NewConn(b, Config{Registry: registry, Workers: workers, Budget: NewBudget(1000, 1<<30)})
		start := time.Now()
		for range 1000 {
			if _, err := client.Call(t.Context(), Header{Method: 1, Deadline: start.Add(time.Hour)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 3*time.Second {
			t.Errorf("1,000 calls, of 250 a second, took %v", took)
		}
		_, _ = client.Close(), server.Close()
		workers.Close()
	})
}

// One peer's calls leave workers to others.
func TestMaxServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		registry := NewRegistry()
		registry.Handle(1, Spec{Name: "wait"}, func(context.Context, *Request) ([]byte, error) {
			<-release
			return nil, nil
		})
		workers := NewWorkers(2, 2)
		dial := func() (*Conn, *Conn) {
			a, b := net.Pipe()
			return NewConn(a, Config{}), NewConn(b, Config{Registry: registry, Workers: workers, MaxServing: 2})
		}
		greedy, s1 := dial()
		honest, s2 := dial()
		results := make(chan error, 4)
		call := func(c *Conn) {
			_, err := c.Call(t.Context(), Header{Method: 1}, nil)
			results <- err
		}
		for range 3 {
			go call(greedy)
		}
		if err := <-results; !errors.Is(err, ErrBusy) {
			t.Errorf("a third call of two: %v", err)
		}
		go call(honest)
		synctest.Wait()
		close(release)
		for range 3 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		_, _, _, _ = greedy.Close(), s1.Close(), honest.Close(), s2.Close()
		workers.Close()
	})
}

// Nor does a peer that calls by as many streams as it may have.
func TestMaxServingOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		registry := NewRegistry()
		registry.Handle(1, Spec{Name: "wait"}, func(_ context.Context, req *Request) ([]byte, error) {
			req.Park()
			<-release
			return nil, nil
		})
		const streams, running, waiting = 4, 16, 48
		const serving = (running + waiting) / 4
		workers := NewWorkers(running, waiting)
		var conns []*Conn
		dial := func(b *Budget) *Conn {
			near, far := net.Pipe()
			c := NewConn(near, Config{})
			conns = append(conns, c, NewConn(far, Config{Registry: registry, Workers: workers, MaxServing: serving, MaxRunning: 1, Budget: b}))
			return c
		}
		busy := func(c *Conn, calls int) chan bool {
			out := make(chan bool, calls)
			for range calls {
				go func() {
					_, err := c.Call(t.Context(), Header{Method: 1, Deadline: time.Now().Add(time.Hour)}, nil)
					out <- errors.Is(err, ErrBusy)
				}()
			}
			synctest.Wait()
			return out
		}
		budget := NewBudget(1<<20, 1<<30)
		var refusals []chan bool
		for range streams {
			refusals = append(refusals, busy(dial(budget), serving))
		}
		others := busy(dial(NewBudget(1<<20, 1<<30)), serving)
		close(release)
		refused := 0
		for _, r := range refusals {
			for range serving {
				if <-r {
					refused++
				}
			}
		}
		if want := (streams - 1) * serving; refused != want {
			t.Errorf("%d calls of one peer are refused as busy, want %d", refused, want)
		}
		for range serving {
			if <-others {
				t.Error("a call of another peer is refused as busy")
			}
		}
		synctest.Wait()
		if n := budget.inHand.Load(); n != 0 {
			t.Errorf("%d calls are counted when all are answered", n)
		}
		for _, c := range conns {
			_ = c.Close()
		}
		workers.Close()
	})
}

// A frame that is announced and does not come costs little.
func TestAnnouncedFramesCostNothing(t *testing.T) {
	const readers = 256
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	kept := make([]*frameReader, readers)
	for i := range kept {
		kept[i] = newFrameReader(bytes.NewReader([]byte{0, 0x0f, 0xff, 0xff, 1, 2, 3}), 1<<20, func() {})
		if _, _, err := kept[i].next(); err == nil {
			t.Fatal("a frame of 3 bytes out of a million")
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / readers; each > 128<<10 {
		t.Errorf("%d bytes for each frame of a million that was announced", each)
	}
	runtime.KeepAlive(kept)
}

// Who asks and does not read the answers is refused, then left: what waits for it is bounded,
// over all its connections.
func TestUnreadReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := NewRegistry()
		registry.Handle(1, Spec{Name: "echo", Inline: true}, func(_ context.Context, req *Request) ([]byte, error) { return req.Payload, nil })
		const bound = 4 << 20
		budget := NewBudget(1<<30, 1<<40)
		var conns []*Conn
		most := int64(0)
		for i := range 3 {
			near, far := net.Pipe()
			c := NewConn(near, Config{Registry: registry, Budget: budget, MaxReplies: bound, WriteTimeout: time.Hour})
			conns = append(conns, c)
			b := appendHello(nil, Hello{}.message(1<<20, nil))
			for id := range uint64(100) {
				env := pb.Envelope{Kind: pb.Kind_KIND_REQUEST, Call: id + 1, Method: 1}
				b = appendFrame(b, &env, make([]byte, 60<<10))
			}
			_ = far.SetWriteDeadline(time.Now().Add(time.Minute))
			_, err := far.Write(b)
			synctest.Wait()
			most = max(most, budget.replies.Load())
			if i == 0 && (err != nil || c.Stats().Refused == 0 || c.Stats().Refused == 100) {
				t.Errorf("of 100 requests for 6 MB, %d are refused, %v", c.Stats().Refused, err)
			}
			if i > 0 && c.Stats().Refused != c.Stats().Served {
				t.Errorf("connection %d of one peer: %d of %d refused", i, c.Stats().Refused, c.Stats().Served)
			}
		}
		if most > bound+maxRefusals+64<<10 {
			t.Errorf("%d bytes wait for a peer that reads nothing", most)
		}
		for _, c := range conns {
			c.Abort()
			<-c.Done()
		}
		synctest.Wait()
		if left := budget.replies.Load(); left != 0 {
			t.Errorf("%d bytes are counted of connections that have ended", left)
		}
	})
}
