package rpctest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
)

// The methods that the suite serves.
const (
	Echo  rpc.Method = iota + 1 // inline: the payload comes back
	Later                       // the same from a worker
	Wait                        // answers when its context ends, with why
	Fail                        // answers with the error that the payload names
	Seen                        // a cast: its payload goes to Peer.Seen
	Owner                       // needs RoleControl
)

// patience bounds every wait for something that must happen.
const patience = 10 * time.Second

// Peer is one side of a connection under test.
type Peer struct {
	*rpc.Conn
	Seen   chan string
	closed chan error
}

// Serve starts a connection that serves the suite's methods, and ends it with
// the test. The given configuration is completed.
func Serve(t testing.TB, s rpc.Stream, cfg rpc.Config) *Peer {
	t.Helper()
	p := &Peer{Seen: make(chan string, 1<<12), closed: make(chan error, 1)}
	workers := rpc.NewWorkers(16, 64)
	if cfg.Workers == nil {
		cfg.Workers = workers
	}
	cfg.Registry = p.registry()
	cfg.OnClose = func(err error) { p.closed <- err }
	if cfg.Admit == nil {
		cfg.Admit = func(rpc.Hello) (rpc.Role, error) { return rpc.RoleMember, nil }
	}
	p.Conn = rpc.NewConn(s, cfg)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		workers.Close()
	})
	return p
}

func (p *Peer) registry() *rpc.Registry {
	r := rpc.NewRegistry()
	echo := func(_ context.Context, req *rpc.Request) ([]byte, error) { return req.Payload, nil }
	r.Handle(Echo, rpc.Spec{Name: "echo", MaxBytes: 1 << 20, Inline: true}, echo)
	r.Handle(Later, rpc.Spec{Name: "later", MaxBytes: 1 << 20}, echo)
	r.Handle(Wait, rpc.Spec{Name: "wait"}, func(ctx context.Context, _ *rpc.Request) ([]byte, error) {
		p.Seen <- "waiting"
		<-ctx.Done()
		p.Seen <- "ended"
		return nil, ctx.Err()
	})
	r.Handle(Fail, rpc.Spec{Name: "fail", Inline: true}, func(_ context.Context, req *rpc.Request) ([]byte, error) {
		if len(req.Payload) == 0 {
			return nil, errors.New("no code")
		}
		return nil, fmt.Errorf("wrapped: %w", &rpc.Error{Code: string(req.Payload), Message: "as asked", Detail: []byte{1, 2}})
	})
	r.Handle(Seen, rpc.Spec{Name: "seen"}, func(_ context.Context, req *rpc.Request) ([]byte, error) {
		p.Seen <- string(req.Payload)
		return nil, nil
	})
	r.Handle(Owner, rpc.Spec{Name: "owner", Role: rpc.RoleControl, Inline: true}, echo)
	return r
}

// await receives from Seen what the handlers put there.
func (p *Peer) await(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-p.Seen:
		if got != want {
			t.Fatalf("handler saw %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("handler never saw %q", want)
	}
}

// awaitClose receives why the connection ended.
func (p *Peer) awaitClose(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.closed:
		return err
	case <-time.After(patience):
		t.Fatal("connection never ended")
		return nil
	}
}

// Run runs the suite; pair makes the two ends of a fresh stream.
func Run(t *testing.T, pair func(t testing.TB) (a, b rpc.Stream)) {
	for name, test := range map[string]func(*testing.T, *Peer, *Peer){
		"Answers":         testAnswers,
		"BothWays":        testBothWays,
		"Errors":          testErrors,
		"Roles":           testRoles,
		"Deadline":        testDeadline,
		"Cancel":          testCancel,
		"Casts":           testCasts,
		"Sizes":           testSizes,
		"ManyCallers":     testManyCallers,
		"CloseFailsCalls": testCloseFailsCalls,
		"LossFailsCalls":  testLossFailsCalls,
		"CloseWritesOut":  testCloseWritesOut,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			hello := rpc.Hello{Ring: []byte("ring")}
			test(t,
				Serve(t, a, rpc.Config{Peer: "b", Hello: hello}),
				Serve(t, b, rpc.Config{Peer: "a", Hello: hello}))
		})
	}
	t.Run("Refusals", func(t *testing.T) { testRefusals(t, pair) })
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func testAnswers(t *testing.T, a, _ *Peer) {
	for _, m := range []rpc.Method{Echo, Later} {
		got, err := a.Call(within(t), rpc.Header{Method: m}, []byte("hello"))
		if err != nil || string(got) != "hello" {
			t.Errorf("method %d answered %q, %v", m, got, err)
		}
		if got, err = a.Call(within(t), rpc.Header{Method: m}, nil); err != nil || len(got) != 0 {
			t.Errorf("method %d answered %q, %v to nothing", m, got, err)
		}
	}
}

