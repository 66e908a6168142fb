package chord

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
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
	b := make([]byte, 0, len(p)+4)
	b = append(b, p...)
	return sha256.Sum256(binary.BigEndian.AppendUint32(b, i))
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
