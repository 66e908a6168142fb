package disk

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/chorus-net/chorus/store"
)

// MaxMeta bounds a value of Meta or of a register, in bytes.
const MaxMeta = store.MaxHint

// Register is the acceptor state of one shard's register, as it was saved.
type Register struct {
	Shard store.ShardID
	State []byte
}

// SaveRegister saves a shard's acceptor state and returns when it is on disk.
func (s *Store) SaveRegister(ctx context.Context, shard store.ShardID, state []byte) error {
	t, err := s.QueueRegister(shard, state)
	if err != nil {
		return err
	}
	_, err = t.Wait(ctx)
	return err
}

// QueueRegister is the first half of SaveRegister, as Queue is of Apply: it
// takes its place in the same queue.
func (s *Store) QueueRegister(shard store.ShardID, state []byte) (Ticket, error) {
	if err := store.CheckBank(shard.Bank(s.opts.Shards), s.opts.Shards); err != nil {
		return Ticket{}, fmt.Errorf("save register of shard %d: %w", shard, err)
	}
	return s.queueValue(registerKey(shard), state)
}

// LoadRegisters returns all registers that were saved, by shard.
func (s *Store) LoadRegisters() ([]Register, error) {
	var all []Register
	err := s.eachSealed(registerSpace, func(key string, value []byte) error {
		shard, err := shardOf(registerSpace, key)
		all = append(all, Register{shard, value})
		return err
	})
	return all, err
}

// PutMeta saves a named value beside the records and returns when it is on
// disk. An empty value is a value.
func (s *Store) PutMeta(ctx context.Context, name string, value []byte) error {
	if name == "" || len(name) > store.MaxKey {
		return fmt.Errorf("save value %q: name of %d bytes, want 1 to %d", name, len(name), store.MaxKey)
	}
	t, err := s.queueValue(metaKey(name), value)
	if err != nil {
		return err
	}
	_, err = t.Wait(ctx)
	return err
}

// DropMeta forgets a value that PutMeta saved, if there is one, and returns when it
// is gone from the disk.
func (s *Store) DropMeta(ctx context.Context, name string) error {
	t, err := s.enqueue(newRequest(eraseValue, 0, metaKey(name), nil))
	if err != nil {
		return err
	}
	_, err = t.Wait(ctx)
	return err
}

// GetMeta returns a value that PutMeta saved, and whether there is one.
func (s *Store) GetMeta(name string) (value []byte, found bool, err error) {
	err = s.read(func(e engine) error {
		value, found, err = getSealed(e, metaKey(name))
		return err
	})
	return value, found, err
}

// ListMeta returns the names that begin with prefix, in order.
func (s *Store) ListMeta(prefix string) ([]string, error) {
	var names []string
	err := s.read(func(e engine) error {
		return e.walk(metaKey(prefix), "", func(k []byte, _ func() ([]byte, error)) bool {
			if name, err := hex.DecodeString(strings.TrimPrefix(string(k), metaSpace)); err == nil {
				names = append(names, string(name))
			}
			return true
		})
	})
	return names, err
}

func (s *Store) queueValue(key string, value []byte) (Ticket, error) {
	if len(value) > MaxMeta {
		return Ticket{}, fmt.Errorf("save %d bytes: %w: at most %d", len(value), ErrTooLarge, MaxMeta)
	}
	r := newRequest(putValue, 0, key, value)
	r.value = binary.BigEndian.AppendUint32(r.value, crc32.Checksum(value, castagnoli))
	return s.enqueue(r)
}

// Values other than records carry their CRC-32C behind them, big-endian.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func seal(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b[:len(b):len(b)], crc32.Checksum(b, castagnoli))
}

func unseal(b []byte) ([]byte, error) {
	n := len(b) - crc32.Size
	if n < 0 || binary.BigEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return nil, errors.New("checksum")
	}
	return b[:n], nil
}

// getSealed returns a copy of what is sealed at key.
func getSealed(e engine, key string) (value []byte, found bool, err error) {
	found, err = e.view(key, func(b []byte) error {
		v, err := unseal(b)
		value = append([]byte{}, v...)
		if err != nil {
			return &CorruptError{Key: key, Err: err}
		}
		return nil
	})
	return value, found, err
}

// eachSealed calls fn with copies of what is sealed at the keys that begin with
// prefix.
func (s *Store) eachSealed(prefix string, fn func(key string, value []byte) error) error {
	return s.read(func(e engine) error {
		var failed error
		err := e.walk(prefix, "", func(k []byte, value func() ([]byte, error)) bool {
			b, err := value()
			if err == nil {
				b, err = unseal(b)
			}
			if err != nil {
				failed = &CorruptError{Key: string(k), Err: err}
				return false
			}
			failed = fn(string(k), append([]byte{}, b...))
			return failed == nil
		})
		return errors.Join(err, failed)
	})
}