func testBothWays(t *testing.T, a, b *Peer) {
	var wg sync.WaitGroup
	for _, p := range []*Peer{a, b} {
		wg.Go(func() {
			for i := range 200 {
				want := fmt.Sprint(i)
				got, err := p.Call(within(t), rpc.Header{Method: Echo + rpc.Method(i%2)}, []byte(want))
				if err != nil || string(got) != want {
					t.Errorf("call %d answered %q, %v", i, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func testErrors(t *testing.T, a, _ *Peer) {
	_, err := a.Call(within(t), rpc.Header{Method: Fail}, []byte("odd"))
	var e *rpc.Error
	if !errors.As(err, &e) || e.Code != "odd" || e.Message != "as asked" || !bytes.Equal(e.Detail, []byte{1, 2}) {
		t.Errorf("typed error arrived as %#v", err)
	}
	for code, call := range map[string]func() ([]byte, error){
		rpc.CodeInternal:      func() ([]byte, error) { return a.Call(within(t), rpc.Header{Method: Fail}, nil) },
		rpc.CodeUnknownMethod: func() ([]byte, error) { return a.Call(within(t), rpc.Header{Method: 999}, nil) },
		rpc.CodeUnavailable:   func() ([]byte, error) { return a.Call(within(t), rpc.Header{Method: Fail}, []byte(rpc.CodeConnLost)) },
		rpc.CodeTooLarge: func() ([]byte, error) {
			return a.Call(within(t), rpc.Header{Method: Fail}, make([]byte, rpc.DefaultMaxBytes+1))
		},
	} {
		if _, err := call(); !errors.Is(err, &rpc.Error{Code: code}) {
			t.Errorf("got %v, want code %s", err, code)
		}
	}
	if _, err := a.Call(within(t), rpc.Header{Method: Echo}, make([]byte, 1<<20)); !errors.Is(err, rpc.ErrTooLarge) {
		t.Errorf("a frame over the bound: %v", err)
	}
	if err := a.Err(); err != nil {
		t.Errorf("the connection suffered: %v", err)
	}
}

func testRoles(t *testing.T, a, _ *Peer) {
	refused := &rpc.Error{Code: rpc.CodeRefused}
	if _, err := a.Call(within(t), rpc.Header{Method: Owner}, nil); !errors.Is(err, refused) {
		t.Errorf("a member called what needs control: %v", err)
	}
	if _, err := a.Call(within(t), rpc.Header{Method: Owner, Role: rpc.RoleControl}, nil); !errors.Is(err, refused) {
		t.Errorf("a member raised its role: %v", err)
	}
}

func testDeadline(t *testing.T, a, b *Peer) {
	start := time.Now()
	_, err := a.Call(within(t), rpc.Header{Method: Wait, Deadline: start.Add(50 * time.Millisecond)}, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	if d := time.Since(start); d < 50*time.Millisecond || d > patience/2 {
		t.Errorf("the call took %v", d)
	}
	b.await(t, "waiting")
	b.await(t, "ended") // the deadline travelled
	if _, err := a.Call(within(t), rpc.Header{Method: Echo, Deadline: start}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a deadline that is over: %v", err)
	}
}

func testCancel(t *testing.T, a, b *Peer) {
	ctx, cancel := context.WithCancel(within(t))
	result := make(chan error, 1)
	go func() {
		_, err := a.Call(ctx, rpc.Header{Method: Wait}, nil)
		result <- err
	}()
	b.await(t, "waiting")
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want cancellation", err)
	}
	b.await(t, "ended") // the cancellation travelled
	if _, err := a.Call(within(t), rpc.Header{Method: Echo}, nil); err != nil {
		t.Errorf("a call after a cancelled one: %v", err)
	}
}

func testCasts(t *testing.T, a, b *Peer) {
	const n = 50
	want := make(map[string]bool)
	for i := range n {
		s := fmt.Sprint(i)
		want[s] = true
		if err := a.Cast(within(t), rpc.Header{Method: Seen}, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		select {
		case s := <-b.Seen:
			delete(want, s)
		case <-time.After(patience):
			t.Fatalf("%d casts never arrived", len(want))
		}
	}
	if err := a.Cast(within(t), rpc.Header{Method: 999}, nil); err != nil {
		t.Errorf("a cast that is refused: %v", err)
	}
}

func testSizes(t *testing.T, a, _ *Peer) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 100, 2 << 10, 2<<10 + 1, 32 << 10, 32<<10 + 1, 64 << 10, 100_000, 900_000} {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(r.Uint32())
		}
		for _, m := range []rpc.Method{Echo, Later} {
			got, err := a.Call(within(t), rpc.Header{Method: m}, payload)
			if err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes came back as %d, %v", n, len(got), err)
			}
		}
	}
}

func testManyCallers(t *testing.T, a, b *Peer) {
	const callers = 64
	each := 320
	if testing.Short() {
		each = 50
	}
	var failed atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		p := []*Peer{a, b}[i%2]
		r := rand.New(rand.NewPCG(uint64(i), 0))
		wg.Go(func() {
			for range each {
				payload := make([]byte, r.IntN(3000))
				for j := range payload {
					payload[j] = byte(i)
				}
				// The inline one: 64 callers are more than the workers take.
				got, err := p.Call(within(t), rpc.Header{Method: Echo}, payload)
				if err != nil || !bytes.Equal(got, payload) {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d calls failed", n, callers*each)
	}
}

// pendingCalls starts calls that wait, and returns where their errors arrive.
func pendingCalls(t *testing.T, a, b *Peer, n int) <-chan error {
	results := make(chan error, n)
	for range n {
		go func() {
			_, err := a.Call(within(t), rpc.Header{Method: Wait}, nil)
			results <- err
		}()
	}
	for range n {
		b.await(t, "waiting")
	}
	return results
}

func testCloseFailsCalls(t *testing.T, a, b *Peer) {
	results := pendingCalls(t, a, b, 5)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := <-results; !errors.Is(err, rpc.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
	if err := b.awaitClose(t); !errors.Is(err, rpc.ErrConnLost) {
		t.Errorf("the other side saw %v, want ErrConnLost", err)
	}
	for range 5 {
		b.await(t, "ended") // its handlers were cancelled
	}
	if _, err := a.Call(within(t), rpc.Header{Method: Echo}, nil); !errors.Is(err, rpc.ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
}

func testLossFailsCalls(t *testing.T, a, b *Peer) {
	results := pendingCalls(t, a, b, 5)
	b.Abort()
	for range 5 {
		if err := <-results; !errors.Is(err, rpc.ErrConnLost) {
			t.Errorf("got %v, want ErrConnLost", err)
		}
	}
	if err := a.awaitClose(t); !errors.Is(err, rpc.ErrConnLost) {
		t.Errorf("closed with %v, want ErrConnLost", err)
	}
}

func testCloseWritesOut(t *testing.T, a, b *Peer) {
	if _, err := a.Call(within(t), rpc.Header{Method: Echo}, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := a.Cast(within(t), rpc.Header{Method: Seen}, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	// Handlers may have been cancelled with the connection, but all frames must
	// have been read.
	b.awaitClose(t)
	for start := time.Now(); b.Stats().Served < 21; time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("%d of 20 casts arrived before the end", b.Stats().Served-1)
		}
	}
}

func testRefusals(t *testing.T, pair func(t testing.TB) (a, b rpc.Stream)) {
	ring := func(s string) rpc.Config { return rpc.Config{Hello: rpc.Hello{Ring: []byte(s)}} }
	closed := ring("r")
	closed.Admit = func(rpc.Hello) (rpc.Role, error) { return 0, errors.New("no credential") }
	for _, tt := range []struct {
		name string
		a, b rpc.Config
		code string
	}{
		{"wrong ring", ring("r"), ring("s"), rpc.CodeWrongRing},
		{"gate", ring("r"), closed, rpc.CodeRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, u := pair(t)
			a := Serve(t, s, tt.a)
			Serve(t, u, tt.b)
			_, err := a.Call(within(t), rpc.Header{Method: Echo}, nil)
			if !errors.Is(err, &rpc.Error{Code: tt.code}) {
				t.Errorf("got %v, want code %s", err, tt.code)
			}
			if err := a.awaitClose(t); !errors.Is(err, &rpc.Error{Code: tt.code}) {
				t.Errorf("closed with %v, want code %s", err, tt.code)
			}
		})
	}
}
