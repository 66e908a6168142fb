//go:build unix

package wasm_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/compute/wasm"
)

// Check tells what is wrong with a file before anything else is done with it.
func ExampleCheck() {
	err := wasm.Check([]byte("#!/bin/sh\necho hello\n"))
	var failure *wasm.Error
	fmt.Println(errors.As(err, &failure), failure.Kind)
	// Output: true not-wasm
}

// A program lends itself in main, and then runs modules.
func ExamplePool() {
	main := func() {
		wasm.RunIfChild() // first thing; overlay.Init does it for programs that embed a peer

		pool, err := wasm.New(wasm.Config{CacheDir: "/var/lib/app/wasm", Lent: true})
		if err != nil {
			log.Fatal(err)
		}
		defer pool.Close()
		result, err := pool.Run(context.Background(), wasm.Request{
			Hash:  [32]byte{ /* the module's SHA-256 */ },
			Fetch: func(context.Context) ([]byte, error) { return os.ReadFile("/var/lib/app/upper.wasm") },
			Input: []byte("shout this"),
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", result.Output) // SHOUT THIS
	}
	_ = main
}

// build builds a module for WASI and keeps it between runs of the tests, with
// its compiled code beside it. Flags make it a reactor.
func build(t testing.TB, source string, flags ...string) (pool *wasm.Pool, module []byte) {
	t.Helper()
	if testing.Short() {
		t.Skip("compiling a module that Go built takes seconds")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go tool")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "chorus-test-wasm")
	path := filepath.Join(dir, filepath.Base(source)+".wasm")
	cmd := exec.Command("go", slices.Concat([]string{"build", "-o", path}, flags, []string{source})...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if module, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	pool, err = wasm.New(wasm.Config{CacheDir: filepath.Join(dir, "compiled"), Lent: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return pool, module
}

func TestGoModule(t *testing.T) {
	t.Parallel()
	pool, module := build(t, "./example/upper")
	for range 2 {
		result, err := pool.Run(t.Context(), wasm.Request{Module: module, Input: []byte("shout this")})
		if err != nil {
			t.Fatal(err)
		}
		if string(result.Output) != "SHOUT THIS" || string(result.Log) != "10 bytes of input\n" {
			t.Fatalf("output %q, log %q", result.Output, result.Log)
		}
		t.Logf("ran %v in %d KiB", result.Elapsed, result.Memory>>10)
	}
}

const asReactor = "-buildmode=c-shared"

func TestGoReactor(t *testing.T) {
	t.Parallel()
	pool, module := build(t, "./example/checksum", asReactor)
	for i := range 3 {
		input := fmt.Appendf(nil, "sum this %d", i)
		result, err := pool.Run(t.Context(), wasm.Request{Module: module, Input: input})
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%x", sha256.Sum256(input)); string(result.Output) != want {
			t.Fatalf("output %q, want %q", result.Output, want)
		}
		t.Logf("ran %v in %d KiB, warm: %v", result.Elapsed, result.Memory>>10, result.Warm)
	}
}

// A reactor that a C compiler made, where there is one that can; the modules of package
// wasmtest have the same form.
func TestCReactor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reverse.wasm")
	cmd := exec.Command("clang", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-o", path, "example/reverse/reverse.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("no clang that makes WebAssembly: %v: %s", err, out)
	}
	module, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := wasm.New(wasm.Config{CacheDir: t.TempDir(), Lent: true})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for range 2 {
		result, err := pool.Run(t.Context(), wasm.Request{Module: module, Input: []byte("desserts")})
		if err != nil || string(result.Output) != "stressed" {
			t.Errorf("%q, %v", result.Output, err)
		}
	}
}

// Whatever a call of a Go reactor leaves behind, the next one is like the first.
func TestGoReactorKeepsNothing(t *testing.T) {
	t.Parallel()
	pool, module := build(t, "./testdata/keeper", asReactor)
	var first string
	for i := range 5 {
		result, err := pool.Run(t.Context(), wasm.Request{Module: module, Input: []byte("same")})
		if err != nil {
			t.Fatalf("call %d: %v: %s", i, err, result.Log)
		}
		if i == 0 {
			first = string(result.Output)
			t.Log(first)
		}
		if string(result.Output) != first || result.Warm != (i > 0) {
			t.Errorf("call %d, warm: %v:\n%s", i, result.Warm, result.Output)
		}
	}
}

// A module divides its task, and joins what the parts put out.
func TestGoSpawn(t *testing.T) {
	t.Parallel()
	pool, module := build(t, "./example/primes", asReactor)
	runs := 0
	var count func(input string) []byte
	count = func(input string) []byte {
		run := func(request wasm.Request) wasm.Result {
			runs++
			request.Module = module
			result, err := pool.Run(t.Context(), request)
			if err != nil {
				t.Fatalf("%v: %s", err, result.Log)
			}
			return result
		}
		result := run(wasm.Request{Input: []byte(input)})
		if result.Spawned == nil {
			return result.Output
		}
		var parts [][]byte
		for _, in := range result.Spawned {
			parts = append(parts, count(string(in)))
		}
		return run(wasm.Request{Input: result.Output, Parts: parts}).Output
	}
	if got := string(count("0 100000")); got != "9592" {
		t.Errorf("%s primes below 100,000, want 9592", got)
	}
	if runs != 8+7+7 { // leaves, and inner nodes twice
		t.Errorf("it took %d runs", runs)
	}
}

// shelf holds what a module may read and write.
type shelf map[string]string

func (s shelf) Get(_ context.Context, key string) ([]byte, error) {
	if !strings.HasPrefix(key, "books/") {
		return nil, fmt.Errorf("key %q: %w", key, wasm.ErrNotGranted)
	}
	return []byte(s[key]), nil
}

func (s shelf) Put(_ context.Context, key string, value []byte) error {
	s[key] = string(value)
	return nil
}

func TestGoStore(t *testing.T) {
	t.Parallel()
	pool, module := build(t, "./example/words", asReactor)
	books := shelf{"books/moby": "Call me Ishmael"}
	result, err := pool.Run(t.Context(), wasm.Request{Module: module, Input: []byte("books/moby"), Store: books})
	if err != nil || string(result.Output) != "3" || books["books/moby.words"] != "3" {
		t.Errorf("%q, %v, %v", result.Output, err, books)
	}
	result, err = pool.Run(t.Context(), wasm.Request{Module: module, Input: []byte("safe/code"), Store: books})
	if err == nil || string(result.Log) != "key \"safe/code\": not granted\n" {
		t.Errorf("%v, log %q", err, result.Log)
	}
}

// What a module sees is the same each time and everywhere, but for what the
// seed decides, and nothing of it is the host's.
func TestSeesNothing(t *testing.T) {
	t.Setenv("CHORUS_TEST_SECRET", "swordfish")
	pool, module := build(t, "./testdata/probe")
	run := func(seed [32]byte) string {
		t.Helper()
		result, err := pool.Run(t.Context(), wasm.Request{Module: module, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return string(result.Output)
	}
	first := run([32]byte{})
	t.Log(first)
	if run([32]byte{}) != first {
		t.Error("a second run differs")
	}
	if run([32]byte{1}) == first {
		t.Error("the seed makes no difference")
	}
	const want = `args ["task"]
env []
open /: true
open .: true
open /etc/passwd: true
open /proc/self/environ: true
create: true
clock `
	if !strings.HasPrefix(first, want) {
		t.Errorf("it sees\n%swant\n%s", first, want)
	}
}

func BenchmarkGoModule(b *testing.B) {
	pool, module := build(b, "./example/upper")
	benchmark(b, pool, wasm.Request{Module: module, Input: []byte("shout this")})
}

func BenchmarkGoReactor(b *testing.B) {
	pool, module := build(b, "./example/checksum", asReactor)
	benchmark(b, pool, wasm.Request{Module: module, Hash: sha256.Sum256(module), Input: []byte("sum this")})
}

func benchmark(b *testing.B, pool *wasm.Pool, request wasm.Request) {
	if _, err := pool.Run(b.Context(), request); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := pool.Run(b.Context(), request); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
