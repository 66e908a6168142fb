package pass

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// nobody is the key of somebody who is never asked for a signature.
func nobody(n int) (k Key) {
	binary.BigEndian.PutUint32(k[:], uint32(n)+1)
	return k
}

// holds is a set with so many revocations under the ring's key, one a second after another from now on: of
// each inviter, and of the ring key.
func holds(t testing.TB, each, byRing int, inviters ...who) *Authority {
	t.Helper()
	a := NewAuthority(ring, owner.Key)
	n := 0
	add := func(d Decree) {
		d.Key, d.Issued = nobody(n), now.Add(time.Duration(n)*time.Second) // their signatures are of no interest
		n++
		if changed, err := a.revoke(d); !changed || err != nil {
			t.Fatalf("decree %d: %v, %v", n, changed, err)
		}
	}
	for range byRing {
		add(Decree{Kind: Revoke, Signer: Chain{Root: owner.Key}})
	}
	for _, w := range inviters {
		c := inviterOf(owner, w)
		for range each {
			add(Decree{Kind: Revoke, Signer: c})
		}
	}
	return a
}

// size is how many decrees there are, besides rotations.
func (a *Authority) size() int { return len(a.Decrees()) - (len(a.roots) - 1) }

// One inviter that revokes all it can leaves room to others, and for the ring's key.
func TestRoomOfInviters(t *testing.T) {
	eve := person(10)
	a := holds(t, maxByInviter, 0, ada)
	late := must(RevokeByInviter(ring, adas(), bob.Key, now.Add(time.Hour), ada.sign))
	if changed, err := a.Apply(late); changed || !errors.Is(err, ErrFull) {
		t.Errorf("one revocation too many of one inviter: %v, %v", changed, err)
	}
	apply(t, a, must(RevokeByInviter(ring, inviterOf(owner, eve), bob.Key, now.Add(time.Hour), eve.sign)))
	apply(t, a, revokeByOwner(mallory))
	apply(t, a, must(RevokeByInviter(ring, adas(), person(11).Key, now.Add(-time.Hour), ada.sign)))
	if n := a.size(); n != maxByInviter+2 {
		t.Errorf("%d decrees: an older one takes the place of the newest", n)
	}
	if a.Revoked(nobody(maxByInviter - 1)) {
		t.Error("the newest was kept")
	}
}

// However many inviters fill the set, decrees of the ring's key find room in it.
func TestRoomOfRing(t *testing.T) {
	var inviters []who
	for i := range maxByInviters / maxByInviter {
		inviters = append(inviters, person(byte(100+i)))
	}
	a := holds(t, maxByInviter, MaxDecrees-maxRotations-maxByInviters, inviters...)
	if _, err := a.Apply(must(RevokeByInviter(ring, adas(), bob.Key, now.Add(24*time.Hour), ada.sign))); !errors.Is(err, ErrFull) {
		t.Errorf("one revocation too many of inviters: %v", err)
	}
	apply(t, a, revokeByOwner(bob), revokeByOwner(mallory), must(InviterOf(adas())))
	if n := a.size(); n != MaxDecrees-maxRotations {
		t.Errorf("%d decrees", n)
	}
	full := holds(t, 0, MaxDecrees-maxRotations)
	if _, err := full.Apply(revokeByOwner(bob)); !errors.Is(err, ErrFull) {
		t.Errorf("a set full of the ring key's own: %v", err)
	}
	apply(t, full, rotate(owner, second))
	if b := AppendDecrees(nil, full.Decrees()); len(b) > MaxDecreesBytes {
		t.Errorf("%d bytes of decrees", len(b))
	}
	if _, err := ParseDecrees(AppendDecrees(nil, full.Decrees())); err != nil {
		t.Error(err)
	}
}

// A rotation makes all revocations anew, and those before are dropped: the set does not grow.
func TestRotationPrunes(t *testing.T) {
	a := NewAuthority(ring, owner.Key)
	apply(t, a, must(InviterOf(adas())), revokeByAda(bob), revokeByOwner(mallory))
	learn(t, a, rotation(t, a, ada.Key)...)
	if n := a.size(); n != 3 {
		t.Errorf("%d decrees besides the rotation, want an inviter and two revocations", n)
	}
	if changed, err := a.Apply(revokeByAda(bob)); changed || err != nil {
		t.Errorf("what is covered came again: %v, %v", changed, err)
	}
	late := NewAuthority(ring, owner.Key)
	apply(t, late, revokeByAda(bob), revokeByOwner(mallory))
	list := a.Decrees()
	slices.Reverse(list) // what rests on the rotation comes before it
	learn(t, late, list...)
	if late.Digest() != a.Digest() {
		t.Error("who learns of the rotation last keeps other decrees")
	}
	if _, err := a.Verify(a.Renew(bobs()), bob.Key, now); !errors.Is(err, ErrRevoked) {
		t.Errorf("who was revoked: %v", err)
	}
	if _, err := a.Verify(bobs(), bob.Key, now); !errors.Is(err, ErrRevoked) {
		t.Errorf("who was revoked, by the old chain: %v", err)
	}
}

// Which revocations are kept of too many does not depend on the order in which they come.
func TestBoundsConverge(t *testing.T) {
	eve := person(10)
	full := holds(t, maxByInviter-3, 0, ada).Decrees()
	var all []Decree
	for i := range 6 {
		at := now.Add(time.Duration(i*83) * time.Second)
		all = append(all, must(RevokeByInviter(ring, adas(), nobody(9000+i), at, ada.sign)))
		all = append(all, must(RevokeByInviter(ring, inviterOf(owner, eve), nobody(9000+i), at, eve.sign)))
	}
	rapid.Check(t, func(t *rapid.T) {
		learn := func(order []Decree) *Authority {
			a := NewAuthority(ring, owner.Key)
			for _, d := range full {
				a.setRevoked(d.Key, []Decree{d})
			}
			for _, d := range order {
				if _, err := a.revoke(d); err != nil && !errors.Is(err, ErrFull) { // their signatures were checked
					t.Fatal(err)
				}
			}
			return a
		}
		x, y := learn(all), learn(rapid.Permutation(all).Draw(t, "order"))
		if x.Digest() != y.Digest() || x.size() != maxByInviter+6 {
			t.Fatalf("%d and %d decrees", x.size(), y.size())
		}
	})
}
