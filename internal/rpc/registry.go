package rpc

import (
	"cmp"
	"fmt"
	"slices"
)

// Spec declares a handler: what it is called, who may call it, how much it
// takes.
type Spec struct {
	// Name appears in errors, logs and listings, as "store.write".
	Name string
	// Role is what a caller needs.
	Role Role
	// MaxBytes bounds the payload of a request. Zero: DefaultMaxBytes.
	MaxBytes int
	// Inline runs the handler on the goroutine that reads the stream: fast, but
	// it must not block, and its context has no deadline of its own.
	Inline bool
}

// DefaultMaxBytes bounds the payload of requests whose Spec sets no bound.
const DefaultMaxBytes = 64 << 10

// Registry is the one gate: the handlers of a peer, each with the role that it
// needs. Fill it before the first connection uses it; it is read without locks
// from then on.
type Registry struct {
	handlers map[Method]*entry
}

type entry struct {
	Spec
	handle Handler
}

// NewRegistry returns an empty registry, which refuses every call.
func NewRegistry() *Registry {
	return &Registry{handlers: make(map[Method]*entry)}
}

// Handle adds the handler of a method. It panics if the method or the name is
// taken or the Spec is incomplete: that is a bug of the program.
func (r *Registry) Handle(m Method, s Spec, h Handler) {
	if s.Name == "" || h == nil || s.MaxBytes < 0 {
		panic(fmt.Sprintf("rpc: method %d needs a name, a handler and a bound of 0 or more", m))
	}
	for have, e := range r.handlers {
		if have == m || e.Name == s.Name {
			panic(fmt.Sprintf("rpc: method %d %q is taken by %d %q", m, s.Name, have, e.Name))
		}
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = DefaultMaxBytes
	}
	r.handlers[m] = &entry{Spec: s, handle: h}
}

// Listing is one line of a registry.
type Listing struct {
	Method Method
	Spec
}

// List returns what is registered, ordered by method.
func (r *Registry) List() []Listing {
	list := make([]Listing, 0, len(r.handlers))
	for m, e := range r.handlers {
		list = append(list, Listing{Method: m, Spec: e.Spec})
	}
	slices.SortFunc(list, func(a, b Listing) int { return cmp.Compare(a.Method, b.Method) })
	return list
}

// admit is the gate: it returns the handler that role may call with a payload
// of n bytes.
func (r *Registry) admit(m Method, role Role, n int) (*entry, *Error) {
	e := r.handlers[m]
	if e == nil {
		return nil, &Error{Code: CodeUnknownMethod, Message: fmt.Sprintf("no handler for method %d", m)}
	}
	if !role.Allows(e.Role) {
		return nil, &Error{Code: CodeRefused, Message: fmt.Sprintf("%s needs role %s, caller has %s", e.Name, e.Role, role)}
	}
	if n > e.MaxBytes {
		return nil, &Error{Code: CodeTooLarge, Message: fmt.Sprintf("%s takes %d bytes, got %d", e.Name, e.MaxBytes, n)}
	}
	return e, nil
}
