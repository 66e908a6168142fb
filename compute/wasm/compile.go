package wasm

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// facts are what the parent remembers of a module that was compiled.
type facts struct {
	memory int64 // to start, in bytes
}

const maxKnown = 4096

// compiles sees to it that a module which the shared directory may not have yet
// is compiled by one child, not by each that wants it.
type compiles struct {
	mu     sync.Mutex
	known  map[[hashSize]byte]facts // forgetting one costs a look into the directory
	flying map[[hashSize]byte]*flight
}

type flight struct {
	done  chan struct{}
	facts facts
	err   error
}

// ensure calls compile unless the module is known, or waits for the caller that
// does. A verdict on the module is shared; when the other gave up, the next in
// line tries.
func (c *compiles) ensure(ctx context.Context, hash [hashSize]byte, compile func() (facts, error)) (facts, error) {
	for {
		c.mu.Lock()
		if f, ok := c.known[hash]; ok {
			c.mu.Unlock()
			return f, nil
		}
		other := c.flying[hash]
		if other == nil {
			break
		}
		c.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return facts{}, context.Cause(ctx)
		}
		var verdict *Error
		if errors.As(other.err, &verdict) {
			return facts{}, other.err
		}
	}
	if c.flying == nil {
		c.flying = make(map[[hashSize]byte]*flight)
		c.known = make(map[[hashSize]byte]facts)
	}
	f := &flight{done: make(chan struct{})}
	c.flying[hash] = f
	c.mu.Unlock()

	f.facts, f.err = compile()

	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flying, hash)
	if f.err == nil {
		if len(c.known) >= maxKnown {
			clear(c.known)
		}
		c.known[hash] = f.facts
	}
	close(f.done)
	return f.facts, f.err
}

const abandoned = 10 * time.Minute // the age at which a temporary file belongs to nobody

// TrimCache removes the oldest files of a folder until at most limit bytes are
// left, and those named .tmp that a process left unfinished when it was killed. Nothing depends
// on it, so it has no error: what cannot be removed stays until the next time.
func TrimCache(dir string, limit int64) {
	type entry struct {
		path string
		info fs.FileInfo
	}
	var (
		entries []entry
		total   int64
	)
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // removed by another pool
		}
		if strings.HasSuffix(path, ".tmp") && time.Since(info.ModTime()) > abandoned {
			_ = os.Remove(path)
			return nil
		}
		entries = append(entries, entry{path, info})
		total += info.Size()
		return nil
	})
	slices.SortFunc(entries, func(a, b entry) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, e := range entries {
		if total <= limit {
			return
		}
		if os.Remove(e.path) == nil {
			total -= e.info.Size()
		}
	}
}
