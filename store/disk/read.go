package disk

import (
	"bytes"
	"errors"
	"slices"

	"github.com/chorus-net/chorus/store"
)

// View calls fn with the record of a key, in place: it is valid until fn
// returns, and fn must not write to the store. It reports whether there is one,
// tombstones and expired records included. A record that fails its checksum is
// a CorruptError.
func (s *Store) View(shard store.ShardID, ns, key string, fn func(store.View) error) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.engine == nil {
		return false, s.engineErr
	}
	name := recordKey(shard, ns, key)
	var refused error
	found, err := s.engine.view(name, func(b []byte) error {
		v, err := openStored(b)
		if err == nil && !v.Is(ns, key) {
			err = errMisplaced
		}
		if err != nil {
			return err
		}
		refused = fn(v)
		return nil
	})
	if err != nil {
		s.damage.Add(1)
		return false, corruptKey(name, err)
	}
	return found, refused
}

// Get returns the record of a key, a copy, as View finds it.
func (s *Store) Get(shard store.ShardID, ns, key string) (store.Record, bool, error) {
	var r store.Record
	found, err := s.View(shard, ns, key, func(v store.View) error {
		r = v.Record()
		r.Value, r.Owner = bytes.Clone(r.Value), bytes.Clone(r.Owner)
		return nil
	})
	return r, found, err
}

// Query selects records of a shard, in the order of full keys as byte strings.
type Query struct {
	Prefix string // of the full key
	After  string // full key, exclusive; "" is from the start
	// Paths, if not nil and ascending, leaves out keys with other paths than these
	// (store.PathOf).
	Paths []uint64
	Limit int // entries; 0 and more than that is store.MaxPage
	Bytes int // of the entries, about; 0 is store.MaxPageBytes
}

// Page answers a Query.
type Page struct {
	Entries []store.Entry // tombstones and expired records included
	// Corrupt are full keys in the page's range whose records fail their checksum.
	Corrupt []string
	// Last is the last key that the page covers: After of the next.
	Last string
	// More: the shard may hold something after the page.
	More bool
}

// entryOverhead is what an entry takes beside its key: version, expiry, flags.
const entryOverhead = 32

// Scan returns a page of the keys of a shard, without their values.
func (s *Store) Scan(shard store.ShardID, q Query) (Page, error) {
	limit, room := q.Limit, orDefault(q.Bytes, store.MaxPageBytes)
	if limit <= 0 || limit > store.MaxPage {
		limit = store.MaxPage
	}
	p := Page{Last: q.After}
	err := s.walk(shard, q.Prefix, q.After, func(full string, v store.View, err error) bool {
		if q.Paths != nil {
			if _, wanted := slices.BinarySearch(q.Paths, store.PathOf(full)); !wanted {
				return true
			}
		}
		if len(p.Entries)+len(p.Corrupt) >= limit || room <= 0 {
			p.More = true
			return false
		}
		room -= len(full) + entryOverhead
		p.Last = full
		if err != nil {
			p.Corrupt = append(p.Corrupt, full)
			return true
		}
		p.Entries = append(p.Entries, store.Entry{
			Key: full, Version: v.Version(), Expires: v.Expires(), Deleted: v.Tombstone(),
		})
		return true
	})
	return p, err
}

// walk calls fn for the records after a full key, or with what is wrong with
// them, until it returns false.
func (s *Store) walk(shard store.ShardID, prefix, after string, fn func(string, store.View, error) bool) error {
	return s.read(func(e engine) error {
		from := ""
		if after != "" {
			from = recordPrefix(shard, after) + "\x00" // what comes next after it
		}
		return walkRecords(e, recordPrefix(shard, prefix), from, func(_ store.ShardID, full string, v store.View, err error) bool {
			if err != nil {
				s.damage.Add(1)
			}
			return fn(full, v, err)
		})
	})
}

// walkRecords calls fn for the records whose keys begin with prefix, from the
// first on that is not below from.
func walkRecords(e engine, prefix, from string, fn func(store.ShardID, string, store.View, error) bool) error {
	var bad error
	err := e.walk(prefix, from, func(k []byte, value func() ([]byte, error)) bool {
		shard, full, err := recordName(string(k))
		if err != nil {
			bad = &CorruptError{Key: string(k), Err: err}
			return false
		}
		var v store.View
		b, err := value()
		if err == nil {
			v, err = openStored(b)
		}
		if err == nil {
			if ns, key := store.SplitKey(full); !v.Is(ns, key) {
				err = errMisplaced
			}
		}
		return fn(shard, full, v, err)
	})
	if err == nil {
		err = bad
	}
	return err
}

var errMisplaced = errors.New("record lies at the key of another")

// openStored opens an encoded record and checks that it is whole.
func openStored(b []byte) (store.View, error) {
	v, err := store.OpenRecord(b)
	if err == nil {
		err = v.Verify()
	}
	return v, err
}

// corruptKey names the record at a stored key if what is wrong with it is its
// bytes.
func corruptKey(name string, err error) error {
	if err = classify(err); !errors.Is(err, ErrCorrupt) && !errors.Is(err, errMisplaced) {
		return err
	}
	if _, full, bad := recordName(name); bad == nil {
		name = full
	}
	return &CorruptError{Key: name, Err: err}
}

// countShard sums up a shard from its records. Those that fail their checksum do
// not count: to other replicas they are missing.
func countShard(e engine, shard store.ShardID) (total, error) {
	var t total
	err := walkRecords(e, recordPrefix(shard, ""), "", func(_ store.ShardID, _ string, v store.View, err error) bool {
		if err == nil {
			t.replace(v, held{}, heldOf(v))
		}
		return true
	})
	return t, err
}

// countAll sums up all shards.
func countAll(e engine) (shards sums, err error) {
	err = walkRecords(e, recordSpace, "", func(shard store.ShardID, _ string, v store.View, err error) bool {
		if err == nil {
			shards.at(shard).replace(v, held{}, heldOf(v))
		}
		return true
	})
	return shards, err
}
