package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/dgraph-io/badger"
	"github.com/dgraph-io/badger/options"
	ds "github.com/ipfs/go-datastore"
	badgerds "github.com/ipfs/go-ds-badger"
)

// badgerEngine is go-ds-badger.
type badgerEngine struct {
	*badgerds.Datastore
	log        *slog.Logger
	snaps      snapshots[*badger.Txn]
	written    int // bytes since the last garbage collection
	collecting atomic.Bool
}

var _ engine = (*badgerEngine)(nil)

// badgerLog is the size of the files of the value log, which holds a copy of
// everything that was written until it is collected.
const badgerLog = 32 << 20

func openBadger(dir string, o Options, verify bool) (engine, error) {
	if verify {
		if err := verifyBadger(dir); err != nil {
			return nil, err
		}
	}
	opts := badgerds.DefaultOptions // not nil: that would be Badger's own, which a torn tail keeps from opening
	opts.GcInterval = 0             // collected after so many bytes, not after so much time
	opts.Options = opts.Options.
		WithSyncWrites(!o.NoSync).
		WithTruncate(true).
		WithVerifyValueChecksum(true).
		WithEventLogging(false).
		WithMaxTableSize(memtable).
		WithNumMemtables(2).
		WithNumCompactors(2). // these poll once a second
		WithLevelOneSize(32 << 20).
		WithValueLogFileSize(badgerLog).
		WithTableLoadingMode(options.MemoryMap).
		WithValueLogLoadingMode(options.FileIO)
	d, err := badgerds.NewDatastore(dir, &opts)
	if err != nil {
		return nil, err
	}
	e := &badgerEngine{Datastore: d, log: o.Logger}
	e.snaps.publish(e.DB.NewTransaction(false))
	return e, nil
}

// verifyBadger checks the tables and the newest log file of a folder before they
// are opened.
func verifyBadger(dir string) error {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is new
	}
	if err != nil {
		return err
	}
	manifest, _, err := badger.ReplayManifestFile(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	err = verifyTables(dir, slices.Sorted(maps.Keys(manifest.Tables)), func(id uint64, data []byte) error {
		if sum := sha256.Sum256(data); !bytes.Equal(sum[:], manifest.Tables[id].Checksum) {
			return errors.New("checksum")
		}
		return nil
	})
	if err != nil {
		return err
	}
	path, err := newest(dir, "*.vlog")
	if err != nil || path == "" {
		return err
	}
	return verifyLog(path, 0, 0, badgerHead)
}

// badgerHead reads an entry's header: the lengths of key and value, the expiry,
// meta and user's meta.
func badgerHead(b []byte) (n int, key, value uint64, meta byte) {
	if len(b) < 18 {
		return 0, 0, 0, 0
	}
	return 18, uint64(binary.BigEndian.Uint32(b)), uint64(binary.BigEndian.Uint32(b[4:])), b[16]
}

func (e *badgerEngine) commit(ops []op) error {
	if err := commitTxn(e.Datastore, ops); err != nil {
		return err
	}
	e.snaps.publish(e.DB.NewTransaction(false))
	return nil
}

func (e *badgerEngine) view(key string, fn func([]byte) error) (bool, error) {
	sn := e.snaps.acquire()
	defer sn.release()
	item, err := sn.txn.Get([]byte(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, item.Value(fn)
}

func (e *badgerEngine) walk(prefix, from string, fn func([]byte, func() ([]byte, error)) bool) error {
	sn := e.snaps.acquire()
	defer sn.release()
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	opts.Prefix = []byte(prefix)
	it := sn.txn.NewIterator(opts)
	defer it.Close()
	for it.Seek([]byte(max(prefix, from))); it.Valid(); it.Next() {
		item := it.Item()
		value := func() (b []byte, err error) {
			err = item.Value(func(v []byte) error { b = v; return nil })
			return b, err
		}
		if !fn(item.Key(), value) {
			break
		}
	}
	return nil
}

// settle collects the value log's garbage once there is a file's worth of it.
// The datastore stops a collection when it is closed.
func (e *badgerEngine) settle(n int) bool {
	if e.written += n; e.written < 2*badgerLog || !e.collecting.CompareAndSwap(false, true) {
		return false
	}
	e.written = 0
	go func() {
		defer e.collecting.Store(false)
		if err := e.CollectGarbage(context.Background()); err != nil && !errors.Is(err, badgerds.ErrClosed) {
			e.log.Debug("collect value log", "err", err)
		}
	}()
	return false
}

// Batch implements go-datastore.
func (e *badgerEngine) Batch(context.Context) (ds.Batch, error) { return &batch{e: e}, nil }

// Close implements go-datastore.
func (e *badgerEngine) Close() error {
	e.snaps.clear()
	return e.Datastore.Close()
}
