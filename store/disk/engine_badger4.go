package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	ds "github.com/ipfs/go-datastore"
	badgerds "github.com/ipfs/go-ds-badger4"
)

// badger4Engine is go-ds-badger4.
type badger4Engine struct {
	*badgerds.Datastore
	log        *logSync // nil: nothing is synced
	snaps      snapshots[*badger.Txn]
	compacting bool
	written    int // bytes since the tables were last counted
}

var _ engine = (*badger4Engine)(nil)

// compactFrom is the number of tables from which on Badger 4 is given its
// compactors. They poll 40 times a second, which is all that an idle engine
// does, so a store does without them until there is work for them.
const compactFrom = 4

func openBadger4(dir string, o Options, verify bool) (engine, error) {
	if verify {
		if err := verifyBadger4(dir); err != nil {
			return nil, err
		}
		if err := removeEmptyLogs(dir); err != nil {
			return nil, err
		}
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return nil, err
	}
	e := &badger4Engine{compacting: len(tables) >= compactFrom}
	opts := badgerds.DefaultOptions
	opts.GcInterval = 0 // the value log stays empty, see ValueThreshold
	opts.Options = opts.Options.
		WithSyncWrites(!o.NoSync && !ownSync).
		WithDetectConflicts(false). // there is one writer
		WithMetricsEnabled(false).
		WithMemTableSize(memtable).
		WithNumMemtables(2).
		WithNumCompactors(0).
		WithNumLevelZeroTables(compactFrom).
		WithNumLevelZeroTablesStall(2 * compactFrom). // bounds what one compaction takes
		WithValueThreshold(1 << 20).                  // every record lies in the tables
		WithValueLogFileSize(4 << 20).
		WithBlockCacheSize(0).                               // and the tables are mapped and not
		WithCompression(options.None).                       // compressed: the system caches them
		WithChecksumVerificationMode(options.NoVerification) // see verify.go
	if e.compacting {
		opts.NumCompactors = 2
	}
	if e.Datastore, err = badgerds.NewDatastore(dir, &opts); err != nil {
		return nil, err
	}
	if !o.NoSync {
		if e.log, err = openLogSync(dir); err != nil {
			return nil, errors.Join(err, e.Datastore.Close())
		}
	}
	e.snaps.publish(e.DB.NewTransaction(false))
	return e, nil
}

// verifyBadger4 checks the tables and the log of a folder before they are
// opened.
func verifyBadger4(dir string) error {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return verifyUnlisted4(dir, badger.Manifest{}, 0, nil) // it is new
	}
	if err != nil {
		return err
	}
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	newest := uint64(0) // version of the tables that the manifest lists
	err = verifyTables(dir, slices.Sorted(maps.Keys(manifest.Tables)), func(id uint64, data []byte) error {
		t, err := openTable4(data, id)
		if err != nil {
			return err
		}
		newest = max(newest, t.MaxVersion())
		return t.VerifyChecksum()
	})
	if err != nil {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	for _, path := range logs {
		err = errors.Join(err, verifyLog(path, badger4LogHead, newest, badger4Head))
	}
	if err != nil {
		return err
	}
	return verifyUnlisted4(dir, manifest, newest, logs)
}

func openTable4(data []byte, id uint64) (*table.Table, error) {
	return table.OpenInMemoryTable(data, id, &table.Options{BlockSize: 4 << 10})
}

// verifyUnlisted4 looks at the tables that the manifest does not list, which Badger is
// about to remove. They are to be there when a process dies while it writes a table:
// what is in that is in a log, too, or in older tables. If it is not, then the
// manifest has lost its end.
func verifyUnlisted4(dir string, manifest badger.Manifest, newest uint64, logs []string) error {
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, path := range tables {
		var id uint64
		if _, err := fmt.Sscanf(filepath.Base(path), "%d.sst", &id); err != nil {
			continue // no name of Badger's
		}
		if _, listed := manifest.Tables[id]; listed {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var version uint64
		err = guard(func() error {
			t, err := openTable4(data, id)
			if err == nil {
				version = t.MaxVersion()
			}
			return err
		})
		if err != nil || version <= newest {
			continue // it was not finished, or was made from others
		}
		kept := false
		for _, log := range logs {
			first, last, err := logVersions(log, badger4LogHead, badger4Head)
			if err != nil {
				return err
			}
			kept = kept || first <= version && version <= last
		}
		if !kept {
			return fmt.Errorf("%w: table %s is not in the manifest: %s", ErrCorrupt, path, rotten)
		}
	}
	return nil
}

// badger4LogHead is what a log of Badger 4 begins with.
const badger4LogHead = 20

// removeEmptyLogs removes logs of no length, which the loss of power leaves where
// a log had just been made. Badger 4 would not open.
func removeEmptyLogs(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	values, bad := filepath.Glob(filepath.Join(dir, "*.vlog"))
	err = errors.Join(err, bad)
	for _, path := range append(logs, values...) {
		if info, bad := os.Stat(path); bad != nil {
			err = errors.Join(err, bad)
		} else if info.Size() == 0 {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// badger4Head reads an entry's header: meta and user's meta, then the lengths
// of key and value and the expiry, all varints.
func badger4Head(b []byte) (n int, key, value uint64, meta byte) {
	if len(b) < 5 {
		return 0, 0, 0, 0
	}
	n = 2
	var expires uint64
	for _, x := range []*uint64{&key, &value, &expires} {
		v, k := binary.Uvarint(b[n:])
		if k <= 0 {
			return 0, 0, 0, 0
		}
		*x = v
		n += k
	}
	return n, key, value, b[0]
}

func (e *badger4Engine) commit(ops []op) error {
	if err := commitTxn(e.Datastore, ops); err != nil {
		return err
	}
	if e.log != nil {
		if err := e.log.sync(); err != nil {
			return fmt.Errorf("sync log: %w", err)
		}
	}
	e.snaps.publish(e.DB.NewTransaction(false))
	return nil
}

func (e *badger4Engine) view(key string, fn func([]byte) error) (bool, error) {
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

func (e *badger4Engine) walk(prefix, from string, fn func([]byte, func() ([]byte, error)) bool) error {
	sn := e.snaps.acquire()
	defer sn.release()
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false // they lie beside the keys
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

func (e *badger4Engine) settle(n int) bool {
	if e.written += n; e.compacting || e.written < memtable {
		return false
	}
	e.written = 0
	return e.DB.Levels()[0].NumTables >= compactFrom
}

// Batch implements go-datastore.
func (e *badger4Engine) Batch(context.Context) (ds.Batch, error) { return &batch{e: e}, nil }

// Close implements go-datastore.
func (e *badger4Engine) Close() error {
	e.snaps.clear()
	if e.log != nil {
		e.log.close()
	}
	return e.Datastore.Close()
}
