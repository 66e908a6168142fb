package chord

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// index is an ordered sequence of entries in chunks. A copy of an index (freeze)
// shares the chunks, each until it changes, so a change costs the same in a ring of
// thousands as in a small one.
type index struct {
	chunks []chunk
	count  int
	epoch  uint32                // chunks of another one are shared with a copy
	tie    func(a, b *entry) int // orders entries of one key
}

// entry is one element of an index: a record, and the first bytes of what the
// index is ordered by, which decide nearly all comparisons. Of these the last
// bits are not compared; they may hold an ordinal.
type entry struct {
	key uint64
	rec *Record
}

const ordinalBits = 6 // MaxIndexes fits

// prefix returns the part of the key that is compared.
func (e *entry) prefix() uint64 { return e.key >> ordinalBits }

// chunk holds a few entries, at least one.
type chunk struct {
	first   uint64 // prefix of the first entry
	epoch   uint32
	entries []entry
}

const (
	maxChunk  = 128 // entries of a chunk, which is then split
	minChunk  = 64  // two neighbours that have no more become one
	chunkStep = 16  // room that a chunk gets at a time
)

// cursor is where an entry stands in an index.
type cursor struct{ chunk, i int }

// freeze returns a copy of the index that later changes do not affect.
func (x *index) freeze() index {
	x.epoch++
	c := *x
	c.chunks = slices.Clone(x.chunks)
	return c
}

