package store

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Owned namespaces.
//
// A namespace "@PEER-ID" belongs to the peer of that ID: its name is the owner's public key, so
// there are no settings that could be forged. Each record there, tombstones included, has a
// signature in its owner slot: of the owner, or of a writer whom the owner names in a [Grant] that
// stands beside it.
//
// What is signed is the whole record but for the checksum and the slot, for one ring: a
// signature fits no other key, version, expiry or value. It does not say that the record is
// the newest: who holds an older one may show that, as it may show nothing.

// OwnedPrefix begins the name of a namespace that is owned.
const OwnedPrefix = "@"

// GrantsPrefix begins the keys, of an owned namespace, under which its owner keeps grants: the
// owner alone writes those.
const GrantsPrefix = ".writers/"

// ErrForged is the error of a record whose signature is not one of its namespace's owner, nor of
// a writer of the owner's.
var ErrForged = errors.New("the record is not signed by the owner of its namespace")

// ErrOwner is the error of a namespace that begins with '@' and names no peer.
var ErrOwner = errors.New("no peer ID follows the '@'")

// PublicKey is the Ed25519 key that a peer ID holds.
type PublicKey [ed25519.PublicKeySize]byte

// SignKey signs a message with the private half of a key.
type SignKey func(message []byte) ([]byte, error)

// IsOwned reports whether a namespace is an owned one, be its name right or not.
func IsOwned[T string | []byte](ns T) bool { return len(ns) > 0 && ns[0] == OwnedPrefix[0] }

// idHead is what comes before the key in a peer ID of an Ed25519 key: a multihash that is the
// key itself, in libp2p's encoding.
const idHead = "\x00\x24\x08\x01\x12\x20"

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// maxIDText is more than the text of an ID has.
const maxIDText = 64

// OwnerOf returns the key in the name of an owned namespace. The error is ErrOwner.
func OwnerOf(ns string) (key PublicKey, err error) {
	text, ok := strings.CutPrefix(ns, OwnedPrefix)
	// The ID's first byte is 0, which is written as a 1 of its own; the second is not.
	if !ok || len(text) < 2 || len(text) > maxIDText || text[0] != base58[0] || text[1] == base58[0] {
		return key, ErrOwner
	}
	n := new(big.Int)
	for i := range len(text) {
		digit := strings.IndexByte(base58, text[i])
		if digit < 0 {
			return key, ErrOwner
		}
		n.Mul(n, big.NewInt(int64(len(base58))))
		n.Add(n, big.NewInt(int64(digit)))
	}
	id := append([]byte{0}, n.Bytes()...)
	if len(id) != len(idHead)+len(key) || string(id[:len(idHead)]) != idHead {
		return key, ErrOwner
	}
	copy(key[:], id[len(idHead):])
	return key, nil
}

// NamespaceOf returns the namespace that the peer of a key owns: what [OwnerOf] reads.
func NamespaceOf(key PublicKey) string {
	n := new(big.Int).SetBytes(append([]byte(idHead), key[:]...))
	var digits []byte
	for digit, base := new(big.Int), big.NewInt(int64(len(base58))); n.Sign() > 0; {
		n.DivMod(n, base, digit)
		digits = append(digits, base58[digit.Int64()])
	}
	digits = append(digits, base58[0]) // for the ID's first byte
	slices.Reverse(digits)
	return OwnedPrefix + string(digits)
}

// Grant lets a writer write to its owner's namespace, in versions before it expires. It is no
// secret: it is bound to the writer's key.
type Grant struct {
	Writer    PublicKey
	Expires   int64 // Unix milliseconds
	Signature [ed25519.SignatureSize]byte
}

// NewGrant makes a grant: sign is that of the namespace's owner.
func NewGrant(ring [32]byte, owner, writer PublicKey, expires time.Time, sign SignKey) (Grant, error) {
	g := Grant{Writer: writer, Expires: expires.UnixMilli()}
	sig, err := sign(g.message(ring, owner))
	if err == nil && len(sig) != len(g.Signature) {
		err = errors.New("no Ed25519 signature")
	}
	if err != nil {
		return Grant{}, fmt.Errorf("sign grant: %w", err)
	}
	copy(g.Signature[:], sig)
	return g, nil
}

// Check reports whether the owner signed the grant.
func (g Grant) Check(ring [32]byte, owner PublicKey) error {
	if !ed25519.Verify(owner[:], g.message(ring, owner), g.Signature[:]) {
		return fmt.Errorf("grant: %w", ErrForged)
	}
	return nil
}

