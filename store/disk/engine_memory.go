package disk

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// MemoryDisk is what the engine Memory keeps its bytes in. It outlives the Store
// that is opened on it, as a folder does.
type MemoryDisk struct {
	mu     sync.RWMutex
	keys   ordered
	values map[string][]byte
	fault  error

	leaving atomic.Bool   // the Store that has it open crashed
	free    chan struct{} // holds a token while no Store has it open
}

// NewMemoryDisk returns an empty MemoryDisk.
func NewMemoryDisk() *MemoryDisk {
	m := &MemoryDisk{values: make(map[string][]byte), free: make(chan struct{}, 1)}
	m.unlock()
	return m
}

// Fail lets every write fail with err until Fail(nil). The errors of package
// syscall are named as those of a real disk would be: ENOSPC is ErrFull.
func (m *MemoryDisk) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
}

// lock waits for a Store that crashed to let go, and not for one that is open.
func (m *MemoryDisk) lock(ctx context.Context) error {
	if !m.leaving.Load() {
		select {
		case <-m.free:
			return nil
		default:
			return ErrLocked
		}
	}
	select {
	case <-m.free:
		m.leaving.Store(false)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w by a crashed store: %w", ErrLocked, ctx.Err())
	}
}

func (m *MemoryDisk) unlock() { m.free <- struct{}{} }

func (m *MemoryDisk) open() engine { return &memoryEngine{m} }

// memoryEngine is a map as a go-datastore.
type memoryEngine struct{ m *MemoryDisk }

var _ engine = (*memoryEngine)(nil)

func (e *memoryEngine) commit(ops []op) error {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	if e.m.fault != nil {
		return fmt.Errorf("commit to memory: %w", e.m.fault)
	}
	for _, o := range ops {
		if o.value == nil {
			e.m.keys.remove(o.key)
			delete(e.m.values, o.key)
			continue
		}
		if _, held := e.m.values[o.key]; !held {
			e.m.keys.add(o.key)
		}
		e.m.values[o.key] = append([]byte{}, o.value...) // a new slice: readers keep the old one
	}
	return nil
}

func (e *memoryEngine) get(key string) ([]byte, bool) {
	e.m.mu.RLock()
	defer e.m.mu.RUnlock()
	v, ok := e.m.values[key]
	return v, ok
}

func (e *memoryEngine) view(key string, fn func([]byte) error) (bool, error) {
	v, ok := e.get(key)
	if !ok {
		return false, nil
	}
	return true, fn(v)
}

func (e *memoryEngine) walk(prefix, from string, fn func([]byte, func() ([]byte, error)) bool) error {
	from = max(prefix, from)
	for {
		key, value, ok := e.next(from)
		if !ok || !strings.HasPrefix(key, prefix) {
			return nil
		}
		if !fn([]byte(key), func() ([]byte, error) { return value, nil }) {
			return nil
		}
		from = key + "\x00"
	}
}

// next returns the first key that is not below from.
func (e *memoryEngine) next(from string) (string, []byte, bool) {
	e.m.mu.RLock()
	defer e.m.mu.RUnlock()
	key, ok := e.m.keys.next(from)
	return key, e.m.values[key], ok
}

func (e *memoryEngine) settle(int) bool { return false }

// Put implements go-datastore, as all that follows does.
func (e *memoryEngine) Put(_ context.Context, key ds.Key, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return e.commit([]op{{key.String(), value}})
}

func (e *memoryEngine) Delete(_ context.Context, key ds.Key) error {
	return e.commit([]op{{key.String(), nil}})
}

func (e *memoryEngine) Get(_ context.Context, key ds.Key) ([]byte, error) {
	v, ok := e.get(key.String())
	if !ok {
		return nil, ds.ErrNotFound
	}
	return bytes.Clone(v), nil
}

func (e *memoryEngine) Has(_ context.Context, key ds.Key) (bool, error) {
	_, ok := e.get(key.String())
	return ok, nil
}

func (e *memoryEngine) GetSize(_ context.Context, key ds.Key) (int, error) {
	v, ok := e.get(key.String())
	if !ok {
		return -1, ds.ErrNotFound
	}
	return len(v), nil
}

func (e *memoryEngine) Query(_ context.Context, q query.Query) (query.Results, error) {
	var all []query.Entry
	err := e.walk("/", "", func(key []byte, value func() ([]byte, error)) bool {
		v, _ := value() // a map does not fail
		entry := query.Entry{Key: string(key), Size: len(v)}
		if !q.KeysOnly {
			entry.Value = bytes.Clone(v)
		}
		all = append(all, entry)
		return true
	})
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, all)), err
}

func (e *memoryEngine) Batch(context.Context) (ds.Batch, error) { return &batch{e: e}, nil }

func (e *memoryEngine) Sync(context.Context, ds.Key) error { return nil }

func (e *memoryEngine) Close() error { return nil }
