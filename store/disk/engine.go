package disk

import (
	"context"
	"fmt"
	"sync/atomic"

	ds "github.com/ipfs/go-datastore"
)

// engine is what the store needs of a datastore: go-datastore's interface, and
// below it what that lacks: an atomic write of many keys that is not split, a
// read that does not copy, and a scan that starts in the middle.
//
// view and walk see every commit that has returned, and do not wait for one that
// is under way. settle is called by one goroutine, Close last.
type engine interface {
	ds.Batching

	// commit applies ops as one transaction: all of them, synced, or none.
	commit(ops []op) error
	// view calls fn with the value of key, which is valid until fn returns. It
	// reports whether there is one.
	view(key string, fn func(value []byte) error) (bool, error)
	// walk calls fn in key order for the keys that begin with prefix, from the
	// first on that is not below from, until fn returns false. What fn is handed is
	// valid until it returns.
	walk(prefix, from string, fn func(key []byte, value func() ([]byte, error)) bool) error
	// settle does the housekeeping that is due after n more bytes were
	// written. It reports whether the engine wants to be opened anew.
	settle(n int) (reopen bool)
}

// openEngine opens the engine that o names, in dir. Files that this process wrote
// a moment ago need not be verified.
func openEngine(dir string, o Options, verify bool) (engine, error) {
	switch o.Engine {
	case Badger4:
		return openBadger4(dir, o, verify)
	case Badger:
		return openBadger(dir, o, verify)
	case Memory:
		return o.Memory.open(), nil
	default:
		return nil, fmt.Errorf("engine %q: %w", o.Engine, ErrEngine)
	}
}

// op is one change of a transaction: value at key, or no key if value is nil.
type op struct {
	key   string
	value []byte
}

func (o op) size() int { return len(o.key) + len(o.value) + opOverhead }

const (
	// memtable is the size of both Badgers' memtables, and thereby of what a
	// store keeps in memory: one that fills and one that is being written out.
	memtable = 8 << 20
	// maxGroupBytes and maxGroupOps bound a transaction; both Badgers refuse one
	// of more than 15% of a memtable.
	maxGroupBytes = 1 << 20
	maxGroupOps   = 4096
	// opOverhead is what an engine adds to an operation, at most.
	opOverhead = 64
)

// commitTxn is engine.commit over go-datastore's transactions, which, unlike its
// batches, never split.
func commitTxn(d ds.TxnDatastore, ops []op) error {
	ctx := context.Background() // neither engine looks at it
	txn, err := d.NewTransaction(ctx, false)
	if err != nil {
		return err
	}
	defer txn.Discard(ctx)
	for _, o := range ops {
		if o.value == nil {
			err = txn.Delete(ctx, ds.RawKey(o.key))
		} else {
			err = txn.Put(ctx, ds.RawKey(o.key), o.value)
		}
		if err != nil {
			return err
		}
	}
	return txn.Commit(ctx)
}

// batch is a go-datastore batch over engine.commit: nothing of it is seen before
// Commit, which takes several transactions if one cannot carry it. Badger's own
// begin to commit while they are filled.
type batch struct {
	e   engine
	ops []op
}

var _ ds.Batch = (*batch)(nil)

func (b *batch) Put(_ context.Context, key ds.Key, value []byte) error {
	b.ops = append(b.ops, op{key.String(), append([]byte{}, value...)})
	return nil
}

func (b *batch) Delete(_ context.Context, key ds.Key) error {
	b.ops = append(b.ops, op{key: key.String()})
	return nil
}

func (b *batch) Commit(context.Context) error {
	for len(b.ops) > 0 {
		n, size := 0, 0
		for n < len(b.ops) && n < maxGroupOps {
			if size += b.ops[n].size(); size > maxGroupBytes && n > 0 {
				break
			}
			n++
		}
		if err := b.e.commit(b.ops[:n]); err != nil {
			return err
		}
		b.ops = b.ops[n:]
	}
	return nil
}

// snapshots hands out the newest snapshot of an engine. A Badger transaction
// that reads begins by waiting for the commits under way, and so would every
// read wait for a sync; one that began between two commits is shared instead.
type snapshots[T interface{ Discard() }] struct {
	newest atomic.Pointer[snapshot[T]]
}

type snapshot[T interface{ Discard() }] struct {
	txn  T
	refs atomic.Int64 // readers, and one for being the newest
}

// publish makes txn the newest snapshot; publish(nil transaction) is clear.
func (s *snapshots[T]) publish(txn T) {
	next := &snapshot[T]{txn: txn}
	next.refs.Store(1)
	if old := s.newest.Swap(next); old != nil {
		old.release()
	}
}

// clear lets go of the newest snapshot: no reader may come after.
func (s *snapshots[T]) clear() {
	if old := s.newest.Swap(nil); old != nil {
		old.release()
	}
}

// acquire returns the newest snapshot; the caller releases it.
func (s *snapshots[T]) acquire() *snapshot[T] {
	for {
		sn := s.newest.Load()
		if n := sn.refs.Load(); n > 0 && sn.refs.CompareAndSwap(n, n+1) {
			return sn
		}
	}
}

func (s *snapshot[T]) release() {
	if s.refs.Add(-1) == 0 {
		s.txn.Discard()
	}
}
