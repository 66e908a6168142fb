package wasm

import (
	"errors"
	"fmt"
)

// Kind says why a run failed. The words are stable: scripts see them.
type Kind string

// The kinds of failure.
const (
	KindTrap   Kind = "trap"         // the module did what WebAssembly forbids: unreachable, out of bounds, stack overflow
	KindExit   Kind = "exit"         // it ended with an exit code other than 0
	KindTime   Kind = "time-limit"   // killed at its deadline, or its compilation took too long
	KindMemory Kind = "memory-limit" // it failed after it was refused memory, or needs more to start
	KindOutput Kind = "output-limit" // it wrote more than its limit
	KindSpawn  Kind = "spawn-limit"  // it spawned more than a run may, or while it joined
	KindLimits Kind = "limits"       // the request asks for more than this pool grants; another peer may
	KindModule Kind = "not-wasm"     // these bytes are no module that can run here
	// KindCrashed is a failure of the machinery, not of the module: the child
	// was killed by somebody else, or broke the protocol. Another attempt may do.
	KindCrashed Kind = "crashed"
)

// Kinds are all kinds of failure.
var Kinds = [...]Kind{KindTrap, KindExit, KindTime, KindMemory, KindOutput, KindSpawn, KindLimits, KindModule, KindCrashed}

// Error is how a run failed. Every error of [Pool.Run] that concerns the module
// or the child is one; the others are [ErrNotLent], [ErrClosed] and the
// context's own.
type Error struct {
	Kind Kind
	// Exit is the module's exit code, for KindExit.
	Exit uint32
	// Text explains, in a few lines at most: a trap's stack, which limit it was.
	Text string
}

// Error gives the kind and the explanation.
func (e *Error) Error() string {
	if e.Text == "" {
		return "wasm: " + string(e.Kind)
	}
	return "wasm: " + string(e.Kind) + ": " + e.Text
}

// Errors of a pool that concern neither module nor child.
var (
	// ErrNotLent is returned by Run when the program did not lend itself.
	ErrNotLent = errors.New("wasm: this program does not lend itself as the sandbox: call overlay.Init() first thing in main")
	// ErrClosed is returned by Run once the pool is closed.
	ErrClosed = errors.New("wasm: pool is closed")
)

// Errors that a [Store] wraps to say how a call went; the module sees a code of
// its own for each, and the text.
var (
	ErrNoKey      = errors.New("no such key")
	ErrNotGranted = errors.New("not granted")
)

func failure(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
