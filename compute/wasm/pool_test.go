//go:build unix

package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	RunIfChild()
	if dir := os.Getenv(parentVariable); dir != "" {
		dyingParent(dir)
	}
	goleak.VerifyTestMain(m)
}

// newPool makes a pool that is closed with the test. All tests share the
// directory, as pools do.
func newPool(t testing.TB, change func(*Config)) *Pool {
	t.Helper()
	config := Config{CacheDir: cacheDir(t), Lent: true}
	if change != nil {
		change(&config)
	}
	p, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func cacheDir(t testing.TB) string { return t.TempDir() }

func wantKind(t *testing.T, err error, kind Kind) *Error {
	t.Helper()
	var f *Error
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("error is %v, want one of kind %q", err, kind)
	}
	return f
}

func mustEcho(t *testing.T, p *Pool, input string) {
	t.Helper()
	result, err := p.Run(context.Background(), Request{Module: wasmtest.Echo, Input: []byte(input)})
	if err != nil {
		t.Fatal(err)
	}
	if string(result.Output) != input {
		t.Fatalf("output is %q, want %q", result.Output, input)
	}
}

func TestRunEcho(t *testing.T) {
	p := newPool(t, nil)
	mustEcho(t, p, "")
	mustEcho(t, p, "hello")
	large := make([]byte, 4<<20)
	for i := range large {
		large[i] = byte(rand.Uint32())
	}
	result, err := p.Run(context.Background(), Request{Module: wasmtest.Echo, Input: large})
	if err != nil || !bytes.Equal(result.Output, large) {
		t.Fatalf("%d bytes came back, error %v", len(result.Output), err)
	}
	if result.Memory != 64<<10 {
		t.Errorf("memory is %d, want one page", result.Memory)
	}
	if s := p.Stats(); s.Started != 1 || s.Loaded != 1 || s.Runs != 3 {
		t.Errorf("not kept warm: %+v", s)
	}
}

func TestRunFailures(t *testing.T) {
	p := newPool(t, nil)
	counted := make(map[Kind]uint64)
	for _, test := range []struct {
		name   string
		module []byte
		kind   Kind
		text   string
	}{
		{"trap", wasmtest.Trap, KindTrap, "unreachable"},
		{"recursion", wasmtest.Recurse, KindTrap, "stack overflow"},
		{"exit code", wasmtest.Exit3, KindExit, "3"},
		{"loop", wasmtest.Spin, KindTime, "300ms"},
		{"log flood", wasmtest.FloodLog, KindTime, "300ms"},
		{"output flood", wasmtest.FloodOut, KindOutput, "4194304"},
		{"4 GiB at once", wasmtest.Huge, KindMemory, "4096 MiB"},
		{"4 GiB by growing", wasmtest.Grow, KindMemory, "256 MiB"},
		{"a table of 1 GiB", wasmtest.Table, KindMemory, "256 MiB"},
		{"page after page", wasmtest.GrowTouch, KindMemory, "256 MiB"},
		{"not wasm", []byte("#!/bin/sh\n"), KindModule, "GOOS=wasip1"},
		{"empty", []byte{}, KindModule, "GOOS=wasip1"},
		{"text", []byte("(module)"), KindModule, "wat2wasm"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), KindModule, "component"},
		{"truncated", wasmtest.Echo[:len(wasmtest.Echo)/2], KindModule, "ends"},
		{"empty module", slices.Concat(magic, coreVersion), KindModule, "_start"},
		{"library", wasmtest.Library, KindModule, "handle"},
		{"misspelled import", wasmtest.Misspelled, KindModule, "imput"},
		{"import of another type", wasmtest.Mistyped, KindModule, "(i32 i32 i32) i32"},
		{"handle of another type", wasmtest.MistypedHandle, KindModule, "handle as (i32)"},
		{"start of another type", wasmtest.MistypedStart, KindModule, "_start as () i32"},
		{"loop before the start", wasmtest.SpinAtStart, KindTime, "300ms"},
		{"foreign import", wasmtest.Stranger, KindModule, "env"},
		{"unknown import", wasmtest.Unknown, KindModule, "fd_teleport"},
		{"invalid code", wasmtest.Invalid, KindModule, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			limits := Limits{Time: 5 * time.Minute} // for what ends by itself, however slowly
			if test.kind == KindTime {
				limits.Time = 300 * time.Millisecond
			}
			result, err := p.Run(context.Background(), Request{Module: test.module, Limits: limits})
			f := wantKind(t, err, test.kind)
			if !strings.Contains(f.Error(), test.text) {
				t.Errorf("error %q does not mention %q", f, test.text)
			}
			if len(result.Output) > 0 {
				t.Errorf("a failed run has output")
			}
			t.Logf("%v after %v", f, time.Since(began))
			counted[test.kind]++
			if diff := cmp.Diff(counted, p.Stats().Failed); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			mustEcho(t, p, "still here")
		})
	}
}

