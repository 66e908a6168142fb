package overlay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/wasm"
	"github.com/chorus-net/chorus/store"
)

// WebAssembly modules are kept in the ring by content: the records
// "_code/HASH/0", "_code/HASH/1" ... hold the module's bytes in pieces. Anybody
// can check a module against its hash, so it does not matter who stored it.
const (
	codeSpace  = "_code"
	codePiece  = 256 << 10
	moduleFile = ".wasm"
	// keptFor is how long a peer takes it that a module is in the ring, once it saw that.
	keptFor = time.Minute
	// maxSeen bounds the modules that it remembers for that.
	maxSeen = 1024
	// moduleBytes bounds the folder of modules that were fetched.
	moduleBytes = 256 << 20
)

// modules keeps and fetches WebAssembly modules.
type modules struct {
	n     *Node
	dir   string // of modules that were fetched
	limit int64  // of its bytes

	mu       sync.Mutex
	fetching map[[32]byte]*fetch
	seen     map[[32]byte]seenModule
}

// seenModule is a module that was in the ring at a time.
type seenModule struct {
	size int64
	at   time.Time
}

// fetch is one module on its way; module or err is set when done is closed.
type fetch struct {
	done   chan struct{}
	module []byte
	err    error
}

func newModules(n *Node, dir string) *modules {
	return &modules{n: n, dir: dir, limit: moduleBytes, fetching: make(map[[32]byte]*fetch), seen: make(map[[32]byte]seenModule)}
}

// put stores a module in the ring, if it was not there a moment ago.
func (m *modules) put(ctx context.Context, module []byte) (compute.Code, error) {
	code := compute.Code{Module: sha256.Sum256(module), Size: int64(len(module))}
	if m.size(code.Module) > 0 {
		return code, nil
	}
	for i := 0; i*codePiece < len(module); i++ {
		name := pieceName(code.Module, i)
		piece := module[i*codePiece : min((i+1)*codePiece, len(module))]
		if rec, err := m.n.read(ctx, codeSpace, name, store.LevelQuorum); err == nil && bytes.Equal(rec.Value, piece) {
			continue // whoever stored it
		}
		rec := store.Record{Namespace: codeSpace, Key: name, Position: store.Route(codeSpace, name), Value: piece}
		if _, err := m.n.write(ctx, "", rec, store.LevelQuorum); err != nil {
			return compute.Code{}, fmt.Errorf("store module: %w", err)
		}
	}
	m.saw(code)
	return code, nil
}

// find returns the code of a module that the ring has.
func (m *modules) find(ctx context.Context, hash [32]byte) (compute.Code, error) {
	code := compute.Code{Module: hash, Size: m.size(hash)}
	if code.Size > 0 {
		return code, nil
	}
	module, err := m.fetch(ctx, hash, wasm.MaxModule)
	if err != nil {
		return compute.Code{}, err
	}
	m.keep(m.path(hash), module)
	code.Size = int64(len(module))
	m.saw(code)
	return code, nil
}

// size returns that of a module which was in the ring a moment ago, or 0.
func (m *modules) size(hash [32]byte) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.seen[hash]
	if time.Since(s.at) > keptFor {
		return 0
	}
	return s.size
}

// saw remembers that the ring has a module.
func (m *modules) saw(code compute.Code) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) >= maxSeen {
		clear(m.seen)
	}
	m.seen[code.Module] = seenModule{code.Size, time.Now()}
}

func (m *modules) path(hash [32]byte) string {
	return filepath.Join(m.dir, hex.EncodeToString(hash[:])+moduleFile)
}

// bytes returns a module, from the folder or from the ring. Of callers at the
// same time one fetches.
func (m *modules) bytes(ctx context.Context, code compute.Code) ([]byte, error) {
	path := m.path(code.Module)
	if b, err := os.ReadFile(path); err == nil && sha256.Sum256(b) == code.Module {
		return b, nil
	}
	if code.Size < 1 || code.Size > wasm.MaxModule {
		return nil, fmt.Errorf("fetch module: %d bytes, at most %d", code.Size, wasm.MaxModule)
	}
	for {
		m.mu.Lock()
		f, busy := m.fetching[code.Module]
		if !busy {
			f = &fetch{done: make(chan struct{})}
			m.fetching[code.Module] = f
		}
		m.mu.Unlock()
		if !busy {
			m.fly(ctx, f, code)
			return f.module, f.err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.err == nil || ctx.Err() != nil {
			return f.module, f.err
		}
		// The other failed, perhaps because its task was stopped.
	}
}

// fly fetches a module for all who wait for f.
func (m *modules) fly(ctx context.Context, f *fetch, code compute.Code) {
	if f.module, f.err = m.fetch(ctx, code.Module, code.Size); f.err == nil {
		m.keep(m.path(code.Module), f.module)
	}
	m.mu.Lock()
	delete(m.fetching, code.Module)
	m.mu.Unlock()
	close(f.done)
}

// fetch reads a module of at most limit bytes from the ring.
func (m *modules) fetch(ctx context.Context, hash [32]byte, limit int64) ([]byte, error) {
	var module []byte
	for i := 0; ; i++ {
		rec, err := m.n.read(ctx, codeSpace, pieceName(hash, i), store.LevelQuorum)
		if errors.Is(err, ErrNotFound) && i > 0 {
			break // the pieces before were whole
		}
		if err != nil {
			return nil, fmt.Errorf("fetch module: %w", err)
		}
		module = append(module, rec.Value...)
		if int64(len(module)) > limit {
			return nil, fmt.Errorf("fetch module: more than %d bytes", limit)
		}
		if len(rec.Value) < codePiece || int64(len(module)) == limit {
			break
		}
	}
	if sha256.Sum256(module) != hash {
		return nil, fmt.Errorf("fetch module: its bytes do not hash to %x", hash[:4])
	}
	return module, nil
}

// keep writes a module to the folder, so that the next run need not fetch it; the oldest ones
// make room. A folder that does not take it costs time only.
func (m *modules) keep(path string, module []byte) {
	err := os.MkdirAll(m.dir, 0o700)
	if err == nil {
		tmp := path + ".tmp"
		if err = os.WriteFile(tmp, module, 0o600); err == nil {
			err = os.Rename(tmp, path)
		}
		wasm.TrimCache(m.dir, m.limit)
	}
	if err != nil {
		m.n.log.Warn("keep module", "err", err)
	}
}

func pieceName(hash [32]byte, i int) string { return fmt.Sprintf("%x/%d", hash, i) }
