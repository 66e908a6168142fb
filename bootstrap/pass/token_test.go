package pass

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// invitation is a plain token of ada's; edit changes it before it is signed.
func invitation(edit func(*Token)) Token {
	t := Token{
		Inviter: adas().Links[0], Right: Right{Role: Member}, Expires: now.Add(24 * time.Hour), Nonce: Nonce{1, 2, 3},
		Addrs: [][]byte{{4, 192, 0, 2, 1, 6, 0x12, 0x8b}, {4, 192, 0, 2, 1, 0x91, 2, 0x12, 0x8b, 0xcd, 3}},
	}
	if edit != nil {
		edit(&t)
	}
	return must(t.Sign(ring, ada.sign))
}

func TestRedeem(t *testing.T) {
	eve := person(10)
	fromBob := invitation(nil)
	fromBob.Inviter = bobs().Links[1]
	fromBob.Inviter.Invite = true
	otherRing := invitation(nil)
	otherRing.Ring[0] ^= 1
	inviters := invitation(func(t *Token) { t.Right = Right{Member, true} })
	for _, tt := range []struct {
		name     string
		token    Token
		redeemer who
		now      time.Time
		decrees  []Decree
		want     error
	}{
		{"plain", invitation(nil), ada, now, nil, nil},
		{"by another inviter", invitation(nil), eve, now, nil, nil},
		{"reader", invitation(func(t *Token) { t.Right.Role = Read }), ada, now, nil, nil},
		{"at its end", invitation(nil), ada, now.Add(24 * time.Hour), nil, ErrExpired},
		{"once", invitation(func(t *Token) { t.Once = true }), ada, now, nil, nil},
		{"once, elsewhere", invitation(func(t *Token) { t.Once = true }), eve, now, nil, ErrInviter},
		{"bound", invitation(func(t *Token) { t.Bound, t.For = true, bob.Key }), ada, now, nil, nil},
		{"bound, elsewhere", invitation(func(t *Token) { t.Bound, t.For = true, bob.Key }), eve, now, nil, ErrInviter},
		{"bound to another", invitation(func(t *Token) { t.Bound, t.For = true, eve.Key }), ada, now, nil, ErrSubject},
		{"for an inviter", inviters, ada, now, nil, nil},
		{"for an inviter, elsewhere", inviters, eve, now, nil, ErrInviter},
		{"of another ring", otherRing, ada, now, nil, ErrRoot},
		{"made by a member", fromBob, ada, now, nil, ErrSignature},
		{"inviter out", invitation(nil), eve, now, []Decree{revokeByOwner(ada)}, ErrRevoked},
		{"joiner out", invitation(nil), ada, now, []Decree{revokeByAda(bob)}, ErrRevoked},
		{"a peer out since", invitation(nil), ada, now, []Decree{revokeByAda(eve)}, ErrVoid},
		{"ring key replaced, overlap", invitation(nil), ada, now, []Decree{rotate(owner, second)}, nil},
		{"clock of 1970", invitation(nil), ada, time.Unix(0, 0), nil, ErrClock},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := NewAuthority(ring, owner.Key)
			apply(t, a, tt.decrees...)
			right, err := a.Redeem(tt.token, tt.redeemer.Key, bob.Key, tt.now)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if err == nil && right != tt.token.Right {
				t.Errorf("right %+v, want %+v", right, tt.token.Right)
			}
		})
	}
}

func TestRedeemAfterTheOverlap(t *testing.T) {
	a := NewAuthority(ring, owner.Key)
	apply(t, a, rotate(owner, second))
	long := invitation(func(t *Token) { t.Expires = now.AddDate(1, 0, 0) })
	if _, err := a.Redeem(long, ada.Key, bob.Key, now.AddDate(0, 1, 0)); err == nil {
		t.Error("a token of a key that was replaced long ago admits")
	}
}

// No bit of a token can be changed, even by somebody who mends the checksum.
func TestRedeemTampered(t *testing.T) {
	a := NewAuthority(ring, owner.Key)
	good := invitation(func(t *Token) { t.Once = true }).encode()
	for i := range len(good) * 8 {
		bad := append([]byte(nil), good...)
		bad[i/8] ^= 1 << (i % 8)
		token, err := decodeToken(bad)
		if err != nil {
			continue
		}
		if right, err := a.Redeem(token, ada.Key, bob.Key, now); err == nil {
			t.Errorf("bit %d of byte %d flipped: %+v", i%8, i/8, right)
		}
	}
}

