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
	funcs map[string]Func
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{funcs: make(map[string]Func)} }

// Register adds a function. A name without a version means version 1; see
// compute.FuncName. It fails if the name is not allowed or taken.
func (r *Registry) Register(name string, fn Func) error {
	full, err := compute.FuncName(name)
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.funcs[full]; ok {
		return fmt.Errorf("register %s: %w", full, ErrRegistered)
	}
	r.funcs[full] = fn
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

func (r *Registry) lookup(name string) Func {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.funcs[name]
}
