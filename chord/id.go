package chord

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// ID is a position on the ring: 256 bits, compared as a big-endian number and
// read modulo 2^256. It is the key space of Kademlia too, so that what one
// overlay learns can feed the other.
type ID [32]byte

// HashID returns the position of b: its SHA-256.
func HashID(b []byte) ID { return sha256.Sum256(b) }

// Position returns the ring position that peer p yields for index i:
// SHA-256(peer ID || big-endian i). Anybody can recompute it, so a peer cannot
// choose where it stands.
func Position(p PeerID, i uint32) ID {
	return sha256.Sum256(Preimage(p, i))
}

// Preimage returns what Position hashes. Kademlia, whose targets are hashes too,
// looks for the position if it is given that.
func Preimage(p PeerID, i uint32) []byte {
	b := make([]byte, 0, len(p)+4)
	b = append(b, p...)
	return binary.BigEndian.AppendUint32(b, i)
}

// ParseID reads an ID written by String.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("parse position: %d hex digits, want %d", len(s), 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("parse position: %w", err)
	}
	return id, nil
}

// String returns the ID as 64 hex digits.
func (a ID) String() string { return hex.EncodeToString(a[:]) }

// Short returns the first 8 hex digits, for people and logs.
func (a ID) Short() string { return hex.EncodeToString(a[:4]) }

// Compare orders IDs as numbers: -1, 0 or +1.
func (a ID) Compare(b ID) int { return bytes.Compare(a[:], b[:]) }

// Less reports whether a is the smaller number.
func (a ID) Less(b ID) bool { return bytes.Compare(a[:], b[:]) < 0 }

// between reports whether x lies in the open interval (a, b) of the circle;
// (a, a) is the whole circle without a.
func between(a, x, b ID) bool {
	switch a.Compare(b) {
	case -1:
		return a.Less(x) && x.Less(b)
	case 1:
		return a.Less(x) || x.Less(b)
	default:
		return x != a
	}
}

// distance returns how far b lies clockwise of a: b - a modulo 2^256.
func distance(a, b ID) ID {
	var d ID
	borrow, word := uint64(0), uint64(0)
	for i := len(d) - 8; i >= 0; i -= 8 {
		word, borrow = bits.Sub64(binary.BigEndian.Uint64(b[i:]), binary.BigEndian.Uint64(a[i:]), borrow)
		binary.BigEndian.PutUint64(d[i:], word)
	}
	return d
}

// bits returns how many bits the number takes.
func (a ID) bits() int {
	for i, b := range a {
		if b != 0 {
			return 8*(len(a)-1-i) + bits.Len8(b)
		}
	}
	return 0
}

// bit returns the bit of value 2^k, for k from 0 to 255.
func (a ID) bit(k int) bool { return a[len(a)-1-k/8]>>(k%8)&1 == 1 }

// plusPow2 returns a + 2^k modulo 2^256, for k from 0 to 255.
func plusPow2(a ID, k int) ID {
	i := len(a) - 1 - k/8
	carry := 1 << (k % 8)
	for ; i >= 0 && carry > 0; i-- {
		v := int(a[i]) + carry
		a[i] = byte(v)
		carry = v >> 8
	}
	return a
}

// Fraction returns the share of the circle that the arc covers, from just
// above 0 to 1.
func (a Arc) Fraction() float64 {
	if a.From == a.To {
		return 1
	}
	d := distance(a.From, a.To)
	return float64(binary.BigEndian.Uint64(d[:8])) / (1 << 64)
}
