package disk

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"

	"github.com/chorus-net/chorus/store"
)

// Store is what one peer keeps on disk. All methods may be called from any
// goroutine.
type Store struct {
	opts        Options
	folder      *folder // nil for Memory
	incarnation uint64
	queue       *queue
	totals      totals
	crashed     atomic.Bool
	damage      atomic.Uint64
	stopped     chan struct{} // closed when the committer has ended

	// mu keeps the engine from being closed, and its maps of files from being
	// taken away, under a read: it is held while reading, which is why it is not a
	// lock for anything else.
	mu        sync.RWMutex
	engine    engine // nil: engineErr says why
	engineErr error

	gone      chan struct{} // closed when no file is in use any more
	closing   sync.Once
	closeErr  error
	committer *committer
}

// Open opens the store in dir, and makes one there if there is none. It fails
// with ErrLocked, ErrReadOnly, ErrFull, ErrCorrupt, ErrNewerFormat or
// ErrEngine where one of those is the cause. After a crash it reads everything
// once, to sum up the shards; ctx does not cut that short, only the wait for a
// store of this process that has crashed and is being closed.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	s, err := open(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, classify(err))
	}
	return s, nil
}

func open(ctx context.Context, dir string, o Options) (_ *Store, err error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Store{opts: o.withDefaults(), queue: newQueue(), stopped: make(chan struct{}), gone: make(chan struct{})}
	if err := s.lock(ctx, dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.unlock())
		}
	}()
	if err := s.space(min(s.opts.Reserve, openReserve)); err != nil {
		return nil, err
	}
	if s.engine, err = openEngine(s.engineDir(), s.opts, true); err != nil {
		return nil, err
	}
	number, err := s.load()
	if err != nil {
		return nil, errors.Join(err, closeEngine(s.engine))
	}
	s.committer = &committer{s: s, engine: s.engine, number: number, index: make(map[string]int), doubt: make(map[store.ShardID]bool)}
	s.committer.look.at = s.committer.look.read
	go s.committer.run()
	return s, nil
}

// lock takes the folder, or the MemoryDisk, and completes the options with what
// it was made with.
func (s *Store) lock(ctx context.Context, dir string) error {
	if s.opts.Engine == Memory {
		s.opts.Shards = orDefault(s.opts.Shards, defaultShards)
		return s.opts.Memory.lock(ctx)
	}
	f, err := openFolder(ctx, dir)
	if err != nil {
		return err
	}
	s.folder = f
	if s.opts, err = f.describe(s.opts); err == nil {
		err = makeFolder(s.engineDir())
	}
	if err != nil {
		return errors.Join(err, f.close())
	}
	return nil
}

func (s *Store) unlock() error {
	if s.opts.Engine == Memory {
		s.opts.Memory.unlock()
		return nil
	}
	return s.folder.close()
}

func (s *Store) engineDir() string {
	if s.folder == nil {
		return ""
	}
	return filepath.Join(s.folder.dir, string(s.opts.Engine))
}

// load reads, or makes, what the store keeps about itself, and returns the number
// of its last commit.
func (s *Store) load() (commit uint64, err error) {
	if commit, err = s.loadCommit(); err != nil {
		return 0, err
	}
	b, found, err := getSealed(s.engine, incarnationKey)
	if err != nil {
		return 0, err
	}
	if !found {
		b = make([]byte, 8)
		for binary.BigEndian.Uint64(b) == 0 {
			rand.Read(b) // it does not fail
		}
		if err := s.engine.commit([]op{{incarnationKey, seal(b)}}); err != nil {
			return 0, err
		}
	}
	if len(b) != 8 {
		return 0, &CorruptError{Key: incarnationKey, Err: fmt.Errorf("%d bytes", len(b))}
	}
	s.incarnation = binary.BigEndian.Uint64(b)

	b, found, err = getSealed(s.engine, totalsKey)
	if err != nil {
		return 0, err
	}
	var shards sums
	if found && !oldTotals(b) {
		shards, err = decodeTotals(b)
	} else {
		shards, err = countAll(s.engine)
	}
	s.totals.fill(shards)
	return commit, err
}

// Incarnation is drawn at random when the store is made, and never 0. A peer
// whose disk was lost has another one.
func (s *Store) Incarnation() uint64 { return s.incarnation }

// Engine names the engine in use.
func (s *Store) Engine() Engine { return s.opts.Engine }

// Shards returns the number of shards that the store was made for.
func (s *Store) Shards() int { return s.opts.Shards }

// Fingerprint sums up the keys and versions of a shard, tombstones included. It
// is kept current with each write.
func (s *Store) Fingerprint(shard store.ShardID) store.Fingerprint {
	return s.totals.of(shard).print
}

// Counts tells how much a shard holds.
func (s *Store) Counts(shard store.ShardID) Counts {
	return s.totals.of(shard).counts
}

// Damage counts how often a record was met that fails its checksum, by a read or by a
// write that replaced it. While it stays the same, what the totals and trees say of the
// records that were looked at is true.
func (s *Store) Damage() uint64 { return s.damage.Load() }

// Totals tells how much the store holds.
func (s *Store) Totals() Counts { return s.totals.sum() }

