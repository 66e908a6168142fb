package pass

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func revokeByAda(w who) Decree { return must(RevokeByInviter(ring, adas(), w.Key, now, ada.sign)) }
func revokeByOwner(w who) Decree {
	return must(RevokeByRing(ring, owner.Key, w.Key, now, owner.sign))
}

func rotate(from, to who) Decree {
	return must(RotateTo(ring, from.Key, to.Key, now, now.Add(24*time.Hour), from.sign, to.sign))
}

func TestRevoke(t *testing.T) {
	cyd := person(9)
	cyds := invited(adas(), ada, cyd, Read)
	eve := person(10)
	eves := inviterOf(owner, eve)
	for _, tt := range []struct {
		name                 string
		decrees              []Decree
		ada, bob, cyd, under error // under: a member that eve, an inviter, let in
	}{
		{"a member, by its inviter", []Decree{revokeByAda(bob)}, nil, ErrRevoked, nil, nil},
		{"a member, by the ring key", []Decree{revokeByOwner(bob)}, nil, ErrRevoked, nil, nil},
		{"a member, by another inviter", []Decree{must(RevokeByInviter(ring, eves, bob.Key, now, eve.sign))}, nil, ErrRevoked, nil, nil},
		{"an inviter, by the ring key", []Decree{revokeByOwner(ada)}, ErrRevoked, ErrRevoked, ErrRevoked, nil},
		{"an inviter, by another", []Decree{must(RevokeByInviter(ring, eves, ada.Key, now, eve.sign))}, nil, nil, nil, nil},
		{"both", []Decree{revokeByAda(bob), revokeByOwner(bob)}, nil, ErrRevoked, nil, nil},
		{"by an inviter that is out", []Decree{revokeByOwner(eve), must(RevokeByInviter(ring, eves, bob.Key, now, eve.sign))}, nil, ErrRevoked, nil, ErrRevoked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := NewAuthority(ring, owner.Key)
			apply(t, a, tt.decrees...)
			dan := person(11)
			for _, c := range []struct {
				name  string
				chain Chain
				key   Key
				want  error
			}{
				{"ada", adas(), ada.Key, tt.ada},
				{"bob", bobs(), bob.Key, tt.bob},
				{"cyd", cyds, cyd.Key, tt.cyd},
				{"dan", invited(eves, eve, dan, Submit), dan.Key, tt.under},
			} {
				if _, err := a.Verify(c.chain, c.key, now); !errors.Is(err, c.want) {
					t.Errorf("%s: %v, want %v", c.name, err, c.want)
				}
			}
			for _, d := range tt.decrees {
				if changed, err := a.Apply(d); changed || err != nil {
					t.Errorf("applied again: %v, %v", changed, err)
				}
				if !a.Revoked(d.Key) {
					t.Error("Revoked says no")
				}
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		d    func() (Decree, error)
		want error
	}{
		{"by a member", func() (Decree, error) { return RevokeByInviter(ring, bobs(), ada.Key, now, bob.sign) }, ErrMalformed},
		{"by a member made by the ring key", func() (Decree, error) {
			c := must(NewChain(ring, owner.Key, Link{Key: bob.Key, Right: Right{Role: Member}, Issued: now}, owner.sign))
			return RevokeByInviter(ring, c, ada.Key, now, bob.sign)
		}, ErrRight},
		{"by a stranger's key", func() (Decree, error) { return RevokeByRing(ring, mallory.Key, ada.Key, now, mallory.sign) }, ErrRoot},
		{"by a stranger", func() (Decree, error) { return RevokeByRing(ring, owner.Key, ada.Key, now, mallory.sign) }, ErrSignature},
		{"in another's name", func() (Decree, error) { return RevokeByInviter(ring, adas(), bob.Key, now, mallory.sign) }, ErrSignature},
		{"in another ring", func() (Decree, error) { return RevokeByRing([32]byte{7}, owner.Key, ada.Key, now, owner.sign) }, ErrSignature},
		{"rotation by a stranger", func() (Decree, error) {
			return RotateTo(ring, owner.Key, mallory.Key, now, now.Add(1e12), mallory.sign, mallory.sign)
		}, ErrSignature},
		{"rotation to a key that does not agree", func() (Decree, error) {
			return RotateTo(ring, owner.Key, second.Key, now, now.Add(1e12), owner.sign, owner.sign)
		}, ErrSignature},
		{"rotation to itself", func() (Decree, error) {
			return RotateTo(ring, owner.Key, owner.Key, now, now.Add(1e12), owner.sign, owner.sign)
		}, ErrMalformed},
		{"rotation without overlap", func() (Decree, error) {
			return RotateTo(ring, owner.Key, second.Key, now, now, owner.sign, second.sign)
		}, ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := NewAuthority(ring, owner.Key)
			before := a.Digest()
			d, err := tt.d()
			if err == nil {
				_, err = a.Apply(d)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if a.Digest() != before {
				t.Error("it changed what the authority knows")
			}
		})
	}
}

func TestApplyTampered(t *testing.T) {
	for name, d := range map[string]Decree{
		"revocation": revokeByAda(bob), "rotation": rotate(owner, second), "inviter": must(InviterOf(adas())),
	} {
		good := d.Append(nil)
		for i := range len(good) * 8 {
			bad := append([]byte(nil), good...)
			bad[i/8] ^= 1 << (i % 8)
			d, err := ParseDecree(bad)
			if err != nil {
				continue
			}
			if changed, err := NewAuthority(ring, owner.Key).Apply(d); changed || err == nil {
				t.Errorf("%s: bit %d of byte %d flipped: applied", name, i%8, i/8)
			}
		}
	}
}

func TestRotate(t *testing.T) {
	a := NewAuthority(ring, owner.Key)
	apply(t, a, rotate(owner, second))
	end := now.Add(24 * time.Hour)
	if a.Root() != second.Key {
		t.Error("the ring's key is still the old one")
	}
	fresh := inviterOf(second, ada)
	for _, tt := range []struct {
		name  string
		chain Chain
		now   time.Time
		want  error
	}{
		{"old, in the overlap", adas(), end.Add(-time.Second), nil},
		{"old, after it", adas(), end, ErrRetired},
		{"new", fresh, now, nil},
		{"new, after the overlap", fresh, end, nil},
	} {
		if _, err := a.Verify(tt.chain, ada.Key, tt.now); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if changed, err := a.Apply(rotate(owner, third)); changed || err != nil {
		t.Errorf("a rival rotation: %v, %v", changed, err)
	}
	if changed, err := a.Apply(rotate(second, owner)); changed || !errors.Is(err, ErrRight) {
		t.Errorf("back to the old key: %v, %v", changed, err)
	}
	apply(t, a, rotate(second, third))

	t.Run("revocations of the old key", func(t *testing.T) {
		apply(t, a, revokeByOwner(ada))
		if _, err := a.Verify(adas(), ada.Key, now); !errors.Is(err, ErrRevoked) {
			t.Errorf("a chain of the old key: %v", err)
		}
		if _, err := a.Verify(fresh, ada.Key, now); err != nil {
			t.Errorf("a chain of the new key: %v: whoever finds the old key could revoke everybody", err)
		}
		apply(t, a, must(RevokeByRing(ring, second.Key, ada.Key, now, second.sign)))
		if _, err := a.Verify(fresh, ada.Key, now); !errors.Is(err, ErrRevoked) {
			t.Errorf("a chain of the new key, revoked: %v", err)
		}
	})
}

// Peers that know the same decrees agree, in whatever order they learnt them.
func TestDecreesConverge(t *testing.T) {
	people := []who{ada, bob, mallory, person(20), person(21)}
	second1 := inviterOf(second, ada)
	all := []Decree{rotate(owner, second), must(InviterOf(adas())), must(InviterOf(second1))}
	for _, p := range people {
		all = append(all, revokeByAda(p), revokeByOwner(p),
			must(RevokeByInviter(ring, second1, p.Key, now, ada.sign)),
			must(RevokeByInviter(ring, adas(), p.Key, now.Add(time.Hour), ada.sign)))
	}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfDistinct(rapid.IntRange(0, len(all)-1), rapid.ID[int]).Draw(t, "decrees")
		order := rapid.Permutation(some).Draw(t, "order")
		x, y := NewAuthority(ring, owner.Key), NewAuthority(ring, owner.Key)
		learn := func(a *Authority, list []int) {
			for range 2 { // what came before the rotation that it rests on comes again
				for _, i := range list {
					if _, err := a.Apply(all[i]); err != nil && !errors.Is(err, ErrRoot) {
						t.Fatal(err)
					}
				}
			}
		}
		learn(x, some)
		learn(y, order)
		if x.Digest() != y.Digest() {
			t.Fatalf("the orders %v and %v differ", some, order)
		}
		z := NewAuthority(ring, owner.Key)
		list, err := ParseDecrees(AppendDecrees(nil, x.Decrees()))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if changed, err := z.Apply(d); !changed || err != nil {
				t.Fatalf("told in order: %v, %v", changed, err)
			}
		}
		for _, p := range people {
			for _, c := range []Chain{inviterOf(owner, p), invited(adas(), ada, p, Read), inviterOf(second, p)} {
				rx, ex := x.Verify(c, p.Key, now)
				ry, ey := y.Verify(c, p.Key, now)
				rz, ez := z.Verify(c, p.Key, now)
				if rx != ry || rx != rz || (ex == nil) != (ey == nil) || (ex == nil) != (ez == nil) {
					t.Fatalf("verdicts differ: %v, %v, %v", ex, ey, ez)
				}
			}
		}
	})
}

func TestDecreesGolden(t *testing.T) {
	list := []Decree{rotate(owner, second), revokeByAda(bob), must(InviterOf(adas()))}
	b := AppendDecrees(nil, list)
	golden(t, "decrees.hex", b)
	got, err := ParseDecrees(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list, got); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
}

func FuzzParseDecrees(f *testing.F) {
	f.Add(AppendDecrees(nil, []Decree{rotate(owner, second), revokeByAda(bob), revokeByOwner(ada), must(InviterOf(adas()))}))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseDecrees(b)
		if err != nil {
			return
		}
		if diff := cmp.Diff(b, AppendDecrees(nil, list)); diff != "" && len(b) > 0 {
			t.Fatal(diff)
		}
	})
}
