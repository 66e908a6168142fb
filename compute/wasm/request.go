package wasm

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// Bounds of what a run may be handed and may ask for, in bytes if not said otherwise.
const (
	MaxInput     = 64 << 20  // an input
	MaxParts     = 1024      // parts that a run spawns or joins, a number
	MaxPartBytes = 1 << 20   // all inputs of the parts that a run spawns, or all outputs that it joins
	MaxKey       = 1 << 10   // a key of the store
	MaxValue     = 512 << 10 // a value of the store
)

// Request is one run of a module.
type Request struct {
	// Module is the module's bytes. Without them Fetch returns them; it is called
	// only when no warm child has the module.
	Module []byte
	Fetch  func(context.Context) ([]byte, error)
	// Hash is the SHA-256 of the module; required with Fetch, computed from
	// Module when it is zero.
	Hash [32]byte
	// Input is what the module reads.
	Input []byte
	// Parts, if there are any, are what the module is to join: what the parts
	// put out into which an earlier run divided its task. Input is then what that
	// run put out.
	Parts [][]byte
	// Seed determines the module's random bytes.
	Seed   [32]byte
	Limits Limits
	// Store serves what the module wants of the store. Nil: it is granted nothing.
	Store Store
}

// Store is the part of a store that a module was granted. Which keys those are
// is the store's to say: the module may ask for any. Calls come one at a time from
// the goroutine that called Run, and end with their context.
type Store interface {
	// Get returns a value; the error wraps ErrNoKey or ErrNotGranted, or is
	// another one.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put sets a value; the error wraps ErrNotGranted, or is another one.
	Put(ctx context.Context, key string, value []byte) error
}

// Result is what a run left. Of a run that failed it holds the log, as far as it
// came, and the time.
type Result struct {
	Output []byte
	// Spawned, if not empty, are the inputs of the parts into which the run divided
	// its task. Output is then for the run that joins them.
	Spawned    [][]byte
	Log        []byte
	LogDropped int64         // bytes of log over the limit
	Memory     int64         // the module's memory at its largest, bytes
	Warm       bool          // the reactor was ready from an earlier run
	Elapsed    time.Duration // without waiting for a child and without compiling
}

// check refuses what no pool would run, and fills in the hash.
func (r *Request) check() error {
	none := r.Hash == [hashSize]byte{}
	switch size := sizeOf(r.Parts); {
	case len(r.Input) > MaxInput:
		return failure(KindLimits, "the input has %d bytes; at most %d are allowed", len(r.Input), MaxInput)
	case len(r.Parts) > MaxParts || size > MaxPartBytes:
		return failure(KindLimits, "%d parts of %d bytes are to be joined; at most %d of %d are allowed", len(r.Parts), size, MaxParts, MaxPartBytes)
	case r.Module == nil && (none || r.Fetch == nil):
		return failure(KindModule, "the request holds neither a module nor its hash and a way to fetch it")
	case none:
		r.Hash = sha256.Sum256(r.Module)
	}
	return nil
}

// read returns the module after a look at it.
func (r *Request) read(ctx context.Context) ([]byte, facts, error) {
	code := r.Module
	if code == nil {
		var err error
		if code, err = r.Fetch(ctx); err != nil {
			return nil, facts{}, fmt.Errorf("wasm: fetch module: %w", err)
		}
	}
	if sha256.Sum256(code) != r.Hash {
		return nil, facts{}, failure(KindModule, "its bytes do not match its hash %x", r.Hash[:8])
	}
	found, err := inspect(code)
	return code, facts{memory: found.memory}, err
}

func sizeOf(blobs [][]byte) int {
	n := 0
	for _, b := range blobs {
		n += len(b)
	}
	return n
}
