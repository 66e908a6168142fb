package wire

import (
	"errors"
	"iter"
	"math/bits"
	"time"

	"github.com/chorus-net/chorus/internal/wire/pb"
	"github.com/chorus-net/chorus/store"
)

// ShardSet is a set of shards: bit i%8 of byte i/8 stands for shard i.
type ShardSet []byte

// Add adds a shard.
func (s *ShardSet) Add(id store.ShardID) {
	for len(*s) <= int(id)/8 {
		*s = append(*s, 0)
	}
	(*s)[id/8] |= 1 << (id % 8)
}

// Remove removes a shard.
func (s ShardSet) Remove(id store.ShardID) {
	if s.Has(id) {
		s[id/8] &^= 1 << (id % 8)
	}
}

// Has reports whether a shard is in s.
func (s ShardSet) Has(id store.ShardID) bool {
	return int(id)/8 < len(s) && s[id/8]>>(id%8)&1 != 0
}

// All yields the shards of s in order.
func (s ShardSet) All() iter.Seq[store.ShardID] {
	return func(yield func(store.ShardID) bool) {
		for i, b := range s {
			for ; b != 0; b &= b - 1 {
				if !yield(store.ShardID(8*i + bits.TrailingZeros8(b))) {
					return
				}
			}
		}
	}
}

// Empty reports whether s holds no shard.
func (s ShardSet) Empty() bool {
	for range s.All() {
		return false
	}
	return true
}

// WatchRequest asks a voter for the changes of shards from a position on.
type WatchRequest struct {
	Incarnation uint64 // of the voter that is meant
	Run         uint64 // of the voter's log; 0: only to learn it
	Position    uint64
	Shards      ShardSet
	Prefix      string // of full keys
	Limit       int    // changes, 1 to store.MaxPage
	Wait        time.Duration
}

// WatchReply answers a WatchRequest.
type WatchReply struct {
	Run      uint64
	Position uint64 // to go on from
	Gap      bool   // the position asked for is not of this run, or too old
	Lost     ShardSet
	Changes  []Change
	// Abreast is how long before the request the voter held all that had been
	// acknowledged in the shards asked about; 0: nobody knows.
	Abreast time.Duration
}

// maxAbreast bounds WatchReply.Abreast, in milliseconds: a year.
const maxAbreast = 365 * 24 * 60 * 60 * 1000

// Change is a key of a shard and the version that it changed to.
type Change struct {
	Shard store.ShardID
	Entry store.Entry
}

// AppendWatchRequest appends the encoding of r.
func AppendWatchRequest(b []byte, r *WatchRequest) []byte {
	return appendMessage(b, &pb.WatchRequest{
		Incarnation: r.Incarnation, Run: r.Run, Position: r.Position, Shards: r.Shards, Prefix: r.Prefix,
		Limit: uint32(r.Limit), WaitMs: uint32(r.Wait.Milliseconds()),
	})
}

// ParseWatchRequest reads a WatchRequest.
func ParseWatchRequest(b []byte) (WatchRequest, error) {
	var m pb.WatchRequest
	if err := m.UnmarshalVT(b); err != nil {
		return WatchRequest{}, malformed("watch request", err)
	}
	if m.Limit < 1 || m.Limit > store.MaxPage || len(m.Prefix) > store.MaxKey || len(m.Shards) > store.MaxShards/8 {
		return WatchRequest{}, malformed("watch request", errors.New("a bound is exceeded"))
	}
	return WatchRequest{
		Incarnation: m.Incarnation, Run: m.Run, Position: m.Position, Shards: m.Shards, Prefix: m.Prefix,
		Limit: int(m.Limit), Wait: time.Duration(m.WaitMs) * time.Millisecond,
	}, nil
}

// AppendWatchReply appends the encoding of r.
func AppendWatchReply(b []byte, r *WatchReply) []byte {
	m := &pb.WatchReply{Run: r.Run, Position: r.Position, Gap: r.Gap, Lost: r.Lost, AbreastMs: uint64(r.Abreast.Milliseconds())}
	entries := make([]store.Entry, len(r.Changes))
	for i, c := range r.Changes {
		entries[i] = c.Entry
		m.Shards = append(m.Shards, uint32(c.Shard))
	}
	m.Entries = encodeEntries(entries)
	return appendMessage(b, m)
}

// ParseWatchReply reads a WatchReply.
func ParseWatchReply(b []byte) (WatchReply, error) {
	var m pb.WatchReply
	if err := m.UnmarshalVT(b); err != nil {
		return WatchReply{}, malformed("watch reply", err)
	}
	if len(m.Shards) != len(m.Entries) || len(m.Entries) > store.MaxPage || len(m.Lost) > store.MaxShards/8 || m.AbreastMs > maxAbreast {
		return WatchReply{}, malformed("watch reply", errors.New("a bound is exceeded"))
	}
	r := WatchReply{
		Run: m.Run, Position: m.Position, Gap: m.Gap, Lost: m.Lost, Abreast: time.Duration(m.AbreastMs) * time.Millisecond,
	}
	for i, e := range decodeEntries(m.Entries) {
		if m.Shards[i] >= store.MaxShards || len(e.Key) > store.MaxKey || e.Version.IsZero() {
			return WatchReply{}, malformed("watch reply", errors.New("a change of nothing"))
		}
		r.Changes = append(r.Changes, Change{Shard: store.ShardID(m.Shards[i]), Entry: e})
	}
	return r, nil
}
