package p2p

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/chorus-net/chorus/chord"
)

// IDOf returns the ID of the peer that owns key.
func IDOf(key crypto.PrivKey) (chord.PeerID, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("derive peer ID: %w", err)
	}
	return chord.PeerID(id), nil
}

// ParsePeerID reads a peer ID as people write it, "12D3KooW...".
func ParsePeerID(s string) (chord.PeerID, error) {
	id, err := peer.Decode(s)
	if err != nil {
		return "", fmt.Errorf("parse peer ID %q: %w", s, err)
	}
	return chord.PeerID(id), nil
}

// FormatPeerID writes a peer ID for people.
func FormatPeerID(id chord.PeerID) string { return peer.ID(id).String() }

// ValidPeerID reports whether id can name a peer at all.
func ValidPeerID(id chord.PeerID) bool {
	_, err := peer.IDFromBytes([]byte(id))
	return err == nil && len(id) <= maxPeerID
}

// maxPeerID is longer than the ID of any key that libp2p knows.
const maxPeerID = 64

// Sign signs data with the peer's key. The domain says what is signed, such as
// "chorus/peer-record/1", so that a signature for one purpose serves no other.
func Sign(key crypto.PrivKey, domain string, data []byte) ([]byte, error) {
	sig, err := key.Sign(signedBytes(domain, data))
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", domain, err)
	}
	return sig, nil
}

// Verify checks a signature that Sign made with the key of peer id. The ID must
// hold the key, as those of Ed25519 keys do.
func Verify(id chord.PeerID, domain string, data, sig []byte) error {
	pub, err := peer.ID(id).ExtractPublicKey()
	if err != nil {
		return fmt.Errorf("verify %s: %w", domain, err)
	}
	ok, err := pub.Verify(signedBytes(domain, data), sig)
	if err != nil {
		return fmt.Errorf("verify %s: %w", domain, err)
	}
	if !ok {
		return fmt.Errorf("verify %s: signature is not by %s", domain, FormatPeerID(id))
	}
	return nil
}

// signedBytes separates the domain from the data by a byte that no domain has.
func signedBytes(domain string, data []byte) []byte {
	b := make([]byte, 0, len(domain)+1+len(data))
	b = append(b, domain...)
	b = append(b, 0)
	return append(b, data...)
}
