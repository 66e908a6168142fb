package disk

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/chorus-net/chorus/store"
)

// The layout of keys. Datastores clean paths, so that "a//b" and "a/b" would be
// one key: whatever a caller chose is written in hex, which keeps the order.
//
//	/r/<shard, 4 digits>/<full key>   a record
//	/g/<shard, 4 digits>              the acceptor state of a shard's register
//	/p/<shard, 4 digits>/<full key>   what a register promised and did not accept
//	/m/<name>                         everything else: identity, positions, ...
//	/s/<name>                         this package's own: incarnation, totals, commit
const (
	recordSpace   = "/r/"
	registerSpace = "/g/"
	promiseSpace  = "/p/"
	metaSpace     = "/m/"
	systemSpace   = "/s/"

	incarnationKey = systemSpace + "incarnation"
	totalsKey      = systemSpace + "totals"
	commitKey      = systemSpace + "commit"
)

const hexDigits = "0123456789abcdef"

// keyRoom is enough for most keys: they are put together on the stack.
const keyRoom = 256

func appendShard(b []byte, space string, shard store.ShardID) []byte {
	b = append(b, space...)
	return append(b, hexDigits[shard>>12], hexDigits[shard>>8&15], hexDigits[shard>>4&15], hexDigits[shard&15])
}

// recordKey returns the key of a record; its parts must have passed
// store.CheckKey.
func recordKey(shard store.ShardID, ns, key string) string {
	return fullKey(recordSpace, shard, ns, key)
}

// promiseKey returns the key of the promise of the register of a record.
func promiseKey(shard store.ShardID, ns, key string) string {
	return fullKey(promiseSpace, shard, ns, key)
}

func fullKey(space string, shard store.ShardID, ns, key string) string {
	var room [keyRoom]byte
	b := append(appendShard(room[:0], space, shard), '/')
	if ns != "" {
		b = appendHex(b, ns)
		b = appendHex(b, "/")
	}
	return string(appendHex(b, key))
}

// viewKey is recordKey of an encoded record.
func viewKey(shard store.ShardID, v store.View) string {
	ns, key := v.Namespace(), v.Key()
	var room [keyRoom]byte
	b := append(appendShard(room[:0], recordSpace, shard), '/')
	if len(ns) > 0 {
		b = appendHex(b, ns)
		b = appendHex(b, "/")
	}
	return string(appendHex(b, key))
}

// recordPrefix returns what the keys of a shard's records begin with whose full
// key begins with prefix.
func recordPrefix(shard store.ShardID, prefix string) string {
	var room [keyRoom]byte
	return string(appendHex(append(appendShard(room[:0], recordSpace, shard), '/'), prefix))
}

// recordName undoes recordKey: the shard and the full key.
func recordName(key string) (store.ShardID, string, error) {
	const head = len(recordSpace) + 5
	shard, err := shardOf(recordSpace, key)
	if err != nil {
		return 0, "", err
	}
	if len(key) < head {
		return 0, "", fmt.Errorf("parse stored key %q: too short", key)
	}
	full, err := hex.DecodeString(key[head:])
	if err != nil {
		return 0, "", fmt.Errorf("parse stored key %q: %w", key, err)
	}
	return shard, string(full), nil
}

func registerKey(shard store.ShardID) string { return string(appendShard(nil, registerSpace, shard)) }

// shardOf reads the shard of a key in one of the spaces that sort by shard.
func shardOf(space, key string) (store.ShardID, error) {
	digits, ok := strings.CutPrefix(key, space)
	var b [2]byte
	if !ok || len(digits) < 4 {
		return 0, fmt.Errorf("parse stored key %q: no shard", key)
	}
	if _, err := hex.Decode(b[:], []byte(digits[:4])); err != nil {
		return 0, fmt.Errorf("parse stored key %q: %w", key, err)
	}
	return store.ShardID(b[0])<<8 | store.ShardID(b[1]), nil
}

func metaKey(name string) string { return metaSpace + hex.EncodeToString([]byte(name)) }

func appendHex[T string | []byte](b []byte, s T) []byte {
	for i := range len(s) {
		b = append(b, hexDigits[s[i]>>4], hexDigits[s[i]&15])
	}
	return b
}
