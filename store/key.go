package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"

	"github.com/chorus-net/chorus/chord"
)

// SplitKey splits a full key at its first '/' into namespace and key. A full
// key without one, or with one in front, has the namespace "".
func SplitKey(full string) (ns, key string) {
	if i := strings.IndexByte(full, '/'); i > 0 {
		return full[:i], full[i+1:]
	}
	return "", full
}

// JoinKey is the inverse of SplitKey.
func JoinKey(ns, key string) string {
	if ns == "" {
		return key
	}
	return ns + "/" + key
}

// CheckKey reports whether (ns, key) names a key: ErrKeyEmpty, ErrKeyTooLong,
// or an error for a pair that SplitKey cannot yield.
func CheckKey(ns, key string) error {
	switch {
	case ns == "" && key == "":
		return ErrKeyEmpty
	case fullLen(len(ns), len(key)) > MaxKey:
		return ErrKeyTooLong
	case !validKey(ns, key):
		return fmt.Errorf("namespace %q and key %q do not split that way", ns, key)
	}
	return nil
}

// validKey is CheckKey for a decoder: no allocation, no reason given.
func validKey[T string | []byte](ns, key T) bool {
	if fullLen(len(ns), len(key)) > MaxKey {
		return false
	}
	if len(ns) > 0 {
		return !hasSlash(ns)
	}
	return len(key) > 0 && (key[0] == '/' || !hasSlash(key))
}

func hasSlash[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] == '/' {
			return true
		}
	}
	return false
}

func fullLen(ns, key int) int {
	if ns == 0 {
		return key
	}
	return ns + 1 + key
}

// Route returns the position of a key on the ring: the SHA-256 of the
// namespace's length in two bytes, the namespace and the key. The pair must
// pass CheckKey.
func Route(ns, key string) chord.ID {
	var buf [2 + MaxKey]byte
	return sha256.Sum256(AppendRoute(buf[:0], ns, key))
}

// AppendRoute appends the bytes whose SHA-256 is the position of a key.
// Kademlia, which hashes by itself, finds the same position by them.
func AppendRoute(b []byte, ns, key string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(ns)))
	b = append(b, ns...)
	return append(b, key...)
}

// ShardID numbers a shard: its bank times the ring's number of shards, and the top
// bits of the positions of its keys, see Shard. Bank 0 is of the namespaces that
// have the ring's N, bank N of those with another.
type ShardID uint16

// MaxN bounds the N of a namespace that has another than the ring's.
const MaxN = 7

// MaxShards bounds the number of shards of a ring.
const MaxShards = 1 << 16

// CheckShards reports whether n can be a ring's number of shards: a power of
// two up to MaxShards.
func CheckShards(n int) error {
	if n < 1 || n > MaxShards || n&(n-1) != 0 {
		return fmt.Errorf("%d shards: want a power of two from 1 to %d", n, MaxShards)
	}
	return nil
}

// Shard returns the shard of a position in bank 0 of a ring of n shards; n must
// pass CheckShards.
func Shard(pos chord.ID, n int) ShardID {
	top := uint32(binary.BigEndian.Uint16(pos[:]))
	return ShardID(top >> (16 - shardBits(n)))
}

// ShardStart returns the first position of a shard in a ring of n shards.
func ShardStart(s ShardID, n int) chord.ID {
	var pos chord.ID
	binary.BigEndian.PutUint16(pos[:], uint16(uint32(s.Index(n))<<(16-shardBits(n))))
	return pos
}

// Bank returns the bank of a shard in a ring of n shards.
func (s ShardID) Bank(n int) int { return int(s) / n }

// Index returns the shard of the same positions in bank 0.
func (s ShardID) Index(n int) ShardID { return s & ShardID(n-1) }

// In returns the shard of the same positions in a bank, which must pass CheckBank.
func (s ShardID) In(bank, n int) ShardID { return ShardID(bank*n) + s.Index(n) }

// CheckBank reports whether a ring of n shards has IDs for the shards of a bank.
func CheckBank(bank, n int) error {
	switch {
	case bank < 0 || bank > MaxN:
		return fmt.Errorf("%d replicas: want 1 to %d", bank, MaxN)
	case (bank+1)*n > MaxShards:
		return fmt.Errorf("%d replicas: a ring of %d shards has no numbers left for shards of their own", bank, n)
	}
	return nil
}

// shardBits returns log2(n).
func shardBits(n int) int { return bits.Len(uint(n)) - 1 }
