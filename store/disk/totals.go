package disk

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/chorus-net/chorus/store"
)

// Counts tells how much a shard, or a store, holds.
type Counts struct {
	Live       int64 // records with a value, expired ones included
	Tombstones int64 // records of deleted keys
	Expiring   int64 // of Live, those that expire some time or have
	Bytes      int64 // of both, encoded
}

// Plus returns the sum of c and d.
func (c Counts) Plus(d Counts) Counts {
	return Counts{c.Live + d.Live, c.Tombstones + d.Tombstones, c.Expiring + d.Expiring, c.Bytes + d.Bytes}
}

func (c Counts) minus(d Counts) Counts {
	return Counts{c.Live - d.Live, c.Tombstones - d.Tombstones, c.Expiring - d.Expiring, c.Bytes - d.Bytes}
}

// held is what the totals need to know of a record that is, or was, held. The
// zero held is no record.
type held struct {
	version   store.Version
	tombstone bool
	expiring  bool
	bytes     int64
}

func heldOf(v store.View) held {
	return held{version: v.Version(), tombstone: v.Tombstone(), expiring: v.Expires() > 0, bytes: int64(len(v.Raw()))}
}

func (h held) counts() Counts {
	switch {
	case h.version.IsZero():
		return Counts{}
	case h.tombstone:
		return Counts{Tombstones: 1, Bytes: h.bytes}
	case h.expiring:
		return Counts{Live: 1, Expiring: 1, Bytes: h.bytes}
	default:
		return Counts{Live: 1, Bytes: h.bytes}
	}
}

// total sums up a shard: what its records are and how many.
type total struct {
	print  store.Fingerprint
	counts Counts
}

// replace accounts for the change of a record's key from old to now; of the
// record itself only the names are used.
func (t *total) replace(record store.View, old, now held) {
	t.print = t.print.Replace(record.Namespace(), record.Key(), old.version, now.version)
	t.counts = t.counts.minus(old.counts()).Plus(now.counts())
}

// sums holds totals by shard. It ends with the last that was asked for: a ring
// of one N has one bank of shards.
type sums []total

// at returns the total of a shard, to be changed.
func (t *sums) at(shard store.ShardID) *total {
	if more := int(shard) + 1 - len(*t); more > 0 {
		*t = append(*t, make(sums, more)...)
	}
	return &(*t)[shard]
}

// totals is the table of all shards' totals. The committer changes it; anybody
// reads it.
type totals struct {
	mu     sync.Mutex
	shards sums
	all    Counts
	trees  map[store.ShardID]*shardTree // of those that were asked for
}

func (t *totals) of(shard store.ShardID) total {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(shard) < len(t.shards) {
		return t.shards[shard]
	}
	return total{}
}

func (t *totals) sum() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all
}

// apply accounts for changes that were committed.
func (t *totals) apply(changes []change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range changes {
		if !ch.record || ch.old == ch.now {
			continue
		}
		sum := t.shards.at(ch.shard)
		t.all = t.all.minus(sum.counts)
		sum.replace(ch.view, ch.old, ch.now)
		t.all = t.all.Plus(sum.counts)
		t.updateTree(ch)
	}
}

// set replaces the total of a shard that was counted anew.
func (t *totals) set(shard store.ShardID, to total) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropTree(shard, nil)
	sum := t.shards.at(shard)
	t.all = t.all.minus(sum.counts).Plus(to.counts)
	*sum = to
}

// fill replaces the whole table.
func (t *totals) fill(shards sums) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shards, t.all = shards, Counts{}
	for _, s := range shards {
		t.all = t.all.Plus(s.counts)
	}
}

// encode returns the table for the disk, or nil if it has no room in a group.
func (t *totals) encode() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := encodeTotals(t.shards); len(b) <= MaxMeta {
		return b
	}
	return nil
}

// An encoded table of totals: format byte 2, and for each shard with records its
// number (2 bytes), the fingerprint's halves, live records, tombstones, bytes and
// expiring records (8 bytes each); big-endian. Format 1 lacked expiring records: if
// it is found, the records are counted anew.
const (
	totalsFormat = 2
	totalSize    = 2 + 6*8
)

func oldTotals(b []byte) bool { return len(b) > 0 && b[0] < totalsFormat }

func encodeTotals(totals sums) []byte {
	b := []byte{totalsFormat}
	for shard, t := range totals {
		if t.print.Count == 0 {
			continue
		}
		b = binary.BigEndian.AppendUint16(b, uint16(shard))
		for _, x := range [...]uint64{
			t.print.Hi, t.print.Lo, uint64(t.counts.Live), uint64(t.counts.Tombstones), uint64(t.counts.Bytes), uint64(t.counts.Expiring),
		} {
			b = binary.BigEndian.AppendUint64(b, x)
		}
	}
	return b
}

func decodeTotals(b []byte) (totals sums, err error) {
	if len(b) < 1 || b[0] != totalsFormat || len(b[1:])%totalSize != 0 {
		return nil, fmt.Errorf("totals: %w", ErrCorrupt)
	}
	for b = b[1:]; len(b) > 0; b = b[totalSize:] {
		u := func(i int) uint64 { return binary.BigEndian.Uint64(b[2+8*i:]) }
		t := totals.at(store.ShardID(binary.BigEndian.Uint16(b)))
		t.counts = Counts{Live: int64(u(2)), Tombstones: int64(u(3)), Bytes: int64(u(4)), Expiring: int64(u(5))}
		t.print = store.Fingerprint{Hi: u(0), Lo: u(1), Count: u(2) + u(3)}
	}
	return totals, nil
}
