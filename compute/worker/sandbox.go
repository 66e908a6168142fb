package worker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/wasm"
)

// Sandbox runs the tasks of WebAssembly modules in the child processes of a
// wasm.Pool. It may be used from any goroutine.
type Sandbox struct {
	Pool *wasm.Pool
	// Fetch returns a module's bytes, which have the hash that the code names. It is
	// called when no child of the pool has the module.
	Fetch func(ctx context.Context, code compute.Code) ([]byte, error)
	// Store returns what serves the keys of a namespace, and only those, to a module
	// that was granted it.
	Store func(namespace string) wasm.Store
}

var _ ModuleRunner = (*Sandbox)(nil)

// RunModule runs one attempt. The module's random bytes follow from the code and what
// it is handed, so that every run gives the same output. What another peer might do
// better (it could not fetch the module, its sandbox failed, it grants too little)
// counts as a crash; what the module did is an error.
func (s *Sandbox) RunModule(ctx context.Context, t *compute.Task) compute.Result {
	var store wasm.Store
	if t.Limits.Grant != "" {
		store = s.Store(t.Limits.Grant)
	}
	out, err := s.Pool.Run(ctx, wasm.Request{
		Hash:   t.Code.Module,
		Fetch:  func(ctx context.Context) ([]byte, error) { return s.Fetch(ctx, t.Code) },
		Input:  t.Input,
		Parts:  t.Parts,
		Seed:   seed(t),
		Store:  store,
		Limits: wasm.Limits{Time: t.Limits.Time, Memory: t.Limits.Memory, Output: t.Limits.Output},
	})
	r := compute.Result{Output: out.Output, Fork: out.Spawned, Log: out.Log}
	if err != nil {
		r.Err, r.Crashed = errorText(err), elsewhere(err)
	}
	return r
}

// seed is the hash of the module, the input, and what is joined.
func seed(t *compute.Task) [32]byte {
	h := sha256.New()
	add := func(b []byte) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	add(t.Code.Module[:])
	add(t.Input)
	for _, p := range t.Parts {
		add(p)
	}
	return [32]byte(h.Sum(nil))
}

// elsewhere reports whether another peer may succeed where this one failed.
func elsewhere(err error) bool {
	var failure *wasm.Error
	if !errors.As(err, &failure) {
		return true
	}
	return failure.Kind == wasm.KindCrashed || failure.Kind == wasm.KindLimits
}
