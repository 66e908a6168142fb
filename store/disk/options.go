package disk

import (
	"fmt"
	"log/slog"

	"github.com/chorus-net/chorus/store"
)

// Engine names what keeps the bytes.
type Engine string

const (
	// Badger4 is go-ds-badger4 on Badger 4. It is the default.
	Badger4 Engine = "badger4"
	// Badger is go-ds-badger on Badger 1.6. Its own authors have left it behind;
	// see the package documentation for what remains of its traps.
	Badger Engine = "badger"
	// Memory keeps everything in Options.Memory and nothing on disk: the twin of
	// the other two, for tests and simulations.
	Memory Engine = "memory"
)

// Options of Open. The zero value is what a peer wants.
type Options struct {
	// Engine to keep the records with. "" is the one that the folder was made
	// with, Badger4 for a new folder.
	Engine Engine
	// Shards of the ring, a power of two. 0 is the number that the folder was made
	// with, 256 for a new folder. Another number than the folder's is an error.
	Shards int
	// Quota bounds the records, in bytes of their encoded form. 0 is no bound.
	// Tombstones count and are not refused.
	Quota int64
	// Reserve is how many bytes must be free on the file system for a write to be
	// accepted: what the engine may need while it reorganises its files, since Badger
	// 4 stops the process when it runs out in the middle. 0 is 128 MiB, negative is
	// none.
	Reserve int64
	// Logger takes what happens in the background. nil is slog.Default().
	Logger *slog.Logger
	// NoSync leaves it to the operating system when to write: for simulations
	// only, since a power failure loses what was acknowledged.
	NoSync bool
	// Listener, if set, is told of what changes.
	Listener Listener
	// Memory is what the engine Memory keeps its bytes in, so that they outlive
	// one Store as a folder does. nil is a new one.
	Memory *MemoryDisk
}

// Listener is told of changes by the goroutine that writes: it must not block,
// nor call the store, nor keep what it is handed.
type Listener interface {
	// Changed tells of a record that was written, in the order of commits, before
	// the write is answered.
	Changed(shard store.ShardID, record store.View)
	// Doubt tells that a commit failed, of which some may be on disk all the same.
	Doubt()
}

const (
	defaultShards  = 256
	defaultReserve = 128 << 20
)

func (o Options) withDefaults() Options {
	if o.Reserve == 0 {
		o.Reserve = defaultReserve
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Engine == Memory && o.Memory == nil {
		o.Memory = NewMemoryDisk()
	}
	return o
}

func (o Options) validate() error {
	switch o.Engine {
	case "", Badger4, Badger, Memory:
	default:
		return fmt.Errorf("engine %q: %w: choose %s or %s", o.Engine, ErrEngine, Badger4, Badger)
	}
	if o.Shards != 0 {
		if err := store.CheckShards(o.Shards); err != nil {
			return fmt.Errorf("option Shards: %w", err)
		}
	}
	if o.Quota < 0 {
		return fmt.Errorf("option Quota: %d is negative", o.Quota)
	}
	return nil
}