func TestSignTokenRefuses(t *testing.T) {
	for name, edit := range map[string]func(*Token){
		"no end":         func(t *Token) { t.Expires = time.Time{} },
		"not an inviter": func(t *Token) { t.Inviter.Invite = false },
		"no role":        func(t *Token) { t.Right = Right{} },
		"many addresses": func(t *Token) { t.Addrs = make([][]byte, 9) },
		"empty address":  func(t *Token) { t.Addrs = [][]byte{{}} },
		"long address":   func(t *Token) { t.Addrs = [][]byte{make([]byte, 256)} },
		"in 2200":        func(t *Token) { t.Expires = now.AddDate(174, 0, 0) },
	} {
		token := invitation(nil)
		edit(&token)
		if _, err := token.Sign(ring, ada.sign); err == nil {
			t.Errorf("signed: %s", name)
		}
	}
}

func TestTokenGolden(t *testing.T) {
	token := invitation(nil)
	s := token.String()
	if len(s) > 320 {
		t.Errorf("%d characters: people pass it on by hand", len(s))
	}
	golden(t, "token.hex", token.encode())
	if !IsToken(s) || IsToken("/ip4/192.0.2.1/tcp/4747") {
		t.Error("IsToken tells a token from an address wrongly")
	}
	got, err := ParseToken(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(token, got); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
	if len(invitation(func(t *Token) {
		t.Bound, t.Addrs = true, make([][]byte, 8)
		for i := range t.Addrs {
			t.Addrs[i] = make([]byte, 255)
		}
	}).String()) != MaxToken {
		t.Error("MaxToken is not the size of the largest token")
	}
}

func TestParseTokenRefuses(t *testing.T) {
	s := invitation(nil).String()
	for _, bad := range []string{
		"", "chorus1_", "/ip4/127.0.0.1/tcp/1", s[:len(s)-1], s + "A", s[1:], strings.ToUpper(s),
		s[:50] + "A" + s[51:], s[:50] + s[51:], s + " ", strings.Repeat("A", MaxToken+1), "chorus1_" + strings.Repeat("A", 300),
	} {
		if bad == s {
			t.Fatal("a case is the good token")
		}
		if _, err := ParseToken(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.60q: %v", bad, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(invitation(nil).encode())
	f.Add(invitation(func(t *Token) { t.Bound, t.Once, t.Addrs = true, true, nil }).encode())
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := ParseToken(string(body)); err == nil {
			t.Fatal("parsed without a prefix")
		}
		sum := sha256.Sum256(body)
		text := tokenPrefix + base64.RawURLEncoding.EncodeToString(append(body[:len(body):len(body)], sum[:checksumSize]...))
		token, err := ParseToken(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrRight) {
				t.Fatal(err)
			}
			return
		}
		if token.String() != text {
			t.Fatalf("%s became %s", text, token)
		}
	})
}

func TestSpent(t *testing.T) {
	var s Spent
	once := invitation(func(t *Token) { t.Once = true })
	spend := func(tok Token, w who, at time.Time) (bool, error) { return s.Spend(tok, w.Key, at) }
	if changed, err := spend(once, bob, now); !changed || err != nil {
		t.Fatalf("first use: %v, %v", changed, err)
	}
	if changed, err := spend(once, bob, now); changed || err != nil {
		t.Errorf("the same peer asks again: %v, %v", changed, err)
	}
	again, err := ParseSpent(s.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Spend(once, mallory.Key, now); !errors.Is(err, ErrSpent) {
		t.Errorf("another peer, after a restart: %v", err)
	}
	if changed, err := spend(invitation(nil), mallory, now); changed || err != nil {
		t.Errorf("a plain token: %v, %v", changed, err)
	}
	for i := 1; i < MaxSpent; i++ {
		tok := once
		tok.Nonce = Nonce{byte(i), byte(i >> 8), 9}
		if _, err := spend(tok, bob, now); err != nil {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	more := once
	more.Nonce = Nonce{255, 255, 255}
	if _, err := spend(more, bob, now); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if b := s.Append(nil); len(b) != 1+MaxSpent*spentSize {
		t.Errorf("%d bytes", len(b))
	}
	if changed, err := spend(more, bob, once.Expires); !changed || err != nil {
		t.Errorf("when the others have expired: %v, %v", changed, err)
	}
	if len(s.by) != 1 {
		t.Errorf("%d kept, want those that have not expired", len(s.by))
	}
}

func FuzzParseSpent(f *testing.F) {
	var s Spent
	must(s.Spend(invitation(func(t *Token) { t.Once = true }), bob.Key, now))
	f.Add(s.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSpent(b)
		if err != nil {
			return
		}
		again, err := ParseSpent(s.Append(nil))
		if err != nil || len(again.by) != len(s.by) {
			t.Fatalf("%d became %v, %v", len(s.by), again, err)
		}
	})
}