func (g Grant) message(ring [32]byte, owner PublicKey) []byte {
	b := append([]byte("chorus/store/grant/1\x00"), ring[:]...)
	b = append(append(b, owner[:]...), g.Writer[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(g.Expires))
}

const grantSize = ed25519.PublicKeySize + 8 + ed25519.SignatureSize

// AppendTo appends the grant's encoding: the writer, when it expires in 8 bytes, the signature.
func (g Grant) AppendTo(b []byte) []byte {
	b = append(b, g.Writer[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(g.Expires))
	return append(b, g.Signature[:]...)
}

// DecodeGrant reads a grant. Its signature is not checked.
func DecodeGrant(b []byte) (g Grant, err error) {
	if len(b) != grantSize {
		return g, fmt.Errorf("grant of %d bytes: %w", len(b), ErrCorrupt)
	}
	copy(g.Writer[:], b)
	g.Expires = int64(binary.BigEndian.Uint64(b[len(g.Writer):]))
	copy(g.Signature[:], b[len(g.Writer)+8:])
	return g, nil
}

// The owner slot: a format byte, the grant of a writer's, and the signature of the record.
const (
	slotOwner  = 1
	slotWriter = 2
)

// SignOwned fills the owner slot of a record of an owned namespace: by the owner, or by the
// writer of a grant.
func SignOwned(ring [32]byte, r *Record, g *Grant, sign SignKey) error {
	r.Owner = nil
	v, err := OpenRecord(r.AppendTo(make([]byte, 0, r.Size())))
	if err != nil {
		return fmt.Errorf("sign record: %w", err)
	}
	slot := []byte{slotOwner}
	if g != nil {
		slot = g.AppendTo([]byte{slotWriter})
	}
	sig, err := sign(v.signed(ring))
	if err != nil {
		return fmt.Errorf("sign record: %w", err)
	}
	r.Owner = append(slot, sig...)
	return nil
}

// signed is what the slot's signature is of: the ring, and the hash of the record without its
// checksum and its slot.
func (v View) signed(ring [32]byte) []byte {
	h := sha256.New()
	h.Write(v.raw[:4])
	h.Write(v.raw[8:84])
	h.Write([]byte{0, 0})
	h.Write(v.raw[86:v.owner])
	h.Write(v.raw[v.value:])
	return h.Sum(append([]byte("chorus/store/owned/1\x00"), ring[:]...))
}

// CheckOwned checks the signature of a record in an owned namespace; others need none. Errors
// are ErrForged.
func CheckOwned(ring [32]byte, v View) error {
	if !IsOwned(v.Namespace()) {
		return nil
	}
	owner, err := OwnerOf(string(v.Namespace()))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForged, err)
	}
	if v.Class() != ClassEventual || v.Position() != Route(string(v.Namespace()), string(v.Key())) {
		return fmt.Errorf("%w: it is of class %d, or lies elsewhere than its key", ErrForged, v.Class())
	}
	signer, sig := owner, v.raw[v.owner:v.value]
	switch {
	case len(sig) == 1+ed25519.SignatureSize && sig[0] == slotOwner:
		sig = sig[1:]
	case len(sig) == 1+grantSize+ed25519.SignatureSize && sig[0] == slotWriter:
		g, err := DecodeGrant(sig[1 : 1+grantSize])
		if err == nil {
			err = g.Check(ring, owner)
		}
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrForged, err)
		case v.Version().Time().UnixMilli() >= g.Expires:
			return fmt.Errorf("%w: the grant of its writer ended before it was written", ErrForged)
		case bytes.HasPrefix(v.Key(), []byte(GrantsPrefix)):
			return fmt.Errorf("%w: a writer makes no grants", ErrForged)
		}
		signer, sig = g.Writer, sig[1+grantSize:]
	default:
		return fmt.Errorf("%w: its slot has %d bytes", ErrForged, len(sig))
	}
	if !ed25519.Verify(signer[:], v.signed(ring), sig) {
		return ErrForged
	}
	return nil
}

// CheckReply checks what a replica says that it holds of a key in a namespace, if that is owned:
// one that tells a version and not the record, or that shows a forged one, has not answered. That the
// record is one of the key is for [Read] to check. Errors are ErrCorrupt and ErrForged.
func CheckReply(ring [32]byte, ns string, reply ReadReply) error {
	if !IsOwned(ns) || reply.Status != StatusOK || reply.Version.IsZero() {
		return nil
	}
	v, err := OpenRecord(reply.Record)
	if err != nil {
		return err
	}
	return CheckOwned(ring, v)
}
