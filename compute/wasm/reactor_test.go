//go:build unix

package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
)

func call(t testing.TB, p *Pool, module []byte, input string) Result {
	t.Helper()
	result, err := p.Run(context.Background(), Request{Module: module, Input: []byte(input)})
	if err != nil {
		t.Fatalf("%v; log %q", err, result.Log)
	}
	return result
}

// A reactor is called many times, and none of the calls sees what another left:
// in its memory, in its variables, or in the size of its memory.
func TestReactor(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Children = 1 })
	for i := range 5 {
		input := fmt.Sprint("call ", i)
		if result := call(t, p, wasmtest.EchoReactor, input); string(result.Output) != input {
			t.Fatalf("call %d: %q", i, result.Output)
		}
		counts := call(t, p, wasmtest.Counter, "")
		want := []uint32{0, 0, 1}
		for n, w := range want {
			if got := binary.LittleEndian.Uint32(counts.Output[4*n:]); got != w {
				t.Errorf("call %d: number %d is %d, want %d", i, n, got, w)
			}
		}
		if counts.Warm != (i > 0) {
			t.Errorf("call %d: warm is %v", i, counts.Warm)
		}
		if counts.Memory != 4*pageSize {
			t.Errorf("call %d took %d bytes, want the 4 pages that it grew to", i, counts.Memory)
		}
	}
	if s := p.Stats(); s.Started != 1 || s.Loaded != 2 {
		t.Errorf("not kept warm: %+v", s)
	}
	if out := call(t, p, wasmtest.Ready, "").Output; !bytes.Equal(out, []byte{7, 0, 0, 0}) {
		t.Errorf("what _initialize did is not there: %v", out)
	}
	sum := sha256.Sum256([]byte("hash me"))
	if out := call(t, p, wasmtest.Sum, "hash me").Output; !bytes.Equal(out, sum[:]) {
		t.Errorf("sum is %x, want %x", out, sum)
	}
}

func TestReactorFailures(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Children = 1 })
	for _, test := range []struct {
		name   string
		module []byte
		limits Limits
		kind   Kind
		text   string
	}{
		{"code", wasmtest.Refuse, Limits{}, KindExit, "5"},
		{"loop", wasmtest.SpinReactor, Limits{Time: 200 * time.Millisecond}, KindTime, "200ms"},
		{"loop before the call", wasmtest.SpinWhenMade, Limits{Time: 200 * time.Millisecond}, KindTime, "200ms"},
		{"spawn flood", wasmtest.FloodSpawn, Limits{}, KindSpawn, "1024 parts"},
		{"memory of nobody", wasmtest.OutOfBounds, Limits{}, KindTrap, "32 bytes at 4294967280"},
		{"output over its limit", wasmtest.EchoReactor, Limits{Output: 3}, KindOutput, "3 bytes"},
		{"log flood", wasmtest.FloodLogByCall, Limits{Time: 200 * time.Millisecond}, KindTime, "200ms"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result, err := p.Run(context.Background(), Request{Module: test.module, Input: []byte("input"), Limits: test.limits})
			if f := wantKind(t, err, test.kind); !strings.Contains(f.Text, test.text) {
				t.Errorf("error %q does not mention %q", f, test.text)
			}
			if result.Output != nil || result.Spawned != nil {
				t.Errorf("a failed call left %q and %d parts", result.Output, len(result.Spawned))
			}
			if out := call(t, p, wasmtest.EchoReactor, "still here").Output; string(out) != "still here" {
				t.Errorf("then %q", out)
			}
		})
	}
}

// A warm instance obeys the limit of each call, not of the one that it was made for.
func TestReactorMemoryLimit(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Children = 1 })
	run := func(pages int64) (Result, error) {
		return p.Run(context.Background(), Request{Module: wasmtest.Counter, Limits: Limits{Memory: pages * pageSize}})
	}
	for _, pages := range []int64{2, 4, 2, 1} {
		result, err := run(pages)
		if err != nil {
			t.Fatal(err)
		}
		// With room for fewer than three more the module goes on without them.
		if want := min(pages, 4); pages == 4 && result.Memory != want*pageSize || pages < 4 && result.Memory != pageSize {
			t.Errorf("with a limit of %d pages it took %d bytes", pages, result.Memory)
		}
	}
	large := wasmtest.Pages(3)
	_, err := p.Run(context.Background(), Request{Module: large, Limits: Limits{Memory: pageSize}})
	wantKind(t, err, KindMemory)
}

// Instances that wait give way when they take too much memory together.
func TestReactorsGiveWay(t *testing.T) {
	const each = 100 << 20
	p := newPool(t, func(c *Config) { // has no room for five
		c.Children, c.Ceiling.Memory, c.spare = 1, each, 3*each
	})
	for round := range 2 {
		for i := range 6 {
			m := wasmtest.Reactor(wasmtest.Join(wasmtest.I32(int32(i)), wasmtest.Drop))
			m.Pages = each / pageSize
			result, err := p.Run(context.Background(), Request{Module: m.Assemble()})
			if err != nil || result.Memory != each {
				t.Fatalf("round %d, module %d: %d bytes, %v", round, i, result.Memory, err)
			}
		}
	}
	if s := p.Stats(); s.Started != 1 || s.Loaded != 6 {
		t.Errorf("%+v", s)
	}
}

