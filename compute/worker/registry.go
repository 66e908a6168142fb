package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/chorus-net/chorus/compute"
)

// Func is a Go function that tasks may run. It should return soon after ctx
// ends, must not keep or change input, and may be called many times at once.
type Func func(ctx context.Context, input []byte) ([]byte, error)

// ErrRegistered refuses a second function of the same name and version.
var ErrRegistered = errors.New("already registered")

// Registry holds functions by name and version.
type Registry struct {
	mu    sync.RWMutex
	funcs map[string]entry
}

// entry runs a task. Of its result the output and the parts count.
type entry func(context.Context, *compute.Task) (compute.Result, error)

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{funcs: make(map[string]entry)} }

// Register adds a function. A name without a version means version 1; see
// compute.FuncName. It fails if the name is not allowed or taken.
func (r *Registry) Register(name string, fn Func) error {
	return r.add(name, func(ctx context.Context, t *compute.Task) (compute.Result, error) {
		out, err := fn(ctx, t.Input)
		return compute.Result{Output: out}, err
	})
}

func (r *Registry) add(name string, run entry) error {
	full, err := compute.FuncName(name)
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.funcs[full]; ok {
		return fmt.Errorf("register %s: %w", full, ErrRegistered)
	}
	r.funcs[full] = run
	return nil
}

// Names returns the full names of all functions, sorted.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.funcs))
	for name := range r.funcs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r *Registry) lookup(name string) entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.funcs[name]
}
