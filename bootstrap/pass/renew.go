package pass

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// InviterOf returns the decree that tells all peers of an inviter: a chain of one link.
// It is how chains outlive the ring key that they began at.
func InviterOf(c Chain) (Decree, error) {
	if len(c.Links) != 1 || !c.Links[0].Invite {
		return Decree{}, fmt.Errorf("tell of an inviter: %w: the chain is not an inviter's", ErrRight)
	}
	l := c.Links[0]
	return Decree{
		Kind: Inviter, Key: l.Key, Issued: l.Issued, Until: l.Expires, Signer: Chain{Root: c.Root}, Signature: l.Signature,
	}, nil
}

// inviterLink is what the decree tells of an inviter.
func (d Decree) inviterLink() Link {
	return Link{Key: d.Key, Right: Right{Role: Member, Invite: true}, Issued: d.Issued, Expires: d.Until, Signature: d.Signature}
}

// signed is what Signature signs.
func (d Decree) signed(ring [32]byte) []byte {
	if d.Kind == Inviter {
		return d.inviterLink().message(ring, d.Signer.Root)
	}
	return d.message(ring)
}

// Renew returns the chain under the ring's key that takes the place of one under an
// older key, if its inviter has a link under that key; else the chain itself. What an
// inviter signed does not name the ring's key, so it stays good.
func (a *Authority) Renew(c Chain) Chain {
	if c.Root == a.Root() || len(c.Links) == 0 || !c.Links[0].Invite {
		return c
	}
	d, ok := a.inviters[c.Links[0].Key]
	if !ok {
		return c
	}
	out := Chain{Root: a.Root(), Links: slices.Clone(c.Links)}
	out.Links[0] = d.inviterLink()
	return out
}

// Inviters returns the inviters that decrees tell of, in the order of their keys.
func (a *Authority) Inviters() []Key {
	return slices.SortedFunc(maps.Keys(a.inviters), Key.compare)
}

// Rotation makes next, by which fresh signs, the ring's key, in the place of the present
// one, by which old signs. It returns the decrees that this takes: chains of the old key
// are good until the time until; the inviters, as far as they were not revoked, have links
// under the new key, which make the chains of those whom they invited good; and who was
// revoked stays so.
func (a *Authority) Rotation(next Key, inviters []Key, now, until time.Time, old, fresh Sign) ([]Decree, error) {
	d, err := RotateTo(a.ring, a.Root(), next, now, until, old, fresh)
	if err != nil {
		return nil, err
	}
	list := []Decree{d}
	generation := len(a.roots) - 1
	for _, key := range inviters {
		if a.isRevoked(key, generation, true) {
			continue
		}
		c, err := NewChain(a.ring, next, Link{Key: key, Right: Right{Role: Member, Invite: true}, Issued: now}, fresh)
		if err != nil {
			return nil, err
		}
		d, err := InviterOf(c)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	for _, key := range a.revokedKeys() {
		if slices.Contains(inviters, key) && !a.isRevoked(key, generation, true) {
			continue // inviters cannot revoke each other
		}
		d, err := RevokeByRing(a.ring, next, key, a.revokedAt(key, now), fresh)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// Repeat returns the revocations that the inviter of chain, by which sign signs, has made under
// older keys of the ring, once more under the chain's, which is the newest. The one who
// rotated the key may not have known them.
func (a *Authority) Repeat(inviter Chain, now time.Time, sign Sign) ([]Decree, error) {
	var list []Decree
	generation := len(a.roots) - 1
	for _, key := range a.revokedKeys() {
		mine := slices.ContainsFunc(a.revoked[key], func(d Decree) bool {
			return !d.byRing() && d.signer() == inviter.last().Key
		})
		if !mine || a.isRevoked(key, generation, false) {
			continue
		}
		d, err := RevokeByInviter(a.ring, inviter, key, a.revokedAt(key, now), sign)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// Bounds of what Introduce tells, which must fit an answer to a stranger.
const (
	maxIntroducedKeys     = 4
	maxIntroducedInviters = 8
)

// Introduce returns what a peer that shows c has to know before it can meet others: the last
// rotations, and links of inviters, its own first. The others tell it the rest.
func (a *Authority) Introduce(c Chain) []Decree {
	var list []Decree
	for _, r := range a.roots[max(0, len(a.roots)-1-maxIntroducedKeys) : len(a.roots)-1] {
		list = append(list, r.decree)
	}
	keys := a.Inviters()
	if len(c.Links) > 0 {
		own := c.Links[0].Key
		slices.SortStableFunc(keys, func(x, y Key) int { return strangers(x, own) - strangers(y, own) })
	}
	for _, key := range keys[:min(len(keys), maxIntroducedInviters)] {
		list = append(list, a.inviters[key])
	}
	return list
}

func strangers(x, y Key) int {
	if x == y {
		return 0
	}
	return 1
}

// IsInviter reports whether a decree tells that the key is an inviter's.
func (a *Authority) IsInviter(key Key) bool {
	_, ok := a.inviters[key]
	return ok
}

// Rotated returns when the ring's key was replaced last and until when chains of the one
// before are good; zero if it never was.
func (a *Authority) Rotated() (issued, until time.Time) {
	if len(a.roots) < 2 {
		return time.Time{}, time.Time{}
	}
	last := a.roots[len(a.roots)-2]
	return last.decree.Issued, last.until
}