// The child that has an instance may die at any time.
func TestReactorOfKilledChild(t *testing.T) {
	p := newPool(t, func(c *Config) { c.Children = 1 })
	for range 3 {
		call(t, p, wasmtest.Counter, "")
		for _, pid := range pids(p) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			waitFor(t, func() bool { return gone(pid) && !p.anyAlive() })
		}
	}
	if s := p.Stats(); s.Started != 3 {
		t.Errorf("%+v", s)
	}
}

// anyAlive reports whether a child is not known to be dead.
func (p *Pool) anyAlive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.children {
		if c.alive() {
			return true
		}
	}
	return false
}

// A run may divide its task; what its parts put out is joined by a later run.
func TestSpawn(t *testing.T) {
	p := newPool(t, nil)
	var reverse func(input []byte) []byte
	reverse = func(input []byte) []byte {
		result, err := p.Run(context.Background(), Request{Module: wasmtest.Halves, Input: input})
		if err != nil {
			t.Fatal(err)
		}
		if result.Spawned == nil {
			return result.Output
		}
		parts := make([][]byte, len(result.Spawned))
		for i, in := range result.Spawned {
			parts[i] = reverse(in)
		}
		joined, err := p.Run(context.Background(), Request{Module: wasmtest.Halves, Input: result.Output, Parts: parts})
		if err != nil {
			t.Fatal(err)
		}
		return joined.Output
	}
	const text = "desserts, I said"
	want := []byte(text)
	slices.Reverse(want)
	if got := reverse([]byte(text)); !bytes.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	parts := slices.Repeat([][]byte{nil}, MaxParts+1)
	_, err := p.Run(context.Background(), Request{Module: wasmtest.Halves, Parts: parts})
	wantKind(t, err, KindLimits)
	_, err = p.Run(context.Background(), Request{Module: wasmtest.FloodSpawn, Parts: parts[:1]})
	wantKind(t, err, KindSpawn)
}

// shelf is a store of one namespace.
type shelf map[string]string

func (s shelf) check(key string) error {
	if !strings.HasPrefix(key, "shelf/") {
		return fmt.Errorf("key %q: %w: only shelf/", key, ErrNotGranted)
	}
	return nil
}

func (s shelf) Get(_ context.Context, key string) ([]byte, error) {
	if key == "shelf/broken" {
		return nil, errors.New("it is raining in")
	}
	if key == "shelf/huge" {
		return make([]byte, MaxValue+1), nil
	}
	v, ok := s[key]
	if err := s.check(key); err != nil || ok {
		return []byte(v), err
	}
	return nil, fmt.Errorf("key %q: %w", key, ErrNoKey)
}

func (s shelf) Put(_ context.Context, key string, value []byte) error {
	if err := s.check(key); err != nil {
		return err
	}
	s[key] = string(value)
	return nil
}

func TestStore(t *testing.T) {
	p := newPool(t, nil)
	store := shelf{"shelf/7": "seven"}
	for _, test := range []struct {
		module   []byte
		key      string
		store    Store
		out, log string
		code     int32
	}{
		{module: wasmtest.Fetch, key: "shelf/7", store: store, out: "seven"},
		{module: wasmtest.Fetch, key: "shelf/8", store: store, code: codeNotFound, log: `"shelf/8": no such key`},
		{module: wasmtest.Fetch, key: "attic/8", store: store, code: codeRefused, log: `"attic/8": not granted: only shelf/`},
		{module: wasmtest.Fetch, key: "shelf/broken", store: store, code: codeFailed, log: "raining"},
		{module: wasmtest.Fetch, key: "shelf/huge", store: store, code: codeFailed, log: "524289 bytes"},
		{module: wasmtest.Fetch, key: strings.Repeat("k", MaxKey+1), store: store, code: codeFailed, log: "1025 bytes"},
		{module: wasmtest.Fetch, key: "shelf/7", code: codeRefused, log: "without a namespace"},
		{module: wasmtest.Keep, key: "shelf/8", store: store},
		{module: wasmtest.Fetch, key: "shelf/8", store: store, out: "kept"},
		{module: wasmtest.Keep, key: "attic/8", store: store, code: codeRefused, log: "attic/8"},
		{module: wasmtest.Keep, key: "", store: store, code: codeRefused, log: `""`},
	} {
		result, err := p.Run(context.Background(), Request{Module: test.module, Input: []byte(test.key), Store: test.store})
		if string(result.Output) != test.out || !strings.Contains(string(result.Log), test.log) {
			t.Errorf("%.20q: %q, log %q", test.key, result.Output, result.Log)
		}
		if test.code == 0 && err == nil {
			continue
		}
		if f := wantKind(t, err, KindExit); int32(f.Exit) != test.code {
			t.Errorf("%.20q: code %d, want %d", test.key, int32(f.Exit), test.code)
		}
	}
	if _, there := store["attic/8"]; there || len(store) != 2 {
		t.Errorf("the store has %v", store)
	}
}

// tarpit is a store that does not answer.
type tarpit struct{}

func (tarpit) Get(ctx context.Context, _ string) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (tarpit) Put(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// A module that waits for the store is over when its time is, or its job.
func TestStoreThatHangs(t *testing.T) {
	p := newPool(t, nil)
	request := Request{Module: wasmtest.Fetch, Input: []byte("key"), Store: tarpit{}, Limits: Limits{Time: 100 * time.Millisecond}}
	_, err := p.Run(context.Background(), request)
	wantKind(t, err, KindTime)

	request.Limits.Time = time.Hour
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("job was cancelled")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if _, err = p.Run(ctx, request); !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
	mustEcho(t, p, "still here")
}
