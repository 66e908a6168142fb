package wire

import (
	"encoding/binary"
	"fmt"
)

// Parcel is a message between a guest of a ring and a member, or a part of one that is too
// large for a frame. Which part, the method says.
type Parcel struct {
	// ID is drawn by who sends the message in parts; zero: Part is all of it.
	ID [16]byte
	// At is how many bytes come before Part or, in the first answer of several, how many
	// there are in all.
	At   uint32
	Part []byte
}

// MaxParcel bounds the Part of a parcel, so that it fits a frame.
const MaxParcel = 512 << 10

const parcelHead = 1 + 16 + 4

// AppendParcel appends the encoding of p: 0 and the message; or 1, the ID, At in four bytes,
// big-endian, and the part.
func AppendParcel(b []byte, p Parcel) []byte {
	if p.ID == ([16]byte{}) {
		return append(append(b, 0), p.Part...)
	}
	b = append(append(b, 1), p.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, p.At)
	return append(b, p.Part...)
}

// ParseParcel reads a parcel, whose Part aliases b.
func ParseParcel(b []byte) (p Parcel, err error) {
	switch {
	case len(b) > 0 && b[0] == 0:
		return Parcel{Part: b[1:]}, nil
	case len(b) < parcelHead || b[0] != 1:
		return p, malformed("parcel", fmt.Errorf("%d bytes", len(b)))
	}
	copy(p.ID[:], b[1:])
	if p.ID == ([16]byte{}) {
		return p, malformed("parcel", fmt.Errorf("a part of nothing"))
	}
	p.At, p.Part = binary.BigEndian.Uint32(b[1+16:]), b[parcelHead:]
	if p.At > MaxControl || len(p.Part) > MaxControl {
		return p, malformed("parcel", fmt.Errorf("%d bytes at %d", len(p.Part), p.At))
	}
	return p, nil
}
