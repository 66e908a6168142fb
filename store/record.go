package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// Bounds of a record. With all of them reached an encoded record is
// MaxRecord bytes long.
const (
	// MaxKey bounds the full key, "ns/key", in bytes.
	MaxKey = 1 << 10
	// MaxValue bounds the value of one record, in bytes.
	MaxValue = 512 << 10
	// MaxOwner bounds the owner slot, in bytes.
	MaxOwner = 512
	// MaxRecord bounds an encoded record, in bytes.
	MaxRecord = recordHeader + MaxKey + MaxOwner + MaxValue
)

// Errors of records. ErrCorrupt wraps everything that a decoder refuses.
var (
	ErrKeyEmpty      = errors.New("key is empty")
	ErrKeyTooLong    = fmt.Errorf("key is longer than %d bytes", MaxKey)
	ErrValueTooLarge = fmt.Errorf("value is larger than %d bytes", MaxValue)
	ErrCorrupt       = errors.New("corrupt encoding")
)

// Class is a record's consistency class. Each class is a kind of operation on
// the same shards.
type Class uint8

const (
	// ClassEventual is last-writer-wins with quorum reads and writes.
	ClassEventual Class = 0
	// ClassPaxos is a compare-and-swap register, see Register.
	ClassPaxos Class = 1
	// ClassRaft is an ordered namespace (not served yet).
	ClassRaft Class = 2
)

// Dot names one write event: the coordinator's incarnation and its counter.
type Dot struct {
	Actor   uint64
	Counter uint64
}

// Record is one version of one key, as it stands on disk and on the wire.
type Record struct {
	Class     Class
	Namespace string
	Key       string
	Position  chord.ID // routing position; usually Route(Namespace, Key)
	Version   Version
	Dot       Dot
	Expires   int64  // Unix milliseconds, absolute; 0 is never
	Tombstone bool   // the key was deleted; Value is empty
	Large     bool   // Value lists the chunks of a larger value, see package overlay
	Owner     []byte // slot: signature of a record in an owned namespace, see CheckOwned
	Value     []byte
}

// Check reports the first bound that r breaks, or nil. AppendTo and Size want
// a record that passes.
func (r *Record) Check() error {
	if err := CheckKey(r.Namespace, r.Key); err != nil {
		return err
	}
	switch {
	case len(r.Value) > MaxValue:
		return ErrValueTooLarge
	case len(r.Owner) > MaxOwner:
		return fmt.Errorf("owner slot is longer than %d bytes", MaxOwner)
	case r.Class > ClassRaft:
		return fmt.Errorf("class %d is unknown", r.Class)
	case r.Expires < 0:
		return fmt.Errorf("expiry %d is before 1970", r.Expires)
	case r.Tombstone && (len(r.Value) > 0 || r.Large):
		return errors.New("tombstone carries a value")
	}
	return nil
}

// Live reports whether r holds a value at now: neither deleted nor expired.
func (r *Record) Live(now time.Time) bool {
	return !r.Tombstone && (r.Expires == 0 || now.UnixMilli() < r.Expires)
}

// An encoded record, integers big-endian:
//
//	 0  format, 1          1  class        2  flags: bit 0 tombstone, bit 1 large; 3  zero
//	 4  CRC-32C of all other bytes         8  version clock    16  version writer
//	24  dot actor         32  dot counter                      40  expiry
//	48  position          80  length of the namespace, 82 of the key, 84 of the
//	owner slot (2 bytes each), 86 of the value (4 bytes)       90  those four
const (
	recordFormat  = 1
	recordHeader  = 90
	flagTombstone = 1
	flagLarge     = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Size returns the length of r's encoding.
func (r *Record) Size() int {
	return recordHeader + len(r.Namespace) + len(r.Key) + len(r.Owner) + len(r.Value)
}

// AppendTo appends the encoding of r, which must pass Check, to b.
func (r *Record) AppendTo(b []byte) []byte {
	at := len(b)
	var flags byte
	if r.Tombstone {
		flags |= flagTombstone
	}
	if r.Large {
		flags |= flagLarge
	}
	b = append(b, recordFormat, byte(r.Class), flags, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, r.Version.Clock)
	b = binary.BigEndian.AppendUint64(b, r.Version.Writer)
	b = binary.BigEndian.AppendUint64(b, r.Dot.Actor)
	b = binary.BigEndian.AppendUint64(b, r.Dot.Counter)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Expires))
	b = append(b, r.Position[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Namespace)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Key)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Owner)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Value)))
	b = append(b, r.Namespace...)
	b = append(b, r.Key...)
	b = append(b, r.Owner...)
	b = append(b, r.Value...)
	binary.BigEndian.PutUint32(b[at+4:], recordSum(b[at:]))
	return b
}

func recordSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[8:])
}

// DecodeRecord reads exactly one encoded record and verifies its checksum.
// Owner and Value alias b.
func DecodeRecord(b []byte) (Record, error) {
	v, err := OpenRecord(b)
	if err != nil {
		return Record{}, err
	}
	if err := v.Verify(); err != nil {
		return Record{}, err
	}
	return v.Record(), nil
}

