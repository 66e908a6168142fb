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
	"runtime"
	"sync"
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

// buildUpper builds the example once and keeps it between runs of the tests,
// with its compiled code beside it.
var buildUpper = sync.OnceValues(func() (dir string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, "chorus-test-wasm")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	build := exec.Command(filepath.Join(runtime.GOROOT(), "bin", "go"), "build", "-o", filepath.Join(dir, "upper.wasm"), "./example/upper")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

func upper(t testing.TB) (*wasm.Pool, []byte) {
	t.Helper()
	if testing.Short() {
		t.Skip("compiling a module that Go built takes seconds")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go tool")
	}
	dir, err := buildUpper()
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(filepath.Join(dir, "upper.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := wasm.New(wasm.Config{CacheDir: filepath.Join(dir, "compiled"), Lent: true})
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
	pool, module := upper(t)
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

func BenchmarkGoModule(b *testing.B) {
	pool, module := upper(b)
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
