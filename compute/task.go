package compute

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// ID names a job or a task: the first 16 bytes of a SHA-256. A task's ID is
// the hash of (job, parent, index).
type ID [16]byte

// TaskID returns the ID of the task with the given index below parent, which
// is the zero ID for a task that the job itself holds. Anybody can recompute it.
func TaskID(job, parent ID, index uint32) ID {
	var b [36]byte
	copy(b[:], job[:])
	copy(b[16:], parent[:])
	binary.BigEndian.PutUint32(b[32:], index)
	h := sha256.Sum256(b[:])
	return ID(h[:16])
}

// ParseID reads an ID written by String.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("parse ID: %d hex digits, want %d", len(s), 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("parse ID: %w", err)
	}
	return id, nil
}

// String returns the ID as 32 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first 8 hex digits, for people and logs.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// Code says what a task runs: exactly one of Func and Module is set.
type Code struct {
	// Func is the name and version of a registered Go function, "resize/v1".
	Func string
	// Module is the SHA-256 of a WebAssembly module kept in the store; Size its
	// length in bytes.
	Module [32]byte
	Size   int64
}

// CapWASM is what a peer advertises beside its functions when it can run
// WebAssembly modules. It cannot be taken for a function, whose name has a version.
const CapWASM = "wasm"

// Cap returns what a peer must advertise to be given this code: the
// function's name, or CapWASM for any module.
func (c Code) Cap() string {
	if c.Func != "" {
		return c.Func
	}
	return CapWASM
}

// String names the code for people: the function, or the start of the module's hash.
func (c Code) String() string {
	if c.Func != "" {
		return c.Func
	}
	return "wasm:" + hex.EncodeToString(c.Module[:4])
}

func (c Code) validate() error {
	isModule := c.Module != [32]byte{}
	switch {
	case c.Func == "" && !isModule:
		return errors.New("neither function nor module")
	case c.Func != "" && isModule:
		return errors.New("both function and module")
	case c.Size < 0 || c.Func != "" && c.Size != 0:
		return fmt.Errorf("module size %d", c.Size)
	case c.Func != "":
		if name, err := FuncName(c.Func); err != nil || name != c.Func {
			return fmt.Errorf("function %q is not NAME/vN", c.Func)
		}
	}
	return nil
}

// MaxFuncName is the length limit of a function's full name, in bytes.
const MaxFuncName = 128

// FuncName returns the full form NAME/vN of a function's name; a name without
// a version means version 1, so "sha256" is "sha256/v1". A name is made of
// letters, digits, and the marks . _ - and /.
func FuncName(s string) (string, error) {
	full := s
	name, version, ok := cutVersion(s)
	if !ok {
		name, version, full = s, 1, s+"/v1"
	}
	switch {
	case name == "" || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/"):
		return "", fmt.Errorf("function name %q: want NAME or NAME/vN", s)
	case version == 0:
		return "", fmt.Errorf("function name %q: versions count from 1", s)
	case len(full) > MaxFuncName:
		return "", fmt.Errorf("function name %q: longer than %d bytes", s[:32]+"...", MaxFuncName)
	}
	for _, r := range name {
		if !strings.ContainsRune("._-/", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return "", fmt.Errorf("function name %q: %q is not allowed", s, r)
		}
	}
	return full, nil
}

// cutVersion splits "name/v12" into "name" and 12.
func cutVersion(s string) (name string, version uint32, ok bool) {
	i := strings.LastIndex(s, "/v")
	if i < 0 {
		return "", 0, false
	}
	digits := s[i+2:]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != digits {
		return "", 0, false
	}
	return s[:i], uint32(n), true
}

// Limits bound one attempt at a task. Zero means the default of the peer that runs it.
type Limits struct {
	Time   time.Duration
	Memory int64 // bytes
	Output int64 // bytes
	// Grant is the namespace of the store whose keys a module may read and write; ""
	// is none. Functions are trusted, and go without.
	Grant string
}

// MaxGrant is the length limit of Limits.Grant, in bytes.
const MaxGrant = 512

func (l Limits) validate() error {
	switch {
	case l.Time < 0 || l.Memory < 0 || l.Output < 0:
		return errors.New("negative limit")
	case len(l.Grant) > MaxGrant:
		return fmt.Errorf("grant of %d bytes", len(l.Grant))
	}
	return nil
}

// Task is one unit of work. It is plain data and travels whole when stolen.
type Task struct {
	ID     ID
	Job    ID
	Parent ID // the task that spawned it; zero for a task of the job itself
	Index  uint32
	Code   Code
	Input  []byte
	// Join: the task was divided, all parts are done, and this run joins them.
	// Input is what the run that divided it put out, and Parts are the outputs of
	// the parts, in their order.
	Join   bool
	Parts  [][]byte
	Limits Limits
	Owner  chord.PeerID // the peer that submitted it and keeps its state
	// Attempt counts from 1. Only results of the attempt that the owner counts
	// as current change anything.
	Attempt uint32
	// Hop counts how often this attempt changed hands; the owner believes the
	// report with the highest.
	Hop uint32
	// Avoid lists peers on which earlier attempts failed. They leave the task
	// to others for a while; for good if Apart is set.
	Avoid []chord.PeerID
	Apart bool
	// Near lists peers that have what the task is about, and should run it unless they
	// are much busier than others.
	Near []chord.PeerID
	// Priority goes from -MaxPriority to MaxPriority: of the tasks that wait at a peer
	// those with a higher one start first, and are stolen first.
	Priority int8
	// Share is about how often one of the job's tasks was halved to come to this one.
	Share uint8
}

// maxShare is the Share beyond which no task is thought to be smaller.
const maxShare = 30

// weight is how much work a task is thought to be, beside others that may be stolen
// with it: a part is as much of what was divided as each other part, and a join next to
// nothing.
func (t *Task) weight() uint64 {
	if t.Join {
		return 1
	}
	return 1 << (maxShare - min(t.Share, maxShare))
}

// taskOverhead is about what a task takes on the wire beside its input.
const taskOverhead = 160

func (t *Task) size() int {
	return taskOverhead + len(t.Input) + sizeOf(t.Parts) + sizeOfPeers(t.Near)
}

func sizeOfPeers(peers []chord.PeerID) int {
	n := 0
	for _, p := range peers {
		n += len(p)
	}
	return n
}

func (t *Task) ref() Ref { return Ref{Task: t.ID, Attempt: t.Attempt, Hop: t.Hop} }

// Result is the outcome of one attempt.
type Result struct {
	Task    ID
	Attempt uint32
	Peer    chord.PeerID // who ran it
	Output  []byte
	// Fork, if not empty, divides the task: the inputs of its parts, at most
	// MaxFork. Output is then kept for the run that joins what the parts put out.
	Fork [][]byte
	// Kept: Peer has the parts in its queue. The scheduler sets it.
	Kept bool
	Err  string // empty when the task succeeded
	// Crashed tells a failure of the machinery (sandbox killed, peer lost) from
	// an error that the code returned.
	Crashed bool
	Elapsed time.Duration
	Started time.Time // by the clock of Peer; zero: it did not start, or nobody said
	Worker  uint16    // which of Peer's workers ran it, from 0
	Log     []byte    // stderr, truncated
}

const resultOverhead = 80

func (r *Result) size() int {
	return resultOverhead + len(r.Output) + sizeOf(r.Fork) + len(r.Err) + len(r.Log)
}

// OK reports whether the attempt succeeded.
func (r *Result) OK() bool { return r.Err == "" && !r.Crashed }