// DiskUsage returns the size of the engine's files, in bytes that they take on
// the file system.
func (s *Store) DiskUsage() (int64, error) {
	if s.folder == nil {
		return s.Totals().Bytes, nil
	}
	n, err := allocated(s.folder.dir)
	return n, classify(err)
}

// Free returns how many bytes the file system of the store has left, if the system tells.
func (s *Store) Free() (bytes int64, known bool) {
	if s.folder == nil {
		return 0, false
	}
	return freeBytes(s.folder.dir)
}

// space reports ErrFull if fewer than reserve bytes are free.
func (s *Store) space(reserve int64) error {
	if s.folder == nil || reserve <= 0 {
		return nil
	}
	free, ok := freeBytes(s.folder.dir)
	if ok && free < reserve {
		return fmt.Errorf("%w: %d MiB free, %d MiB are to stay free", ErrFull, free>>20, reserve>>20)
	}
	return nil
}

// openReserve is what an engine may take while it opens or closes: a memtable
// that is written out, and the log of the next.
const openReserve = 4 * memtable

// probe reports whether the folder takes a write.
func (s *Store) probe() error {
	if s.folder == nil {
		return nil
	}
	if err := s.space(min(s.opts.Reserve, openReserve)); err != nil {
		return err
	}
	path := filepath.Join(s.folder.dir, "probe")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 64<<10))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}

// closeTimeout bounds Close.
const closeTimeout = 8 * time.Second

// Close writes what waits, answers it, and closes the engine. It takes at most
// 8 s: after that it returns ErrTimeout, and what was acknowledged is on disk
// all the same. Calling it again returns the same error.
func (s *Store) Close() error {
	s.closing.Do(func() {
		ended := make(chan error, 1)
		go func() {
			defer close(s.gone)
			ended <- s.close()
		}()
		select {
		case s.closeErr = <-ended:
		case <-time.After(closeTimeout):
			s.closeErr = fmt.Errorf("close store: %w", ErrTimeout)
		}
	})
	return s.closeErr
}

func (s *Store) close() error {
	s.queue.close(false)
	<-s.stopped
	s.leave(ErrClosed)
	c := s.committer
	if c.engine == nil {
		return s.unlock()
	}
	if err := s.space(min(s.opts.Reserve, openReserve)); err != nil {
		// Closing writes memtables out, for which there is no room. They are in the
		// log, from which the next process restores them.
		return fmt.Errorf("close store: %w", err)
	}
	var err error
	if !c.failed && c.dirty {
		if b := s.totals.encode(); b != nil {
			err = c.engine.commit([]op{{totalsKey, seal(b)}})
		}
	}
	if err = errors.Join(err, closeEngine(c.engine), s.unlock()); err != nil {
		return fmt.Errorf("close store: %w", classify(err))
	}
	return nil
}

// leave takes the engine away from readers.
func (s *Store) leave(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine, s.engineErr = nil, why
}

// Gone is closed when the store uses none of its files any more: some time
// after Crash, or with Close.
func (s *Store) Gone() <-chan struct{} { return s.gone }

// Crash ends the store as the death of its process would, for simulations: what
// waits in the queue is dropped, nobody is told any more that a write went well
// (the group on its way to the disk may or may not arrive), nothing is summed up
// or flushed on purpose, and the next Open finds what was synced. It returns at
// once; an Open in this process waits until the engine has let go of its files.
//
// It is not a power failure: the engine closes its files in the background, so
// there is no torn tail, and with NoSync nothing is lost.
func (s *Store) Crash() {
	s.closing.Do(func() {
		s.closeErr = ErrClosed
		s.crashed.Store(true)
		if s.folder == nil {
			s.opts.Memory.leaving.Store(true)
		} else if err := s.folder.note(leavingWord); err != nil {
			s.opts.Logger.Debug("crash store", "err", err)
		}
		s.queue.close(true)
		s.leave(ErrClosed)
		go func() {
			defer close(s.gone)
			<-s.stopped
			if s.committer.engine != nil {
				closeEngine(s.committer.engine) //nolint:errcheck // nobody is left to hear it
			}
			s.unlock() //nolint:errcheck // nor this
		}()
	})
}

// closeEngine closes e, which may take for ever if its disk does not take its
// last writes.
func closeEngine(e engine) error {
	ended := make(chan error, 1)
	go func() { ended <- e.Close() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(closeTimeout - time.Second):
		return fmt.Errorf("close storage engine: %w", ErrTimeout)
	}
}

// Flush returns when everything that was queued before it is on disk. Without
// NoSync that is so as soon as it has been answered.
func (s *Store) Flush(ctx context.Context) error {
	t, err := s.enqueue(newRequest(barrier, 0, "", nil))
	if err != nil {
		return err
	}
	if _, err := t.Wait(ctx); err != nil {
		return err
	}
	return s.read(func(e engine) error { return e.Sync(ctx, ds.NewKey("/")) })
}

// read calls fn with the engine, which stays open until fn returns.
func (s *Store) read(fn func(engine) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.engine == nil {
		return s.engineErr
	}
	return classify(fn(s.engine))
}
