package overlay

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/wasm"
	"github.com/chorus-net/chorus/store"
)

// What a module may name is what the store takes.
const (
	_ = uint(wasm.MaxKey - store.MaxKey)
	_ = uint(wasm.MaxValue - store.MaxValue)
	_ = uint(compute.MaxGrant - store.MaxKey/2)
)

// grant is the part of the store that a module may use: the keys of a namespace.
type grant struct {
	n         *Node
	namespace string
}

var _ wasm.Store = grant{}

// granted serves a namespace to a module. Who granted it is another peer, maybe: what
// belongs to the system is nobody's to grant, nor is an owned namespace: this peer would sign.
func (n *Node) granted(namespace string) wasm.Store { return grant{n, namespace} }

// checkGrant refuses what cannot be granted.
func checkGrant(namespace string) error {
	if namespace == "" {
		return nil
	}
	return checkNamespace(namespace)
}

// check refuses keys of other namespaces.
func (g grant) check(key string) error {
	ns, name := store.SplitKey(key)
	switch err := checkKey(ns, name); {
	case strings.HasPrefix(g.namespace, "_") || store.IsOwned(g.namespace) || ns != g.namespace:
		return fmt.Errorf("key %.60q: %w: the task may use keys of namespace %q", key, wasm.ErrNotGranted, g.namespace)
	case err != nil:
		return err
	}
	return nil
}

// Get reads a key as a quorum has it.
func (g grant) Get(ctx context.Context, key string) ([]byte, error) {
	if err := g.check(key); err != nil {
		return nil, err
	}
	rec, err := g.n.Get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", wasm.ErrNoKey, err)
	}
	return rec.Value, err
}

// Put writes a key, as its namespace says.
func (g grant) Put(ctx context.Context, key string, value []byte) error {
	if err := g.check(key); err != nil {
		return err
	}
	_, err := g.n.Put(ctx, key, value)
	return err
}
