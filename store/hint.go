package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Hint is a write that a peer keeps for voters that its coordinator could not
// reach. It is no replica: nobody reads it, and it counts for no level. Its keeper
// writes the record, at the version that it has, to the shard's members as soon as
// enough of them answer. What became of its key meanwhile decides there: a newer
// version wins, and if a horizon has settled the version, so that its key may have
// been deleted and the delete forgotten, members refuse it and the hint is dropped.
// It is never stamped anew, unlike the write of a coordinator, who knows that its
// caller still waits.
type Hint struct {
	Record []byte    // encoded
	Until  time.Time // in whole milliseconds, by the keeper's clock; then it is dropped
}

// NewHint returns the hint of a record that another peer asks this one to keep, at
// now, for a time. Registers are not written by hints, and what is ahead of the clock
// is refused as by a replica, with ErrSkew.
func NewHint(record []byte, now time.Time, keep, skew time.Duration) (Hint, error) {
	v, err := OpenRecord(record)
	if err != nil {
		return Hint{}, err
	}
	if v.Class() != ClassEventual {
		return Hint{}, errors.New("hint of a register")
	}
	if status, _ := Judge(Version{}, v.Version(), now, skew); status != StatusOK {
		return Hint{}, fmt.Errorf("hint of version %v: %w", v.Version(), ErrSkew)
	}
	return Hint{Record: record, Until: now.Add(keep).Truncate(time.Millisecond)}, nil
}

// An encoded hint: format byte, Until (Unix milliseconds, 8 bytes, big-endian), the
// record.
const (
	hintFormat = 1
	hintHeader = 9
)

// MaxHint bounds an encoded hint, in bytes.
const MaxHint = hintHeader + MaxRecord

// AppendTo appends the encoding of h to b.
func (h Hint) AppendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(append(b, hintFormat), uint64(h.Until.UnixMilli()))
	return append(b, h.Record...)
}

// DecodeHint reads a hint, whose record OpenRecord takes. The record aliases b.
func DecodeHint(b []byte) (Hint, error) {
	if len(b) < hintHeader || b[0] != hintFormat {
		return Hint{}, fmt.Errorf("hint format: %w", ErrCorrupt)
	}
	h := Hint{Record: b[hintHeader:], Until: time.UnixMilli(int64(binary.BigEndian.Uint64(b[1:])))}
	if _, err := OpenRecord(h.Record); err != nil {
		return Hint{}, fmt.Errorf("hint: %w", err)
	}
	return h, nil
}
