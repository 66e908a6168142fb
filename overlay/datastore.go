package overlay

import (
	"context"
	"errors"

	"github.com/ipfs/go-datastore"
)

// sideBySide bounds the operations that one batch or query has under way.
const sideBySide = 32

// Datastore returns the ring as a go-datastore, for libraries that keep their
// data in one. Key "/a/b" of Datastore("blocks") is the ring's key "blocks/a/b",
// so datastores of different namespaces do not see each other's keys. What is
// put is synced by a majority of voters when Put or Commit returns; Sync has
// nothing left to do. Close does not close the node.
//
// Bounds are those of the ring: full keys of up to 1 KiB that are valid UTF-8,
// values of up to 512 KiB, one value for each key. A batch is not atomic: an
// error of Commit leaves open which of its operations happened, and Commit may
// be repeated.
//
// A query sees each key that was there all the while. It streams in the order of
// keys and holds a few values at a time; other orders gather all results first.
func (n *Node) Datastore(namespace string) datastore.Batching {
	return &ringDatastore{n: n, ns: namespace}
}

var _ datastore.Batching = (*ringDatastore)(nil)

// ringDatastore is a namespace of the ring as a datastore.
type ringDatastore struct {
	n  *Node
	ns string
}

// key returns the ring's key for a datastore's, which begins with a slash.
func (d *ringDatastore) key(k datastore.Key) string {
	if k.String() == "" { // the zero Key means the root
		return d.ns + "/"
	}
	return d.ns + k.String()
}

func (d *ringDatastore) Put(ctx context.Context, k datastore.Key, value []byte) error {
	_, err := d.n.Put(ctx, d.key(k), value)
	return err
}

func (d *ringDatastore) Delete(ctx context.Context, k datastore.Key) error {
	_, err := d.n.Delete(ctx, d.key(k))
	return err
}

func (d *ringDatastore) Get(ctx context.Context, k datastore.Key) ([]byte, error) {
	rec, err := d.n.Get(ctx, d.key(k))
	if errors.Is(err, ErrNotFound) {
		return nil, datastore.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return rec.Value, nil
}

func (d *ringDatastore) Has(ctx context.Context, k datastore.Key) (bool, error) {
	return datastore.GetBackedHas(ctx, d, k)
}

func (d *ringDatastore) GetSize(ctx context.Context, k datastore.Key) (int, error) {
	return datastore.GetBackedSize(ctx, d, k)
}

// Sync does nothing: what was put is synced.
func (d *ringDatastore) Sync(context.Context, datastore.Key) error { return nil }

// Close does nothing: the node outlives its datastores.
func (d *ringDatastore) Close() error { return nil }

func (d *ringDatastore) Batch(context.Context) (datastore.Batch, error) {
	return &ringBatch{d: d, ops: map[datastore.Key]batchOp{}}, nil
}

// ringBatch gathers operations, the last one of each key.
type ringBatch struct {
	d   *ringDatastore
	ops map[datastore.Key]batchOp
}

type batchOp struct {
	value  []byte
	remove bool
}

func (b *ringBatch) Put(_ context.Context, k datastore.Key, value []byte) error {
	b.ops[k] = batchOp{value: value}
	return nil
}

func (b *ringBatch) Delete(_ context.Context, k datastore.Key) error {
	b.ops[k] = batchOp{remove: true}
	return nil
}

// Commit runs the operations side by side and stops at the first error.
func (b *ringBatch) Commit(ctx context.Context) error {
	keys := make([]datastore.Key, 0, len(b.ops))
	for k := range b.ops {
		keys = append(keys, k)
	}
	err := b.d.n.each(ctx, len(keys), func(ctx context.Context, i int) error {
		if op := b.ops[keys[i]]; !op.remove {
			return b.d.Put(ctx, keys[i], op.value)
		}
		return b.d.Delete(ctx, keys[i])
	})
	if err == nil {
		clear(b.ops)
	}
	return err
}

// each calls do with 0 to count-1, up to sideBySide of them at a time, and
// returns when all calls have, with the first error; after one, no more begin.
func (n *Node) each(ctx context.Context, count int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, sideBySide)
	for i := 0; i < count && ctx.Err() == nil; i++ {
		slots <- struct{}{}
		started := n.group.start(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
		if !started {
			<-slots
			cancel(ErrClosed)
		}
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	return context.Cause(ctx)
}