// View reads an encoded record in place, without allocating: for comparing
// versions and for scans. Slices that its methods return alias the encoding.
type View struct {
	raw               []byte
	key, owner, value int // offsets
}

// OpenRecord checks the shape of an encoded record, all bounds included, but
// not its checksum: see View.Verify.
func OpenRecord(b []byte) (View, error) {
	if len(b) < recordHeader {
		return View{}, fmt.Errorf("record of %d bytes: %w", len(b), ErrCorrupt)
	}
	switch {
	case b[0] != recordFormat:
		return View{}, fmt.Errorf("record format %d: %w", b[0], ErrCorrupt)
	case Class(b[1]) > ClassRaft:
		return View{}, fmt.Errorf("record class %d: %w", b[1], ErrCorrupt)
	case b[2]&^(flagTombstone|flagLarge) != 0 || b[3] != 0:
		return View{}, fmt.Errorf("record flags %02x%02x: %w", b[2], b[3], ErrCorrupt)
	}
	ns := int(binary.BigEndian.Uint16(b[80:]))
	key := int(binary.BigEndian.Uint16(b[82:]))
	owner := int(binary.BigEndian.Uint16(b[84:]))
	value := uint64(binary.BigEndian.Uint32(b[86:]))
	if owner > MaxOwner || value > MaxValue ||
		uint64(len(b)) != uint64(recordHeader+ns+key+owner)+value {
		return View{}, fmt.Errorf("record lengths: %w", ErrCorrupt)
	}
	v := View{raw: b, key: recordHeader + ns, owner: recordHeader + ns + key, value: recordHeader + ns + key + owner}
	if !validKey(v.Namespace(), v.Key()) {
		return View{}, fmt.Errorf("record key: %w", ErrCorrupt)
	}
	if v.Expires() < 0 || v.Tombstone() && (value > 0 || v.Large()) {
		return View{}, fmt.Errorf("record expiry or tombstone: %w", ErrCorrupt)
	}
	return v, nil
}

// Verify checks the checksum, over the whole encoding.
func (v View) Verify() error {
	if binary.BigEndian.Uint32(v.raw[4:]) != recordSum(v.raw) {
		return fmt.Errorf("record checksum: %w", ErrCorrupt)
	}
	return nil
}

// Record copies the view out; Owner and Value alias the encoding.
func (v View) Record() Record {
	names := string(v.raw[recordHeader:v.owner]) // one allocation for both
	r := Record{
		Class:     Class(v.raw[1]),
		Namespace: names[:v.key-recordHeader],
		Key:       names[v.key-recordHeader:],
		Position:  v.Position(),
		Version:   v.Version(),
		Dot:       Dot{Actor: binary.BigEndian.Uint64(v.raw[24:]), Counter: binary.BigEndian.Uint64(v.raw[32:])},
		Expires:   v.Expires(),
		Tombstone: v.Tombstone(),
		Large:     v.Large(),
	}
	if o := v.raw[v.owner:v.value:v.value]; len(o) > 0 {
		r.Owner = o
	}
	if x := v.Value(); len(x) > 0 {
		r.Value = x
	}
	return r
}

// Raw returns the whole encoding.
func (v View) Raw() []byte { return v.raw }

// Class returns the record's consistency class.
func (v View) Class() Class { return Class(v.raw[1]) }

// Version returns the record's version.
func (v View) Version() Version {
	return Version{Clock: binary.BigEndian.Uint64(v.raw[8:]), Writer: binary.BigEndian.Uint64(v.raw[16:])}
}

// Expires returns the record's expiry in Unix milliseconds, 0 for never.
func (v View) Expires() int64 { return int64(binary.BigEndian.Uint64(v.raw[40:])) }

// Tombstone reports whether the record says that its key was deleted.
func (v View) Tombstone() bool { return v.raw[2]&flagTombstone != 0 }

// Large reports whether the record's value lists the chunks of a larger one.
func (v View) Large() bool { return v.raw[2]&flagLarge != 0 }

// Live is Record.Live.
func (v View) Live(now time.Time) bool {
	return !v.Tombstone() && (v.Expires() == 0 || now.UnixMilli() < v.Expires())
}

// Position returns the record's routing position.
func (v View) Position() chord.ID { return chord.ID(v.raw[48:80]) }

// Namespace returns the record's namespace.
func (v View) Namespace() []byte { return v.raw[recordHeader:v.key:v.key] }

// Key returns the record's key within its namespace.
func (v View) Key() []byte { return v.raw[v.key:v.owner:v.owner] }

// Value returns the record's value.
func (v View) Value() []byte { return v.raw[v.value:] }

// Is reports whether the record is one of key (ns, key).
func (v View) Is(ns, key string) bool {
	return string(v.Namespace()) == ns && string(v.Key()) == key
}

// isFull reports whether the record is one of a full key.
func (v View) isFull(full string) bool {
	ns, key := SplitKey(full)
	return v.Is(ns, key)
}
