package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/wasm"
)

// Sandbox runs the tasks of WebAssembly modules in the child processes of a
// wasm.Pool. It may be used from any goroutine.
type Sandbox struct {
	Pool *wasm.Pool
	// Fetch returns a module's bytes, which have the hash that the code names.
	Fetch func(ctx context.Context, code compute.Code) ([]byte, error)
}

var _ ModuleRunner = (*Sandbox)(nil)

// RunModule runs one attempt. The module's random bytes follow from the task, so
// that every attempt gives the same output. What another peer might do better
// (it could not fetch the module, its sandbox failed, it grants too little)
// counts as a crash; what the module did is an error.
func (s *Sandbox) RunModule(ctx context.Context, t *compute.Task) compute.Result {
	module, err := s.Fetch(ctx, t.Code)
	if err != nil {
		return compute.Result{Crashed: true, Err: fmt.Sprintf("fetch module %x: %v", t.Code.Module[:4], err)}
	}
	out, err := s.Pool.Run(ctx, wasm.Request{
		Module: module,
		Hash:   t.Code.Module,
		Input:  t.Input,
		Seed:   sha256.Sum256(t.ID[:]),
		Limits: wasm.Limits{Time: t.Limits.Time, Memory: t.Limits.Memory, Output: t.Limits.Output},
	})
	r := compute.Result{Output: out.Output, Log: out.Log}
	if err != nil {
		r.Output, r.Err, r.Crashed = nil, errorText(err), elsewhere(err)
	}
	return r
}

// elsewhere reports whether another peer may succeed where this one failed.
func elsewhere(err error) bool {
	var failure *wasm.Error
	if !errors.As(err, &failure) {
		return true
	}
	return failure.Kind == wasm.KindCrashed || failure.Kind == wasm.KindLimits
}
