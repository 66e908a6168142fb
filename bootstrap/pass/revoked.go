package pass

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The bounds of what a set holds, besides MaxDecrees. What inviters sign never takes the room of
// what ring keys sign, and one inviter leaves room to others.
const (
	maxRotations  = 64
	maxByInviter  = 256            // revocations of one inviter
	maxByInviters = MaxDecrees / 2 // of all together
)

// before orders decrees the same way everywhere.
func before(x, y Decree) bool { return bytes.Compare(x.Append(nil), y.Append(nil)) < 0 }

// byRing reports whether a ring key signed the decree, and not an inviter.
func (d Decree) byRing() bool { return len(d.Signer.Links) == 0 }

// samePlace reports whether two revocations of a key are of the same signer, under the same ring key: one
// of them is kept.
func samePlace(x, y Decree) bool { return x.signer() == y.signer() && x.Signer.Root == y.Signer.Root }

// covers reports whether a revocation puts out, for good, all whom another one of the same key
// does, which need not be kept then: it is of a newer ring key, or by the ring key itself. What
// an inviter signed does not cover what a ring key did.
func (a *Authority) covers(x, y Decree) bool {
	if !x.byRing() && y.byRing() {
		return false
	}
	i, j := a.rootIndex(x.Signer.Root), a.rootIndex(y.Signer.Root)
	return j >= 0 && (i > j || i == j && x.byRing() && !y.byRing()) // of a key yet unknown, nothing is known
}

// revoke takes in a revocation that is not known.
func (a *Authority) revoke(d Decree) (changed bool, err error) {
	kept := slices.DeleteFunc(slices.Clone(a.revoked[d.Key]), func(old Decree) bool { return a.covers(d, old) || samePlace(d, old) })
	was := a.revoked[d.Key]
	a.setRevoked(d.Key, kept) // what goes for it makes room
	if err := a.makeRoom(d); err != nil {
		a.setRevoked(d.Key, was)
		return false, err
	}
	a.setRevoked(d.Key, append(slices.Clip(a.revoked[d.Key]), d))
	return true, nil
}

func (a *Authority) setRevoked(key Key, list []Decree) {
	a.tally(a.revoked[key], -1)
	a.tally(list, 1)
	if len(list) == 0 {
		delete(a.revoked, key)
		return
	}
	a.revoked[key] = list
}

// tally counts revocations by who signed them.
func (a *Authority) tally(list []Decree, n int) {
	for _, d := range list {
		if d.byRing() {
			a.byRings += n
			continue
		}
		a.byInviters += n
		if a.byInviter[d.signer()] += n; a.byInviter[d.signer()] == 0 {
			delete(a.byInviter, d.signer())
		}
	}
}

// makeRoom sees to it that one more decree finds room, if it may. Of an inviter, and of all of them, those
// are kept that were issued first: they are the same at all peers, whatever came when.
func (a *Authority) makeRoom(d Decree) error {
	const most = MaxDecrees - maxRotations
	rings := a.byRings + len(a.inviters)
	switch {
	case d.byRing() && rings >= most:
		return fmt.Errorf("%w decrees of the ring's key", ErrFull)
	case d.byRing() && rings+a.byInviters >= most:
		a.drop(a.newest(func(Decree) bool { return true }))
	case d.byRing():
	case a.byInviter[d.signer()] >= maxByInviter:
		last := a.newest(func(old Decree) bool { return old.signer() == d.signer() })
		if !issuedBefore(d, last) {
			return fmt.Errorf("%w revocations by one inviter", ErrFull)
		}
		a.drop(last)
	case a.byInviters >= min(maxByInviters, most-rings):
		if a.byInviters == 0 {
			return fmt.Errorf("%w decrees of the ring's key", ErrFull)
		}
		last := a.newest(func(Decree) bool { return true })
		if !issuedBefore(d, last) {
			return fmt.Errorf("%w revocations by inviters", ErrFull)
		}
		a.drop(last)
	}
	return nil
}

// newest returns the revocation by an inviter that was issued last, of those that count; there is
// one.
func (a *Authority) newest(counts func(Decree) bool) (last Decree) {
	for _, list := range a.revoked {
		for _, d := range list {
			if !d.byRing() && counts(d) && (last.Kind == 0 || issuedBefore(last, d)) {
				last = d
			}
		}
	}
	return last
}

// issuedBefore orders revocations by age.
func issuedBefore(x, y Decree) bool {
	if !x.Issued.Equal(y.Issued) {
		return x.Issued.Before(y.Issued)
	}
	return before(x, y)
}

// drop forgets a revocation.
func (a *Authority) drop(d Decree) {
	a.setRevoked(d.Key, slices.DeleteFunc(slices.Clone(a.revoked[d.Key]), func(old Decree) bool { return samePlace(old, d) }))
}

// isRevoked reports whether a key is out that stands on a chain of the ring's
// generation-th key, signed by that key itself (direct) or by an inviter. A
// revocation counts for chains of its own ring key and of older ones.
func (a *Authority) isRevoked(key Key, generation int, direct bool) bool {
	return slices.ContainsFunc(a.revoked[key], func(d Decree) bool {
		return a.rootIndex(d.Signer.Root) >= generation && (d.byRing() || !direct)
	})
}

// Revoked reports whether the key was ever revoked.
func (a *Authority) Revoked(key Key) bool { return len(a.revoked[key]) > 0 }

// LastRevoked returns when the last revocation was issued that counts at now; zero: there is none.
// Tokens name it, which later revocations void.
func (a *Authority) LastRevoked(now time.Time) time.Time { return a.lastRevoked(0, now) }

// NextRevocation returns when a revocation that is made at now shall be issued: now, but later than all
// others, whatever the clocks of their signers say, so that it voids the tokens whose makers knew these.
func (a *Authority) NextRevocation(now time.Time) time.Time {
	if last := a.LastRevoked(now); !whole(now).After(last) {
		return last.Add(time.Second)
	}
	return now
}

// lastRevoked is LastRevoked of what counts for chains of the ring's generation-th key.
func (a *Authority) lastRevoked(generation int, now time.Time) (last time.Time) {
	for _, list := range a.revoked {
		for _, d := range list {
			if a.rootIndex(d.Signer.Root) >= generation && a.isTimely(d, now) && d.Issued.After(last) {
				last = d.Issued
			}
		}
	}
	return last
}

// isTimely reports whether a revocation's time can be believed: it is not from the future, or the ring's key
// signed it. An inviter could issue one so late that no other one comes after it.
func (a *Authority) isTimely(d Decree, now time.Time) bool {
	return d.Issued.Sub(now) <= Skew || d.byRing() && d.Signer.Root == a.Root()
}

// revokedAt returns when a key was revoked, as far as that can be believed: a revocation that is made once
// more keeps it, so that it voids no tokens.
func (a *Authority) revokedAt(key Key, now time.Time) time.Time {
	var last time.Time
	for _, d := range a.revoked[key] {
		if a.isTimely(d, now) && d.Issued.After(last) {
			last = d.Issued
		}
	}
	if last.IsZero() {
		return now
	}
	return last
}

// revokedKeys returns all keys that were ever revoked, in order.
func (a *Authority) revokedKeys() []Key {
	return slices.SortedFunc(maps.Keys(a.revoked), Key.compare)
}
