package compute

import (
	"time"

	"github.com/chorus-net/chorus/chord"
)

// ID names a job or a task: the first 16 bytes of a SHA-256. A task's ID is
// the hash of (job, parent, index).
type ID [16]byte

// Code says what a task runs: exactly one of Func and Module is set.
type Code struct {
	// Func is the name and version of a registered Go function, "resize/v1".
	Func string
	// Module is the SHA-256 of a WebAssembly module kept in the store; Size its
	// length in bytes.
	Module [32]byte
	Size   int64
}

// Limits bound one attempt at a task. Zero means the default of the peer that runs it.
type Limits struct {
	Time   time.Duration
	Memory int64 // bytes
	Output int64 // bytes
}

// Task is one unit of work. It is plain data and travels whole when stolen.
type Task struct {
	ID      ID
	Job     ID
	Index   uint32
	Code    Code
	Input   []byte
	Limits  Limits
	Owner   chord.PeerID // the peer that submitted it and keeps its state
	Attempt uint32       // counts from 1; a late attempt's result is told apart by it
}

// Result is the outcome of one attempt.
type Result struct {
	Task    ID
	Attempt uint32
	Peer    chord.PeerID // who ran it
	Output  []byte
	Err     string // empty when the task succeeded
	// Crashed tells a failure of the machinery (sandbox killed, peer lost) from
	// an error that the code returned.
	Crashed bool
	Elapsed time.Duration
	Log     []byte // stderr, truncated
}
