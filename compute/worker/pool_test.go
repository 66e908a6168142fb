package worker

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/wasm"
)

func TestMain(m *testing.M) {
	wasm.RunIfChild()
	goleak.VerifyTestMain(m)
}

func task(fn, input string, limits compute.Limits) compute.Task {
	return compute.Task{ID: compute.ID{1}, Attempt: 1, Code: compute.Code{Func: fn}, Input: []byte(input), Limits: limits}
}

// begin runs a task on a fresh pool of one slot and returns where its result comes out.
func begin(p *Pool, t compute.Task) <-chan compute.Result {
	c := make(chan compute.Result, 2)
	p.Start(t, func(r compute.Result) { c <- r })
	return c
}

func registry(t *testing.T) *Registry {
	r := NewRegistry()
	if err := r.AddBuiltins(); err != nil {
		t.Fatal(err)
	}
	for name, fn := range map[string]Func{
		"fail":   func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no luck") },
		"mute":   func(context.Context, []byte) ([]byte, error) { return nil, errors.New("") },
		"panic":  func(context.Context, []byte) ([]byte, error) { panic("boom") },
		"goexit": func(context.Context, []byte) ([]byte, error) { runtime.Goexit(); return nil, nil },
		"deaf":   func(_ context.Context, in []byte) ([]byte, error) { time.Sleep(time.Minute); return in, nil },
	} {
		if err := r.Register(name, fn); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestOutcomes(t *testing.T) {
	p := New(Config{Registry: registry(t), Output: 16})
	defer p.Close()
	for _, c := range []struct {
		task         compute.Task
		out, err, lg string
		crashed      bool
	}{
		{task: task("echo/v1", "hello", compute.Limits{}), out: "hello"},
		{task: task("echo/v1", "seventeen letters", compute.Limits{}), err: "output of 17 bytes, the limit is 16"},
		{task: task("echo/v1", "hello", compute.Limits{Output: 4}), err: "output of 5 bytes, the limit is 4"},
		{task: task("fail/v1", "", compute.Limits{}), err: "no luck"},
		{task: task("mute/v1", "", compute.Limits{}), err: "error of type *errors.errorString"},
		{task: task("panic/v1", "", compute.Limits{}), err: "panic: boom", crashed: true, lg: "worker.registry"},
		{task: task("goexit/v1", "", compute.Limits{}), err: "the function ended its goroutine", crashed: true},
		{task: task("gone/v1", "", compute.Limits{}), err: "this peer does not have the function gone/v1", crashed: true},
		{task: compute.Task{ID: compute.ID{2}, Attempt: 3, Code: compute.Code{Module: [32]byte{1}}}, err: "this peer has no sandbox for WebAssembly", crashed: true},
		{task: task("sleep/v1", "1h", compute.Limits{Time: time.Millisecond}), err: "time limit of 1ms exceeded"},
	} {
		r := <-begin(p, c.task)
		if string(r.Output) != c.out || r.Err != c.err || r.Crashed != c.crashed || !strings.Contains(string(r.Log), c.lg) {
			t.Errorf("%s: %+v", c.task.Code, r)
		}
		if r.Task != c.task.ID || r.Attempt != c.task.Attempt {
			t.Errorf("%s: result of %s attempt %d", c.task.Code, r.Task, r.Attempt)
		}
		if strings.Contains(string(r.Log), "runFunc") || strings.Contains(string(r.Log), "debug.Stack") {
			t.Errorf("%s: stack is not trimmed:\n%s", c.task.Code, r.Log)
		}
	}
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Registry: registry(t)})
		defer p.Close()
		c := begin(p, task("sleep/v1", "1h", compute.Limits{}))
		synctest.Wait()
		p.Stop(compute.Ref{Task: compute.ID{9}, Attempt: 1}) // not running
		p.Stop(compute.Ref{Task: compute.ID{1}, Attempt: 1})
		if r := <-c; r.Err != "stopped" || r.Crashed || r.Elapsed != 0 {
			t.Errorf("stopped: %+v", r)
		}
	})
}

// TestDeafFunction: a function that ignores its context loses its slot, and
// is reported once.
func TestDeafFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Registry: registry(t)})
		start := time.Now()
		c := begin(p, task("deaf/v1", "", compute.Limits{Time: time.Second}))
		if r := <-c; r.Err != "time limit of 1s exceeded; the function goes on" || time.Since(start) != 2*time.Second {
			t.Errorf("deaf: %+v after %s", r, time.Since(start))
		}
		if r := <-begin(p, task("echo/v1", "hi", compute.Limits{})); string(r.Output) != "hi" {
			t.Errorf("next: %+v", r)
		}
		if n := p.Stats().Abandoned; n != 1 {
			t.Errorf("%d abandoned, want 1", n)
		}
		time.Sleep(time.Minute)
		if st := p.Stats(); st.Abandoned != 0 || st.Running != 0 || len(c) != 0 {
			t.Errorf("later: %+v, reports %d", st, len(c))
		}
		p.Close()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Registry: registry(t), Slots: 3})
		var cs []<-chan compute.Result
		for i, fn := range []string{"deaf/v1", "sleep/v1", "echo/v1"} {
			tk := task(fn, "1h", compute.Limits{})
			tk.ID[0] = byte(i)
			cs = append(cs, begin(p, tk))
		}
		synctest.Wait()
		start := time.Now()
		p.Close()
		p.Close()
		if d := time.Since(start); d != time.Second {
			t.Errorf("Close took %s, want the grace of 1s", d)
		}
		p.Start(task("echo/v1", "", compute.Limits{}), func(compute.Result) { t.Error("reported after Close") })
		if len(cs[0]) != 0 || len(cs[1]) != 0 || len(cs[2]) != 1 {
			t.Errorf("reports: %d %d %d", len(cs[0]), len(cs[1]), len(cs[2]))
		}
		time.Sleep(time.Minute) // the deaf one ends
	})
}

func TestTooManyStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Registry: registry(t)})
		defer p.Close()
		first := begin(p, task("sleep/v1", "1s", compute.Limits{}))
		second := task("echo/v1", "", compute.Limits{})
		second.ID = compute.ID{2}
		if r := <-begin(p, second); !r.Crashed || r.Err != "no free worker" {
			t.Errorf("second: %+v", r)
		}
		if r := <-first; !r.OK() {
			t.Errorf("first: %+v", r)
		}
	})
}

func TestRegister(t *testing.T) {
	r := NewRegistry()
	if err := r.Register("a", echo); err != nil {
		t.Fatal(err)
	}
	if err := r.Register("a/v1", echo); !errors.Is(err, ErrRegistered) {
		t.Errorf("twice: %v", err)
	}
	if err := r.Register("a/v2", echo); err != nil {
		t.Error(err)
	}
	if err := r.Register("a b", echo); err == nil {
		t.Error("a name with a space was taken")
	}
	if got := strings.Join(r.Names(), " "); got != "a/v1 a/v2" {
		t.Errorf("names: %s", got)
	}
}

func BenchmarkNoop(b *testing.B) {
	r := NewRegistry()
	if err := r.AddBuiltins(); err != nil {
		b.Fatal(err)
	}
	p := New(Config{Registry: r, Slots: 2})
	defer p.Close()
	done := make(chan compute.Result, 2)
	tk := task("echo/v1", "", compute.Limits{})
	running := 0
	for b.Loop() {
		if running == 2 {
			<-done
			running--
		}
		tk.Attempt++
		p.Start(tk, func(r compute.Result) { done <- r })
		running++
	}
}
