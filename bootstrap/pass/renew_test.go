package pass

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const overlap = 24 * time.Hour

// rotation makes second the ring's key, with ada as its inviter.
func rotation(t testing.TB, a *Authority, inviters ...Key) []Decree {
	t.Helper()
	list, err := a.Rotation(second.Key, inviters, now, now.Add(overlap), owner.sign, second.sign)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func learn(t testing.TB, a *Authority, list ...Decree) {
	t.Helper()
	if _, err := a.Learn(list); err != nil {
		t.Fatal(err)
	}
}

// Whoever an inviter let in stays in when the ring's key is replaced, for good, if the
// inviter does; and who was put out stays out, whichever chain it shows.
func TestRotation(t *testing.T) {
	cyd, eve := person(9), person(10)
	cyds := invited(adas(), ada, cyd, Read)
	eves := inviterOf(owner, eve)
	dan := person(11)
	dans := invited(eves, eve, dan, Submit)
	a := NewAuthority(ring, owner.Key)
	apply(t, a, revokeByAda(cyd), must(RevokeByInviter(ring, eves, ada.Key, now, eve.sign)))
	learn(t, a, rotation(t, a, ada.Key)...)

	spliced := cyds // what anybody can make of it who has seen ada's new chain
	spliced.Root, spliced.Links = second.Key, append([]Link{a.Renew(adas()).Links[0]}, cyds.Links[1])
	for _, tt := range []struct {
		name        string
		chain       Chain
		key         Key
		during, end error
	}{
		{"inviter", adas(), ada.Key, nil, nil},
		{"member", bobs(), bob.Key, nil, nil},
		{"member, renewed", a.Renew(bobs()), bob.Key, nil, nil},
		{"revoked", cyds, cyd.Key, ErrRevoked, ErrRevoked},
		{"revoked, spliced", spliced, cyd.Key, ErrRevoked, ErrRevoked},
		{"inviter not renewed", eves, eve.Key, nil, ErrRetired},
		{"its member", dans, dan.Key, nil, ErrRetired},
		{"forged under the renewed inviter", invited(inviterOf(mallory, ada), mallory, mallory, Member), mallory.Key, ErrSignature, ErrSignature},
	} {
		if _, err := a.Verify(tt.chain, tt.key, now.Add(time.Minute)); !errors.Is(err, tt.during) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.during)
		}
		if _, err := a.Verify(tt.chain, tt.key, now.Add(overlap)); !errors.Is(err, tt.end) {
			t.Errorf("%s, after the overlap: %v, want %v", tt.name, err, tt.end)
		}
	}
	if diff := cmp.Diff([]Key{ada.Key}, a.Inviters()); diff != "" {
		t.Errorf("inviters (-want +got):\n%s", diff)
	}
	if c := a.Renew(eves); c.Root != owner.Key {
		t.Error("a chain was renewed whose inviter was not")
	}
}

// Who joins after a rotation knows the new key only, and learns of those before from
// what they signed.
func TestLearnBackwards(t *testing.T) {
	a := NewAuthority(ring, owner.Key)
	learn(t, a, rotation(t, a, ada.Key)...)
	list, err := a.Rotation(third.Key, a.Inviters(), now, now.Add(overlap), second.sign, third.sign)
	if err != nil {
		t.Fatal(err)
	}
	learn(t, a, list...)
	late := NewAuthority(ring, third.Key)
	fresh, err := late.Learn(a.Decrees())
	if err != nil || late.Digest() != a.Digest() {
		t.Fatalf("learnt %d of %d decrees: %v", len(fresh), len(a.Decrees()), err)
	}
	if _, err := late.Verify(bobs(), bob.Key, now.Add(2*overlap)); err != nil {
		t.Errorf("a member of the first key: %v", err)
	}
	again := NewAuthority(ring, third.Key)
	if _, err := again.Learn(fresh); err != nil || again.Digest() != a.Digest() {
		t.Errorf("told on: %v", err)
	}
	stranger := must(RotateTo(ring, mallory.Key, third.Key, now, now.Add(overlap), mallory.sign, mallory.sign))
	if changed, err := again.Apply(stranger); changed || err == nil {
		t.Errorf("a key claimed that the ring's replaced it: %v, %v", changed, err)
	}
}

// A revocation that the owner of the ring's key had not heard of is repeated by the one
// who made it.
func TestRepeat(t *testing.T) {
	a := NewAuthority(ring, owner.Key)
	decrees := rotation(t, a, ada.Key)
	apply(t, a, revokeByAda(bob))
	learn(t, a, decrees...)
	chain := a.Renew(adas())
	if _, err := a.Verify(a.Renew(bobs()), bob.Key, now); err != nil {
		t.Fatalf("before: %v", err) // the hole that is to be closed
	}
	list, err := a.Repeat(chain, now, ada.sign)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d decrees, %v", len(list), err)
	}
	learn(t, a, list...)
	if _, err := a.Verify(a.Renew(bobs()), bob.Key, now); !errors.Is(err, ErrRevoked) {
		t.Errorf("after: %v", err)
	}
	if list, err := a.Repeat(chain, now, ada.sign); err != nil || len(list) != 0 {
		t.Errorf("once more: %d decrees, %v", len(list), err)
	}
}

func TestInviterOfRefuses(t *testing.T) {
	for name, c := range map[string]Chain{"a member's": bobs(), "none": {}} {
		if _, err := InviterOf(c); !errors.Is(err, ErrRight) {
			t.Errorf("%s: %v", name, err)
		}
	}
	forged := must(InviterOf(adas()))
	forged.Key = mallory.Key
	if changed, err := NewAuthority(ring, owner.Key).Apply(forged); changed || !errors.Is(err, ErrSignature) {
		t.Errorf("another key on an inviter's link: %v, %v", changed, err)
	}
}
