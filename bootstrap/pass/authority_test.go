package pass

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/chord"
)

func TestKeyOf(t *testing.T) {
	id := bob.PeerID()
	if k, err := KeyOf(id); err != nil || k != bob.Key {
		t.Errorf("KeyOf(PeerID) = %x, %v", k, err)
	}
	for _, bad := range []chord.PeerID{"", "x", id[1:], id + "x", "\x12\x20" + id[2:]} {
		if k, err := KeyOf(bad); err == nil {
			t.Errorf("KeyOf(%x) = %x", bad, k)
		}
	}
}

func TestVerify(t *testing.T) {
	forged := bobs()
	forged.Links[1].Role = Member
	forged.Links[1].Signature = must(Sign(mallory.sign).make(nil))
	deputy := adas() // an inviter that ada made
	deputy.Links = append(deputy.Links, Link{Key: bob.Key, Right: Right{Member, true}, Issued: now})
	deputy.Links[1].Signature = must(Sign(ada.sign).make(deputy.Links[1].message(ring, ada.Key)))
	third := bobs() // signed by bob, who may not invite
	third.Links = append(third.Links[1:], Link{Key: mallory.Key, Right: Right{Role: Member}, Issued: now})
	third.Links[1].Signature = must(Sign(bob.sign).make(third.Links[1].message(ring, bob.Key)))
	other := [32]byte{1}
	elsewhere := must(NewChain(other, owner.Key, Link{Key: ada.Key, Right: Right{Member, true}, Issued: now}, owner.sign))
	ending := must(NewChain(ring, owner.Key, Link{Key: ada.Key, Right: Right{Member, true}, Issued: now, Expires: now.Add(time.Hour)}, owner.sign))

	for _, tt := range []struct {
		name  string
		chain Chain
		key   Key
		now   time.Time
		want  error
	}{
		{"inviter", adas(), ada.Key, now, nil},
		{"member", bobs(), bob.Key, now, nil},
		{"no links", Chain{Root: owner.Key}, ada.Key, now, ErrMalformed},
		{"shown by another peer", bobs(), mallory.Key, now, ErrSubject},
		{"shown by its inviter", bobs(), ada.Key, now, ErrSubject},
		{"of a ring key of one's own", inviterOf(mallory, bob), bob.Key, now, ErrRoot},
		{"of another ring with the same key", elsewhere, ada.Key, now, ErrSignature},
		{"signed by nobody", forged, bob.Key, now, ErrSignature},
		{"inviter made by an inviter", deputy, bob.Key, now, ErrRight},
		{"invited by who may not", third, mallory.Key, now, ErrRight},
		{"clock behind, within skew", bobs(), bob.Key, now.Add(-Skew), nil},
		{"clock of 1970", bobs(), bob.Key, time.Unix(0, 0), ErrClock},
		{"before the end", ending, ada.Key, now.Add(time.Hour - time.Second), nil},
		{"at the end", ending, ada.Key, now.Add(time.Hour), ErrExpired},
		{"member of an inviter at its end", invited(ending, ada, bob, Read), bob.Key, now.Add(time.Hour), ErrExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			right, err := NewAuthority(ring, owner.Key).Verify(tt.chain, tt.key, tt.now)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if err == nil && right != tt.chain.Right() || err != nil && right != (Right{}) {
				t.Errorf("right %+v", right)
			}
		})
	}
}

// No bit of a chain can be changed.
func TestVerifyTampered(t *testing.T) {
	a := NewAuthority(ring, owner.Key)
	for _, c := range []struct {
		chain Chain
		key   Key
	}{{adas(), ada.Key}, {bobs(), bob.Key}} {
		good := c.chain.Append(nil)
		for i := range len(good) * 8 {
			bad := append([]byte(nil), good...)
			bad[i/8] ^= 1 << (i % 8)
			chain, err := ParseChain(bad)
			if err != nil {
				continue
			}
			if right, err := a.Verify(chain, c.key, now); err == nil {
				t.Errorf("bit %d of byte %d flipped: %+v", i%8, i/8, right)
			}
		}
	}
}

func TestExtendRefuses(t *testing.T) {
	for name, err := range map[string]error{
		"by who may not invite": second1(bobs().Extend(ring, Link{Key: mallory.Key, Right: Right{Role: Read}, Issued: now}, bob.sign)),
		"an inviter":            second1(adas().Extend(ring, Link{Key: bob.Key, Right: Right{Member, true}, Issued: now}, ada.sign)),
		"no role":               second1(adas().Extend(ring, Link{Key: bob.Key, Issued: now}, ada.sign)),
		"unknown role":          second1(adas().Extend(ring, Link{Key: bob.Key, Right: Right{Role: 4}, Issued: now}, ada.sign)),
		"inviting reader":       second1(NewChain(ring, owner.Key, Link{Key: bob.Key, Right: Right{Read, true}, Issued: now}, owner.sign)),
		"in 1960":               second1(adas().Extend(ring, Link{Key: bob.Key, Right: Right{Role: Read}, Issued: now.AddDate(-66, 0, 0)}, ada.sign)),
		"of nothing":            second1(Chain{Root: owner.Key}.Extend(ring, Link{Key: bob.Key, Right: Right{Role: Read}, Issued: now}, owner.sign)),
		"without a signature":   second1(adas().Extend(ring, Link{Key: bob.Key, Right: Right{Role: Read}, Issued: now}, func([]byte) ([]byte, error) { return nil, nil })),
	} {
		if err == nil {
			t.Errorf("extended %s", name)
		}
	}
}

func second1[T any](_ T, err error) error { return err }

func TestParseRole(t *testing.T) {
	for r := Read; r <= Member; r++ {
		if got, err := ParseRole(r.String()); err != nil || got != r {
			t.Errorf("%v became %v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "control", "unknown", "Member"} {
		if r, err := ParseRole(s); err == nil {
			t.Errorf("%q is %v", s, r)
		}
	}
}

func TestChainGolden(t *testing.T) {
	b := bobs().Append(nil)
	if len(b) != MaxChain {
		t.Errorf("%d bytes, MaxChain is %d", len(b), MaxChain)
	}
	golden(t, "chain.hex", b)
	c, err := ParseChain(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bobs(), c); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
}

func FuzzParseChain(f *testing.F) {
	f.Add(adas().Append(nil))
	f.Add(bobs().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseChain(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if diff := cmp.Diff(b, c.Append(nil)); diff != "" {
			t.Fatal(diff)
		}
	})
}