func TestExitCodeTravels(t *testing.T) {
	_, err := newPool(t, nil).Run(context.Background(), Request{Module: wasmtest.Exit3})
	if f := wantKind(t, err, KindExit); f.Exit != 3 {
		t.Errorf("exit code %d", f.Exit)
	}
}

// A table is the host's memory, not the module's: it may grow by a little only.
func TestTableBomb(t *testing.T) {
	p := newPool(t, nil)
	for _, module := range [][]byte{wasmtest.FillTables(1), wasmtest.FillTables(64)} {
		result, err := p.Run(context.Background(), Request{Module: module})
		if err != nil {
			t.Fatal(err)
		}
		if got := binary.LittleEndian.Uint32(result.Output); got > maxTableGrowth || got < maxTableGrowth/2 {
			t.Errorf("the tables grew by %d elements, want about %d", got, maxTableGrowth)
		}
	}
}

func TestKilledAtDeadline(t *testing.T) {
	p := newPool(t, nil)
	mustEcho(t, p, "warm up")
	for _, limit := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond} {
		result, err := p.Run(context.Background(), Request{Module: wasmtest.Spin, Limits: Limits{Time: limit}})
		wantKind(t, err, KindTime)
		t.Logf("limit %v: ended %v late", limit, result.Elapsed-limit)
		if late := result.Elapsed - limit; late < 0 || late > patience {
			t.Errorf("ended %v after its deadline", late)
		}
	}
}

// A run that is killed leaves its log, up to the limit.
func TestLog(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Children = 2 })
	for _, test := range []struct {
		module []byte
		want   int // bytes
		starts string
	}{
		{wasmtest.Speak, len("working\n"), "working\n"},
		{wasmtest.FloodLog, 1000, ""},
	} {
		t.Run(fmt.Sprint(test.want), func(t *testing.T) {
			t.Parallel()
			// Time enough to say something on a machine that is busy.
			limits := Limits{Time: 2 * time.Second, Log: 1000}
			result, err := p.Run(context.Background(), Request{Module: test.module, Limits: limits})
			wantKind(t, err, KindTime)
			if len(result.Log) != test.want || !strings.HasPrefix(string(result.Log), test.starts) {
				t.Errorf("a killed run left a log of %d bytes, want %d: %.20q", len(result.Log), test.want, result.Log)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	p := newPool(t, nil)
	mustEcho(t, p, "warm up")
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("job was cancelled")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if _, err := p.Run(ctx, Request{Module: wasmtest.Spin}); !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
	if _, err := p.Run(ctx, Request{Module: wasmtest.Echo}); !errors.Is(err, why) {
		t.Errorf("a cancelled context runs: %v", err)
	}
	mustEcho(t, p, "still here")
}

func TestRefused(t *testing.T) {
	p := newPool(t, nil)
	ctx := context.Background()
	for _, limits := range []Limits{{Time: 2 * time.Hour}, {Memory: 2 << 30}, {Output: 1 << 40}, {Log: -1}} {
		_, err := p.Run(ctx, Request{Module: wasmtest.Echo, Limits: limits})
		wantKind(t, err, KindLimits)
	}
	_, err := p.Run(ctx, Request{Module: wasmtest.Echo, Input: make([]byte, MaxInput+1)})
	wantKind(t, err, KindLimits)
	_, err = p.Run(ctx, Request{Module: wasmtest.Echo, Hash: [32]byte{1}})
	wantKind(t, err, KindModule)
	_, err = p.Run(ctx, Request{})
	wantKind(t, err, KindModule)
	missing := func(context.Context) ([]byte, error) { return nil, os.ErrNotExist }
	if _, err = p.Run(ctx, Request{Fetch: missing, Hash: [32]byte{1}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing module: %v", err)
	}
	if s := p.Stats(); s.Started != 0 {
		t.Errorf("%d children were started for nothing", s.Started)
	}
}

func TestNotLent(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Lent = false })
	_, err := p.Run(context.Background(), Request{Module: wasmtest.Echo})
	if !errors.Is(err, ErrNotLent) || !strings.Contains(err.Error(), "overlay.Init()") {
		t.Errorf("error is %v", err)
	}
}

func TestClose(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Children = 2 })
	mustEcho(t, p, "warm up")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := p.Run(context.Background(), Request{Module: wasmtest.Spin}); !errors.Is(err, ErrClosed) {
				t.Errorf("error is %v", err)
			}
		})
	}
	waitFor(t, func() bool { return p.Stats().Runs >= 3 })
	p.Close()
	wg.Wait()
	if _, err := p.Run(context.Background(), Request{Module: wasmtest.Echo}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if s := p.Stats(); s.Children != 0 {
		t.Errorf("%d children left", s.Children)
	}
}

