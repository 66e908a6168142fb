package pass

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/chorus-net/chorus/chord"
)

// Key is an Ed25519 public key: a ring's or a peer's.
type Key [ed25519.PublicKeySize]byte

// idPrefix is what libp2p puts before an Ed25519 key to make a peer ID of it: an
// identity multihash of a protobuf of the key's type and bytes.
const idPrefix = "\x00\x24\x08\x01\x12\x20"

// KeyOf returns the key in a peer ID. Only IDs of Ed25519 keys have one.
func KeyOf(id chord.PeerID) (Key, error) {
	if len(id) != len(idPrefix)+len(Key{}) || id[:len(idPrefix)] != idPrefix {
		return Key{}, errors.New("the peer ID holds no Ed25519 key")
	}
	return Key([]byte(id[len(idPrefix):])), nil
}

// PeerID returns the ID of the peer whose key it is.
func (k Key) PeerID() chord.PeerID { return chord.PeerID(idPrefix + string(k[:])) }

func (k Key) compare(other Key) int { return bytes.Compare(k[:], other[:]) }

// Sign signs a message with a private key, as libp2p's keys and ed25519 do.
type Sign func(message []byte) ([]byte, error)

// Role is what a peer may do in the ring. Each includes those before it. The
// numbers travel, and are those of package rpc.
type Role uint8

// The roles.
const (
	Read   Role = 1 + iota // read keys
	Submit                 // read and write keys, submit tasks
	Member                 // be a peer of the ring: hold keys, run tasks
)

var roleNames = [...]string{Read: "read", Submit: "submit", Member: "member"}

// String returns the role's name.
func (r Role) String() string {
	if r < Read || r > Member {
		return "unknown"
	}
	return roleNames[r]
}

// ParseRole reads what String writes.
func ParseRole(s string) (Role, error) {
	for r := Read; r <= Member; r++ {
		if roleNames[r] == s {
			return r, nil
		}
	}
	return 0, fmt.Errorf("role %.20q is none of member, submit, read", s)
}

// Right is what a link grants: a role, and whether its key may invite others.
type Right struct {
	Role   Role
	Invite bool
}

// Flags beside a role, in its byte.
const (
	flagInvite = 1 << 4
	flagOnce   = 1 << 5
	flagBound  = 1 << 6
	roleMask   = 1<<4 - 1
)

func (r Right) encode() byte {
	b := byte(r.Role)
	if r.Invite {
		b |= flagInvite
	}
	return b
}

// decodeRight reads a right beside which only the allowed flags may be set.
func decodeRight(b, allowed byte) (Right, error) {
	r := Right{Role: Role(b & roleMask), Invite: b&flagInvite != 0}
	if b&^(roleMask|flagInvite|allowed) != 0 {
		return Right{}, fmt.Errorf("%w: unknown flags %#x", ErrMalformed, b)
	}
	return r, r.validate()
}

func (r Right) validate() error {
	if r.Role < Read || r.Role > Member {
		return fmt.Errorf("%w: role %d", ErrMalformed, r.Role)
	}
	if r.Invite && r.Role != Member {
		return fmt.Errorf("%w: an inviter is a member", ErrMalformed)
	}
	return nil
}
