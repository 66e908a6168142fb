package chord

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// Record is a peer record with all that follows from it, worked out once. It
// never changes after it went into a message, so all rings of a process may share
// it: their tables, messages and views refer to the same Record.
type Record struct {
	Peer
	places []Place // in the order of Indexes; nil before complete
	sum    uint64  // identifies this version of the record
	part   int     // of the table that it belongs to
}

// NewRecord returns the record of p, to be put into a message. Who receives it
// checks whether a peer may claim that.
func NewRecord(p Peer) *Record { return &Record{Peer: p} }

// complete works out what follows from the record. known is an older record of
// the peer, or nil; where it has the same positions they need not be hashed again.
// Only who has just received a record completes it: it is not shared yet.
func (rec *Record) complete(known *Record) {
	switch {
	case rec.places != nil:
		return
	case known != nil && slices.Equal(known.Indexes, rec.Indexes):
		rec.places, rec.part = known.places, known.part
	default:
		rec.places, rec.part = places(&rec.Peer), 0
		rec.part = int(rec.places[0].ID[0]) * buckets >> 8
	}
	rec.sum = rec.digest()
}

// completed returns the complete record of a peer.
func completed(p Peer) *Record {
	rec := NewRecord(p)
	rec.complete(nil)
	return rec
}

// check reports why no peer may claim what the record says.
func (rec *Record) check() error {
	switch {
	case rec == nil:
		return fmt.Errorf("%w: no record", ErrMessage)
	case rec.places != nil:
		return nil // it was checked before
	default:
		return rec.validate()
	}
}

// mark tells this version of the record from others, in 21 bits. It is never 0.
func (rec *Record) mark() uint32 { return max(1, uint32(rec.sum&(1<<21-1))) }

// entry identifies a place in a list, and the version of its peer's record.
func (rec *Record) entry(p Place) uint32 {
	return binary.BigEndian.Uint32(p.ID[:4]) ^ uint32(rec.sum>>32)
}

// place returns the position of an index that the record lists.
func (rec *Record) place(index uint32) (Place, bool) {
	i, ok := slices.BinarySearch(rec.Indexes, index)
	if !ok {
		return Place{}, false
	}
	return rec.places[i], true
}

// places returns the positions of a peer, in the order of its Indexes.
func places(p *Peer) []Place {
	ps := make([]Place, len(p.Indexes))
	for i, x := range p.Indexes {
		ps[i] = Place{ID: Position(p.ID, x), Peer: p.ID, Index: x}
	}
	return ps
}

// digest identifies one version of a record.
func (p *Peer) digest() uint64 {
	b := make([]byte, 0, 192)
	b = append(b, p.ID...)
	b = binary.BigEndian.AppendUint64(b, p.Incarnation)
	b = binary.BigEndian.AppendUint64(b, p.Seq)
	for _, x := range p.Indexes {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	h := sha256.Sum256(b)
	return binary.BigEndian.Uint64(h[:8])
}
