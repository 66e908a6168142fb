//go:build unix

package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
			Path:  "/var/lib/app/upper.wasm",
			Hash:  [32]byte{ /* the file's SHA-256 */ },
			Input: []byte("shout this"),
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", result.Output) // SHOUT THIS
	}
	_ = main
}

// build builds a command for WASI and keeps it between runs of the tests, with
// its compiled code beside it.
func build(t testing.TB, source string) (pool *wasm.Pool, module []byte) {
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
	cmd := exec.Command("go", "build", "-o", path, source)
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
	request := wasm.Request{Module: module, Input: []byte("shout this")}
	if _, err := pool.Run(b.Context(), request); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := pool.Run(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}
