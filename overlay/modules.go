package overlay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

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
)

// modules keeps and fetches WebAssembly modules.
type modules struct {
	n   *Node
	dir string // of modules that were fetched

	mu       sync.Mutex
	fetching map[[32]byte]*fetch
}

// fetch is one module on its way; module or err is set when done is closed.
type fetch struct {
	done   chan struct{}
	module []byte
	err    error
}

func newModules(n *Node, dir string) *modules {
	return &modules{n: n, dir: dir, fetching: make(map[[32]byte]*fetch)}
}

// put stores a module in the ring.
func (m *modules) put(ctx context.Context, module []byte) (compute.Code, error) {
	code := compute.Code{Module: sha256.Sum256(module), Size: int64(len(module))}
	for i := 0; i*codePiece < len(module); i++ {
		name := pieceName(code.Module, i)
		if _, err := m.n.read(ctx, codeSpace, name, store.LevelQuorum); err == nil {
			continue // of this content, whoever stored it
		}
		piece := module[i*codePiece : min((i+1)*codePiece, len(module))]
		rec := store.Record{Namespace: codeSpace, Key: name, Position: store.Route(codeSpace, name), Value: piece}
		if _, err := m.n.write(ctx, rec, store.LevelQuorum); err != nil {
			return compute.Code{}, fmt.Errorf("store module: %w", err)
		}
	}
	return code, nil
}

// bytes returns a module, from the folder or from the ring. Of callers at the
// same time one fetches.
func (m *modules) bytes(ctx context.Context, code compute.Code) ([]byte, error) {
	path := filepath.Join(m.dir, hex.EncodeToString(code.Module[:])+moduleFile)
	if b, err := os.ReadFile(path); err == nil && sha256.Sum256(b) == code.Module {
		return b, nil
	}
	m.mu.Lock()
	f, busy := m.fetching[code.Module]
	if !busy {
		f = &fetch{done: make(chan struct{})}
		m.fetching[code.Module] = f
	}
	m.mu.Unlock()
	if busy {
		select {
		case <-f.done:
			return f.module, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.module, f.err = m.fetch(ctx, code); f.err == nil {
		m.keep(path, f.module)
	}
	m.mu.Lock()
	delete(m.fetching, code.Module)
	m.mu.Unlock()
	close(f.done)
	return f.module, f.err
}

// fetch reads a module from the ring.
func (m *modules) fetch(ctx context.Context, code compute.Code) ([]byte, error) {
	if code.Size < 1 || code.Size > wasm.MaxModule {
		return nil, fmt.Errorf("fetch module: %d bytes, at most %d", code.Size, wasm.MaxModule)
	}
	module := make([]byte, 0, code.Size)
	for i := 0; int64(len(module)) < code.Size; i++ {
		rec, err := m.n.read(ctx, codeSpace, pieceName(code.Module, i), store.LevelQuorum)
		if err != nil {
			return nil, fmt.Errorf("fetch module: %w", err)
		}
		if len(rec.Value) == 0 {
			return nil, errors.New("fetch module: an empty piece")
		}
		module = append(module, rec.Value...)
	}
	if sha256.Sum256(module) != code.Module {
		return nil, fmt.Errorf("fetch module: its bytes do not hash to %x", code.Module[:4])
	}
	return module, nil
}

// keep writes a module to the folder, so that the next run need not fetch it. A
// folder that does not take it costs time only.
func (m *modules) keep(path string, module []byte) {
	err := os.MkdirAll(m.dir, 0o700)
	if err == nil {
		tmp := path + ".part"
		if err = os.WriteFile(tmp, module, 0o600); err == nil {
			err = os.Rename(tmp, path)
		}
	}
	if err != nil {
		m.n.log.Warn("keep module", "err", err)
	}
}

func pieceName(hash [32]byte, i int) string { return fmt.Sprintf("%x/%d", hash, i) }
