package bootstrap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
)

// KeyOf returns the public half of an Ed25519 key.
func KeyOf(key crypto.PrivKey) (pass.Key, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return pass.Key{}, fmt.Errorf("derive key: %w", err)
	}
	return pass.KeyOf(chord.PeerID(id))
}

// NewClosedRing makes a closed ring with a new ID, and its key.
func NewClosedRing(name string, shards, replicas int, now time.Time) (Ring, crypto.PrivKey, error) {
	private, err := NewIdentity(nil)
	if err != nil {
		return Ring{}, nil, err
	}
	key, err := KeyOf(private)
	if err != nil {
		return Ring{}, nil, err
	}
	r, err := NewRing(name, key, shards, replicas, now)
	return r, private, err
}

// NewPass returns the chain of a ring's first peer: ringKey makes the peer of
// identity an inviter.
func NewPass(ring Ring, ringKey, identity crypto.PrivKey, now time.Time) (pass.Chain, error) {
	self, err := KeyOf(identity)
	if err != nil {
		return pass.Chain{}, err
	}
	root, err := KeyOf(ringKey)
	if err != nil {
		return pass.Chain{}, err
	}
	return pass.NewChain(ring.ID, root, pass.Link{Key: self, Right: pass.Right{Role: pass.Member, Invite: true}, Issued: now}, ringKey.Sign)
}

// CreateClosed makes the home that of the first peer of ring r, which is closed:
// it keeps the ring's key and the peer's pass, and then the ring as Create does.
func (h *Home) CreateClosed(r Ring, ringKey crypto.PrivKey, now time.Time) error {
	if _, err := h.Ring(); !errors.Is(err, ErrNoRing) {
		return h.Create(r) // it says why not
	}
	identity, err := h.Identity()
	if err != nil {
		return err
	}
	chain, err := NewPass(r, ringKey, identity, now)
	if err != nil {
		return err
	}
	if err := writeKey(h.Path(RingKeyFile), ringKey); err != nil {
		return err
	}
	if err := h.SavePass(chain); err != nil {
		return err
	}
	return h.Create(r)
}

// RingKey returns the private key of the ring, or nil if the home does not have it. root is
// the public one: it tells whether the replacement of the key got so far that the
// next one counts.
func (h *Home) RingKey(root pass.Key) (crypto.PrivKey, error) {
	const fix = "restore it from a backup, or remove it: the peer runs without it"
	next, err := readKey(h.Path(nextKeyFile), fix)
	if err == nil {
		if key, err := KeyOf(next); err == nil && key == root {
			return next, h.replaceRingKey()
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := readKey(h.Path(RingKeyFile), fix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return key, err
}

// NextRingKey returns the key that SaveNextRingKey kept, or nil if there is none.
func (h *Home) NextRingKey() (crypto.PrivKey, error) {
	key, err := readKey(h.Path(nextKeyFile), "restore it from a backup, or remove it: it is no ring's key yet")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return key, err
}

// SaveNextRingKey keeps the key that is about to replace the ring's, beside it.
func (h *Home) SaveNextRingKey(key crypto.PrivKey) error { return writeKey(h.Path(nextKeyFile), key) }

// replaceRingKey puts the key of SaveNextRingKey in the place of the ring's.
func (h *Home) replaceRingKey() error {
	if err := os.Rename(h.Path(nextKeyFile), h.Path(RingKeyFile)); err != nil {
		return pathError("replace", h.Path(RingKeyFile), err)
	}
	return syncDir(h.dir)
}

// Pass returns the chain that lets the peer into its closed ring.
func (h *Home) Pass() (pass.Chain, error) {
	b, err := readFile(h.Path(PassFile), pass.MaxChain)
	var c pass.Chain
	if err == nil {
		c, err = pass.ParseChain(b)
	}
	if err != nil {
		return pass.Chain{}, &Error{
			Code: CodeBadHome, Message: fmt.Sprintf("read %s: %v", h.Path(PassFile), withoutPath(err)), Err: err,
			Fix: "restore it from a backup; or remove ring.json beside it and join again with a token",
		}
	}
	return c, nil
}

// SavePass keeps the chain that lets the peer in.
func (h *Home) SavePass(c pass.Chain) error { return writeFile(h.Path(PassFile), c.Append(nil)) }

// Authority returns what the home knows of who may be in the ring r.
func (h *Home) Authority(r Ring) (*pass.Authority, error) {
	a := pass.NewAuthority(r.ID, r.Key)
	b, err := readFile(h.Path(DecreesFile), pass.MaxDecreesBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	var list []pass.Decree
	if err == nil {
		list, err = pass.ParseDecrees(b)
	}
	if err == nil {
		_, err = a.Learn(list)
	}
	if err != nil {
		return nil, &Error{
			Code: CodeBadHome, Message: fmt.Sprintf("read %s: %v", h.Path(DecreesFile), withoutPath(err)), Err: err,
			Fix: "copy it from the home of another peer of the ring, or remove it: the other peers tell it anew",
		}
	}
	return a, nil
}

// SaveDecrees keeps what is known of who may be in the ring.
func (h *Home) SaveDecrees(list []pass.Decree) error {
	return writeFile(h.Path(DecreesFile), pass.AppendDecrees(nil, list))
}

// Spent returns the tokens for one use that were redeemed here.
func (h *Home) Spent() (*pass.Spent, error) {
	b, err := readFile(h.Path(SpentFile), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return &pass.Spent{}, nil
	}
	var s *pass.Spent
	if err == nil {
		s, err = pass.ParseSpent(b)
	}
	if err != nil {
		return nil, &Error{
			Code: CodeBadHome, Message: fmt.Sprintf("read %s: %v", h.Path(SpentFile), withoutPath(err)), Err: err,
			Fix: "restore it from a backup; without it, tokens for one use could be used again",
		}
	}
	return s, nil
}

// SaveSpent keeps the book of tokens.
func (h *Home) SaveSpent(s *pass.Spent) error { return writeFile(h.Path(SpentFile), s.Append(nil)) }

// PassError explains why a pass or a token is refused: what says which.
func PassError(what string, err error) *Error {
	e := &Error{Code: CodeRefused, Message: fmt.Sprintf("%s: %v", what, err), Err: err}
	const again = "peer invite (at an inviter of the ring), for a new token"
	switch {
	case errors.Is(err, pass.ErrClock):
		e.Code, e.Fix = CodeBadClock, "set the clock of this machine (date -u shows it), and of the other if that one is wrong"
	case errors.Is(err, pass.ErrExpired), errors.Is(err, pass.ErrRetired):
		e.Code, e.Fix = CodeExpired, again
	case errors.Is(err, pass.ErrSpent):
		e.Code, e.Fix = CodeTokenUsed, again
	case errors.Is(err, pass.ErrVoid):
		e.Code, e.Fix = CodeTokenVoid, again
	case errors.Is(err, pass.ErrRevoked):
		e.Code, e.Fix = CodeRevoked, "who was revoked stays out: join under a new identity (--home DIR) with a new token"
	case errors.Is(err, pass.ErrInviter):
		e.Fix = "use the addresses in the token alone: only the peer that made it redeems it"
	case errors.Is(err, pass.ErrSubject):
		e.Fix = "peer invite --for PEER, for this peer's ID"
	}
	return e
}
