//go:build unix

package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/wasm"
	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
)

// The bounds of package wasm, which knows nothing of tasks, are those of tasks.
func TestSandboxBounds(t *testing.T) {
	if wasm.MaxParts != compute.MaxFork || wasm.MaxPartBytes != compute.MaxBlob {
		t.Errorf("a module may spawn %d parts of %d bytes; a task %d of %d",
			wasm.MaxParts, wasm.MaxPartBytes, compute.MaxFork, compute.MaxBlob)
	}
}

func newSandbox(t *testing.T, modules ...[]byte) *Sandbox {
	t.Helper()
	pool, err := wasm.New(wasm.Config{CacheDir: t.TempDir(), Lent: true, Children: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Sandbox{Pool: pool, Fetch: func(_ context.Context, code compute.Code) ([]byte, error) {
		for _, m := range modules {
			if sha256.Sum256(m) == code.Module {
				return m, nil
			}
		}
		return nil, errors.New("nobody has it")
	}}
}

func moduleTask(module []byte, id byte, input string) *compute.Task {
	return &compute.Task{ID: compute.ID{id}, Attempt: 1, Code: compute.Code{Module: sha256.Sum256(module)}, Input: []byte(input)}
}

func TestModuleOutcomes(t *testing.T) {
	s := newSandbox(t, wasmtest.EchoReactor, wasmtest.Trap, wasmtest.Halves, wasmtest.Echo)
	large := moduleTask(wasmtest.EchoReactor, 1, "")
	large.Limits.Memory = 1 << 40
	joining := moduleTask(wasmtest.Halves, 1, "")
	joining.Join, joining.Parts = true, [][]byte{[]byte("said"), []byte("I ")}
	for _, test := range []struct {
		name string
		task *compute.Task
		want compute.Result
		err  string
	}{
		{name: "output", task: moduleTask(wasmtest.EchoReactor, 1, "hello"), want: compute.Result{Output: []byte("hello")}},
		{name: "division", task: moduleTask(wasmtest.Halves, 1, "abcd"), want: compute.Result{Fork: [][]byte{[]byte("ab"), []byte("cd")}}},
		{name: "join", task: joining, want: compute.Result{Output: []byte("I said")}},
		{name: "trap", task: moduleTask(wasmtest.Trap, 1, ""), err: "unreachable"},
		{name: "no module", task: moduleTask([]byte("elsewhere"), 1, ""), err: "nobody has it", want: compute.Result{Crashed: true}},
		{name: "more than is granted", task: large, err: "grants", want: compute.Result{Crashed: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := s.RunModule(t.Context(), test.task)
			if !strings.Contains(got.Err, test.err) || test.err == "" && got.Err != "" {
				t.Errorf("error %q, want one with %q", got.Err, test.err)
			}
			got.Err = ""
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The same code with the same input gives the same output, whichever task it is;
// another input gives other random bytes.
func TestModuleRepeats(t *testing.T) {
	s := newSandbox(t, wasmtest.Random)
	run := func(task *compute.Task) []byte {
		t.Helper()
		r := s.RunModule(t.Context(), task)
		if !r.OK() || len(r.Output) != 8 {
			t.Fatalf("%+v", r)
		}
		return r.Output
	}
	first := run(moduleTask(wasmtest.Random, 1, "a"))
	if again := run(moduleTask(wasmtest.Random, 2, "a")); !bytes.Equal(again, first) {
		t.Errorf("%x and then %x", first, again)
	}
	if other := run(moduleTask(wasmtest.Random, 1, "b")); bytes.Equal(other, first) {
		t.Errorf("%x for another input, too", other)
	}
}