// search returns where the first entry that is not before the sought one
// stands; that is the end beyond the last. before tells of entries with the
// prefix whether they are before it.
func (x *index) search(prefix uint64, before func(*entry) bool) cursor {
	low, high := 0, len(x.chunks) // the last chunk that begins before it
	for low < high {
		mid := int(uint(low+high) / 2)
		if c := &x.chunks[mid]; c.first < prefix || c.first == prefix && before(&c.entries[0]) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return cursor{}
	}
	at := cursor{chunk: low - 1}
	es := x.chunks[at.chunk].entries
	low, high = 0, len(es)
	for low < high {
		mid := int(uint(low+high) / 2)
		if p := es[mid].prefix(); p < prefix || p == prefix && before(&es[mid]) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if at.i = low; at.i == len(es) {
		return cursor{chunk: at.chunk + 1}
	}
	return at
}

// find returns where an entry stands, or belongs, and whether it is there.
func (x *index) find(e *entry) (cursor, bool) {
	at := x.search(e.prefix(), func(o *entry) bool { return x.tie(o, e) < 0 })
	if at.chunk >= len(x.chunks) {
		return at, false
	}
	o := x.get(at)
	return at, o.prefix() == e.prefix() && x.tie(o, e) == 0
}

// get returns the entry at a cursor that is not the end.
func (x *index) get(at cursor) *entry { return &x.chunks[at.chunk].entries[at.i] }

// next returns the cursor after at, round the circle.
func (x *index) next(at cursor) cursor {
	if at.i+1 < len(x.chunks[at.chunk].entries) {
		return cursor{at.chunk, at.i + 1}
	}
	return x.wrap(cursor{chunk: at.chunk + 1})
}

// prev returns the cursor before at, round the circle.
func (x *index) prev(at cursor) cursor {
	if at.i > 0 {
		return cursor{at.chunk, at.i - 1}
	}
	c := (at.chunk + len(x.chunks) - 1) % len(x.chunks)
	return cursor{c, len(x.chunks[c].entries) - 1}
}

// wrap returns at, or the beginning if it is the end.
func (x *index) wrap(at cursor) cursor {
	if at.chunk >= len(x.chunks) {
		return cursor{}
	}
	return at
}

// nth returns the cursor of the n-th entry.
func (x *index) nth(n int) cursor {
	for i := range x.chunks {
		if k := len(x.chunks[i].entries); n < k {
			return cursor{i, n}
		} else {
			n -= k
		}
	}
	return cursor{chunk: len(x.chunks)}
}

// add inserts an entry, if it is not there.
func (x *index) add(e entry) {
	at, known := x.find(&e)
	if known {
		return
	}
	x.count++
	if len(x.chunks) == 0 {
		x.chunks = append(x.chunks, chunk{e.prefix(), x.epoch, roomy([]entry{e}, 0)})
		return
	}
	if at.i == 0 && at.chunk > 0 { // it goes behind the chunk before
		at = cursor{at.chunk - 1, len(x.chunks[at.chunk-1].entries)}
	}
	c := x.own(at.chunk, 1)
	c.entries = slices.Insert(c.entries, at.i, e)
	c.first = c.entries[0].prefix()
	if len(c.entries) == maxChunk {
		half := c.entries[maxChunk/2:]
		c.entries = roomy(c.entries[:maxChunk/2], 1)
		x.chunks = slices.Insert(x.chunks, at.chunk+1, chunk{half[0].prefix(), x.epoch, roomy(half, 1)})
	}
}

// drop removes an entry, if it is there.
func (x *index) drop(e entry) {
	at, known := x.find(&e)
	if !known {
		return
	}
	x.count--
	c := x.own(at.chunk, 0)
	if c.entries = slices.Delete(c.entries, at.i, at.i+1); len(c.entries) == 0 {
		x.chunks = slices.Delete(x.chunks, at.chunk, at.chunk+1)
		return
	}
	c.first = c.entries[0].prefix()
	if at.chunk+1 < len(x.chunks) && len(c.entries)+len(x.chunks[at.chunk+1].entries) <= minChunk {
		more := x.chunks[at.chunk+1].entries
		c.entries = append(roomy(c.entries, len(more)), more...)
		x.chunks = slices.Delete(x.chunks, at.chunk+1, at.chunk+2)
	}
}

// own returns a chunk that may be changed and has room for so many more.
func (x *index) own(i, more int) *chunk {
	c := &x.chunks[i]
	if c.epoch != x.epoch || len(c.entries)+more > cap(c.entries) {
		c.epoch, c.entries = x.epoch, roomy(c.entries, more)
	}
	return c
}

// roomy returns a copy of the entries with room for so many more.
func roomy(es []entry, more int) []entry {
	room := (len(es) + more + chunkStep - 1) / chunkStep * chunkStep
	return append(make([]entry, 0, room), es...)
}

// check reports what is wrong with the order or the chunks.
func (x *index) check() error {
	var last *entry
	n := 0
	for i := range x.chunks {
		c := &x.chunks[i]
		if len(c.entries) == 0 || len(c.entries) >= maxChunk || c.first != c.entries[0].prefix() {
			return fmt.Errorf("chunk %d of %d entries begins at %x", i, len(c.entries), c.first)
		}
		for k := range c.entries {
			e := &c.entries[k]
			if last != nil && (last.prefix() > e.prefix() || last.prefix() == e.prefix() && x.tie(last, e) >= 0) {
				return fmt.Errorf("entry %d of chunk %d is out of order", k, i)
			}
			last = e
			n++
		}
	}
	if n != x.count {
		return fmt.Errorf("%d entries, %d counted", n, x.count)
	}
	return nil
}

// positions is an index of the positions of records.
type positions struct{ index }

func newPositions() positions {
	return positions{index{tie: func(a, b *entry) int { return a.place().ID.Compare(b.place().ID) }}}
}

// addAll inserts the positions of a record.
func (x *positions) addAll(rec *Record) {
	for i := range rec.places {
		x.add(positionEntry(rec, i))
	}
}

// dropAll removes the positions of a record.
func (x *positions) dropAll(rec *Record) {
	for i := range rec.places {
		x.drop(positionEntry(rec, i))
	}
}

// from returns where the first position at or after id stands, round the
// circle. It is the zero cursor where there are none.
func (x *positions) from(id ID) cursor {
	return x.wrap(x.search(high(&id)>>ordinalBits, func(e *entry) bool { return e.place().ID.Less(id) }))
}

func positionEntry(rec *Record, i int) entry {
	return entry{high(&rec.places[i].ID)>>ordinalBits<<ordinalBits | uint64(i), rec}
}

// place returns the position for which an entry stands.
func (e *entry) place() *Place { return &e.rec.places[e.key&(1<<ordinalBits-1)] }

// anchor reports whether an entry stands for the anchor of its peer.
func (e *entry) anchor() bool { return e.key&(1<<ordinalBits-1) == 0 }

// high returns the first bytes of a position.
func high(a *ID) uint64 { return binary.BigEndian.Uint64(a[:8]) }

// roll is an index of records by the IDs of their peers.
type roll struct{ index }

func newRoll() roll {
	return roll{index{tie: func(a, b *entry) int { return comparePeerIDs(a.rec.ID, b.rec.ID) }}}
}

func rollEntry(rec *Record) entry { return entry{rollKey(rec.ID), rec} }

func rollKey(id PeerID) uint64 {
	var b [8]byte
	copy(b[:], id)
	return binary.BigEndian.Uint64(b[:])
}

// peer returns the record of a peer, nil if it is not there.
func (x *roll) peer(id PeerID) *Record {
	at := x.search(rollKey(id)>>ordinalBits, func(e *entry) bool { return e.rec.ID < id })
	if at.chunk >= len(x.chunks) {
		return nil
	}
	if rec := x.get(at).rec; rec.ID == id {
		return rec
	}
	return nil
}
