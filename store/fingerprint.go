package store

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Fingerprint summarises a set of (key, version) pairs, whatever their order:
// the sum modulo 2^128 of one hash for each, and how many there are. Those of
// disjoint sets add up, so a tree's inner node is the Plus of its children.
//
// It detects accidents and differences; it is not made to resist a member that
// searches for colliding sets.
type Fingerprint struct {
	Hi, Lo uint64
	Count  uint64
}

// Plus returns the fingerprint of the union of two disjoint sets.
func (f Fingerprint) Plus(g Fingerprint) Fingerprint {
	lo, carry := bits.Add64(f.Lo, g.Lo, 0)
	hi, _ := bits.Add64(f.Hi, g.Hi, carry)
	return Fingerprint{Hi: hi, Lo: lo, Count: f.Count + g.Count}
}

// Minus takes the subset g away from f.
func (f Fingerprint) Minus(g Fingerprint) Fingerprint {
	lo, borrow := bits.Sub64(f.Lo, g.Lo, 0)
	hi, _ := bits.Sub64(f.Hi, g.Hi, borrow)
	return Fingerprint{Hi: hi, Lo: lo, Count: f.Count - g.Count}
}

// Replace returns f after version old of a key (zero: none was held) gave way
// to version v (zero: none is held any more).
func (f Fingerprint) Replace(ns, key []byte, old, v Version) Fingerprint {
	if !old.IsZero() {
		f = f.Minus(FingerprintOf(ns, key, old))
	}
	if !v.IsZero() {
		f = f.Plus(FingerprintOf(ns, key, v))
	}
	return f
}

// FingerprintOf returns the fingerprint of the set of one pair.
func FingerprintOf(ns, key []byte, v Version) Fingerprint {
	var buf [18 + MaxKey]byte
	b := binary.BigEndian.AppendUint64(buf[:0], v.Clock)
	b = binary.BigEndian.AppendUint64(b, v.Writer)
	b = binary.BigEndian.AppendUint16(b, uint16(len(ns)))
	b = append(b, ns...)
	b = append(b, key...)
	sum := sha256.Sum256(b)
	return Fingerprint{Hi: binary.BigEndian.Uint64(sum[:]), Lo: binary.BigEndian.Uint64(sum[8:]), Count: 1}
}
