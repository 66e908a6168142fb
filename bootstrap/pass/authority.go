package pass

import (
	"bytes"
	"fmt"
	"time"
)

// Skew is by how much clocks may differ: what was issued later than that from
// now is refused.
const Skew = 10 * time.Minute

// Authority is what a peer knows of who may be in its ring.
type Authority struct {
	ring    [32]byte
	roots   []root           // oldest first, never empty
	revoked map[Key][]Decree // by the key that is out
	// Of revoked, how many ring keys signed, all inviters, and each of them.
	byRings, byInviters int
	byInviter           map[Key]int

	inviters map[Key]Decree // under the ring's key, as far as decrees tell
}

// root is a key of the ring, or one it had.
type root struct {
	key    Key
	until  time.Time // its chains are good until then; zero: it is the ring's key
	decree Decree    // that replaced it
}

// NewAuthority returns what a peer knows that has just learnt the ring's ID and
// its key.
func NewAuthority(ring [32]byte, key Key) *Authority {
	return &Authority{ring: ring, roots: []root{{key: key}}, revoked: make(map[Key][]Decree), byInviter: make(map[Key]int), inviters: make(map[Key]Decree)}
}

// Root returns the ring's key.
func (a *Authority) Root() Key { return a.roots[len(a.roots)-1].key }

// Verify returns what the peer of key may do that shows c at now. The package's
// comment lists what is checked.
func (a *Authority) Verify(c Chain, key Key, now time.Time) (Right, error) {
	if len(c.Links) == 0 {
		return Right{}, fmt.Errorf("%w: a chain without links", ErrMalformed)
	}
	if c.last().Key != key {
		return Right{}, ErrSubject
	}
	c = a.Renew(c)
	if err := c.checkRights(); err != nil {
		return Right{}, err
	}
	generation, err := a.checkRoot(c.Root, now)
	if err != nil {
		return Right{}, err
	}
	if err := c.checkSignatures(a.ring); err != nil {
		return Right{}, err
	}
	for i, l := range c.Links {
		if err := l.checkTimes(now); err != nil {
			return Right{}, err
		}
		if a.isRevoked(l.Key, generation, i == 0) {
			return Right{}, ErrRevoked
		}
	}
	return c.Right(), nil
}

// checkRoot returns which of the ring's keys root is.
func (a *Authority) checkRoot(key Key, now time.Time) (int, error) {
	i := a.rootIndex(key)
	if i < 0 {
		return 0, ErrRoot
	}
	if r := a.roots[i]; !r.until.IsZero() && !now.Before(r.until) {
		return 0, fmt.Errorf("%w; its chains ended at %s", ErrRetired, r.until.Format(time.RFC3339))
	}
	return i, nil
}

// rootIndex returns -1 for a key that the ring never had.
func (a *Authority) rootIndex(key Key) int {
	for i, r := range a.roots {
		if r.key == key {
			return i
		}
	}
	return -1
}

// checkTimes checks a link's span against the clock.
func (l Link) checkTimes(now time.Time) error {
	if ahead := l.Issued.Sub(now); ahead > Skew {
		return fmt.Errorf("%w: issued at %s, and the clock here says %s",
			ErrClock, l.Issued.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if !l.Expires.IsZero() && !now.Before(l.Expires) {
		return fmt.Errorf("%w at %s", ErrExpired, l.Expires.Format(time.RFC3339))
	}
	return nil
}

// Redeem returns what a token grants the peer of key joiner when redeemer, an
// inviter, redeems it at now. Whether it was spent is not checked: see Spent.
func (a *Authority) Redeem(t Token, redeemer, joiner Key, now time.Time) (Right, error) {
	if !bytes.Equal(t.Ring[:], a.ring[:len(t.Ring)]) {
		return Right{}, ErrRoot
	}
	inviter, generation, err := a.inviterOf(t, now)
	if err != nil {
		return Right{}, fmt.Errorf("its inviter: %w", err)
	}
	switch {
	case !inviter.Invite:
		return Right{}, fmt.Errorf("%w: its signer may not invite", ErrRight)
	case !t.Inviter.Key.verify(t.message(a.ring), t.Signature):
		return Right{}, ErrSignature
	case !now.Before(t.Expires):
		return Right{}, fmt.Errorf("%w at %s", ErrExpired, t.Expires.Format(time.RFC3339))
	case t.Bound && t.For != joiner:
		return Right{}, ErrSubject
	case t.AtInviter() && t.Inviter.Key != redeemer:
		return Right{}, ErrInviter
	case a.Revoked(joiner):
		return Right{}, ErrRevoked
	case !t.Bound && a.lastRevoked(generation, now).After(t.Known):
		return Right{}, ErrVoid
	}
	return t.Right, nil
}

// inviterOf verifies a token's inviter under each of the ring's keys that is
// valid still, and returns under which: the token does not say.
func (a *Authority) inviterOf(t Token, now time.Time) (right Right, generation int, err error) {
	var first error
	for i := len(a.roots) - 1; i >= 0; i-- {
		c := Chain{Root: a.roots[i].key, Links: []Link{t.Inviter}}
		right, err := a.Verify(c, t.Inviter.Key, now)
		if err == nil {
			return right, i, nil
		}
		if first == nil {
			first = err
		}
	}
	return Right{}, 0, first
}
