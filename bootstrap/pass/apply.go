package pass

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// Learn applies decrees in whatever order makes most of them valid, and returns
// those that changed something, in an order in which they can be told on. Errors
// are those of the decrees that were refused; the others count.
func (a *Authority) Learn(list []Decree) (fresh []Decree, err error) {
	for {
		var later []Decree // of a key that another decree may bring
		for _, d := range list {
			changed, bad := a.Apply(d)
			switch {
			case errors.Is(bad, ErrRoot):
				later = append(later, d)
			case bad != nil:
				err = errors.Join(err, bad)
			case changed:
				fresh = append(fresh, d)
			}
		}
		if len(later) == 0 {
			return fresh, err
		}
		if len(later) == len(list) {
			return fresh, errors.Join(err, fmt.Errorf("%d decrees: %w", len(later), ErrRoot))
		}
		list = later
	}
}

// Apply takes in a decree, and reports whether it changed anything. One that
// the ring's keys do not bear out is an error, as is one too many (ErrFull).
func (a *Authority) Apply(d Decree) (changed bool, err error) {
	if a.knows(d) {
		return false, nil
	}
	if err := a.check(d); err != nil {
		return false, fmt.Errorf("decree: %w", err)
	}
	switch d.Kind {
	case Rotate:
		changed, err = a.rotate(d)
	case Inviter:
		if d.Signer.Root != a.Root() {
			return false, nil // that key was replaced
		}
		changed, err = a.addInviter(d)
	case Revoke:
		changed, err = a.revoke(d)
	}
	if err != nil {
		return false, fmt.Errorf("decree: %w", err)
	}
	return changed, nil
}

// knows reports whether a decree is held, or one that is kept before it, so that its
// signatures need no check.
func (a *Authority) knows(d Decree) bool {
	switch d.Kind {
	case Rotate:
		i := slices.IndexFunc(a.roots, func(r root) bool { return r.key == d.Signer.Root && !r.until.IsZero() })
		return i >= 0
	case Inviter:
		old, known := a.inviters[d.Key]
		return known && old.Signer.Root == d.Signer.Root && !before(d, old)
	case Revoke:
		return slices.ContainsFunc(a.revoked[d.Key], func(old Decree) bool { return a.covers(old, d) || samePlace(old, d) && !before(d, old) })
	}
	return false
}

// rotate takes in a rotation: of the ring's key to the next, or of the one before the
// oldest that is known. That the oldest replaced it, it has signed itself.
func (a *Authority) rotate(d Decree) (changed bool, err error) {
	if len(a.roots) > maxRotations {
		return false, fmt.Errorf("%w rotations of one ring", ErrFull)
	}
	old := root{key: d.Signer.Root, until: d.Until, decree: d}
	if a.Root() == d.Signer.Root {
		a.roots = append(a.roots[:len(a.roots)-1:len(a.roots)-1], old, root{key: d.Key})
		clear(a.inviters) // of keys before
		return true, nil
	}
	a.roots = append([]root{old}, a.roots...)
	return true, nil
}

// addInviter keeps the link of an inviter. Of two for one key the smaller encoding stays, so that all
// peers keep the same.
func (a *Authority) addInviter(d Decree) (changed bool, err error) {
	old, known := a.inviters[d.Key]
	if known && !before(d, old) {
		return false, nil
	}
	if !known {
		if err := a.makeRoom(d); err != nil {
			return false, err
		}
	}
	a.inviters[d.Key] = d
	return true, nil
}

// check checks a decree's signatures, and that its signer may make it.
func (a *Authority) check(d Decree) error {
	if err := d.validate(); err != nil {
		return err
	}
	earlier := d.Kind == Rotate && d.Key == a.roots[0].key // the key that it replaced vouches for it
	if a.rootIndex(d.Signer.Root) < 0 && !earlier {
		return ErrRoot
	}
	if len(d.Signer.Links) == 1 && !d.Signer.Links[0].Invite {
		return fmt.Errorf("%w: its signer may not revoke", ErrRight)
	}
	if err := d.Signer.checkSignatures(a.ring); err != nil {
		return err
	}
	if !d.signer().verify(d.signed(a.ring), d.Signature) {
		return ErrSignature
	}
	if d.Kind != Rotate {
		return nil
	}
	if !d.Key.verify(d.message(a.ring), d.Proof) {
		return ErrSignature
	}
	if i := a.rootIndex(d.Key); i >= 0 && !(i == 0 && a.rootIndex(d.Signer.Root) < 0) {
		return fmt.Errorf("%w: a ring key returns", ErrRight)
	}
	return nil
}

// Decrees returns all decrees: rotations first, in order, then the others. Those
// who apply them in this order learn the keys before what these signed.
func (a *Authority) Decrees() []Decree {
	var out []Decree
	for _, r := range a.roots[:len(a.roots)-1] {
		out = append(out, r.decree)
	}
	n := len(out)
	for _, list := range a.revoked {
		out = append(out, list...)
	}
	for _, d := range a.inviters {
		out = append(out, d)
	}
	slices.SortFunc(out[n:], func(x, y Decree) int { return bytes.Compare(x.Append(nil), y.Append(nil)) })
	return out
}

// Digest tells sets of decrees apart.
func (a *Authority) Digest() [32]byte { return sha256.Sum256(AppendDecrees(nil, a.Decrees())) }