func TestIdleChildrenEnd(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Idle = 100 * time.Millisecond })
	mustEcho(t, p, "one")
	waitFor(t, func() bool { return p.Stats().Children == 0 })
	mustEcho(t, p, "two")
}

// Children keep few modules, and take back from the directory what they dropped.
func TestModulesAreDropped(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Children, c.Modules = 1, 2 })
	for round := range 2 {
		for i := range 4 {
			module := wasmtest.Pages(uint32(i + 1))
			result, err := p.Run(context.Background(), Request{Module: module})
			if err != nil || result.Memory != int64(i+1)*pageSize {
				t.Fatalf("round %d, module %d: %+v, %v", round, i, result, err)
			}
		}
	}
	if s := p.Stats(); s.Loaded != 8 || s.Started != 1 {
		t.Errorf("%+v", s)
	}
}

func TestConcurrentRuns(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Children = 3 })
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			input := fmt.Sprintf("input %d", i)
			if i%10 == 9 {
				_, err := p.Run(context.Background(), Request{Module: wasmtest.Spin, Limits: Limits{Time: 30 * time.Millisecond}})
				var f *Error
				if !errors.As(err, &f) || f.Kind != KindTime {
					t.Errorf("run %d: %v", i, err)
				}
				return
			}
			result, err := p.Run(context.Background(), Request{Module: wasmtest.Echo, Input: []byte(input)})
			if err != nil || string(result.Output) != input {
				t.Errorf("run %d: %q, %v", i, result.Output, err)
			}
		})
	}
	wg.Wait()
	if s := p.Stats(); s.Children > 3 || s.Runs != 60 {
		t.Errorf("%+v", s)
	}
}

func TestManyHostileThenGood(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Children = 1 })
	hostile := [][]byte{wasmtest.Spin, wasmtest.Recurse, wasmtest.FloodOut, wasmtest.Grow, wasmtest.Trap}
	for i := range 20 {
		_, err := p.Run(context.Background(), Request{Module: hostile[i%len(hostile)], Limits: Limits{Time: 100 * time.Millisecond}})
		var f *Error
		if !errors.As(err, &f) || f.Kind == KindCrashed {
			t.Fatalf("run %d: %v", i, err)
		}
	}
	mustEcho(t, p, "good")
}

// A module is fetched when no warm child has it.
func TestFetch(t *testing.T) {
	p := newPool(t, nil)
	fetched := 0
	request := Request{Hash: sum(wasmtest.Echo), Input: []byte("from afar"), Fetch: func(context.Context) ([]byte, error) {
		fetched++
		return wasmtest.Echo, nil
	}}
	for range 3 {
		result, err := p.Run(context.Background(), request)
		if err != nil || string(result.Output) != "from afar" {
			t.Fatalf("%q, %v", result.Output, err)
		}
	}
	if fetched != 1 {
		t.Errorf("fetched %d times", fetched)
	}
	request.Hash[0]++
	_, err := p.Run(context.Background(), request)
	wantKind(t, err, KindModule)
}

// patience is how long a test waits for what should take no time.
const patience = time.Minute

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen within %v", patience)
		}
	}
}
