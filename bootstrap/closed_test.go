package bootstrap

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/chorus-net/chorus/bootstrap/pass"
)

// closedHome makes a home of a new closed ring.
func closedHome(t *testing.T) (*Home, Ring, crypto.PrivKey) {
	t.Helper()
	h := openHome(t, t.TempDir())
	ringKey, err := NewIdentity(seeded(77))
	if err != nil {
		t.Fatal(err)
	}
	key, err := KeyOf(ringKey)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRing("choir", key, 16, 3, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.CreateClosed(r, ringKey, epoch); err != nil {
		t.Fatal(err)
	}
	return h, r, ringKey
}

func TestCreateClosed(t *testing.T) {
	h, r, ringKey := closedHome(t)
	for _, name := range []string{RingKeyFile, IdentityFile, PassFile, RingFile} {
		info, err := os.Stat(h.Path(name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	got, err := h.RingKey(r.Key)
	if err != nil || !got.Equals(ringKey) {
		t.Errorf("ring key: %v", err)
	}
	if again, err := h.Ring(); err != nil || again != r || again.Open {
		t.Errorf("ring %+v, %v", again, err)
	}
	a, err := h.Authority(r)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := h.Pass()
	if err != nil {
		t.Fatal(err)
	}
	identity, err := h.Identity()
	if err != nil {
		t.Fatal(err)
	}
	self, err := KeyOf(identity)
	if err != nil {
		t.Fatal(err)
	}
	if right, err := a.Verify(chain, self, epoch); err != nil || !right.Invite || right.Role != pass.Member {
		t.Errorf("the first peer's pass: %+v, %v", right, err)
	}
	if err := h.CreateClosed(r, ringKey, epoch); !errors.Is(err, ErrHomeExists) {
		t.Errorf("made again: %v", err)
	}
}

// What a home keeps of a closed ring is there after a restart.
func TestClosedHomeKeeps(t *testing.T) {
	h, r, ringKey := closedHome(t)
	a, err := h.Authority(r)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pass.RevokeByRing(r.ID, r.Key, pass.Key{7}, epoch, ringKey.Sign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Apply(out); err != nil {
		t.Fatal(err)
	}
	if err := h.SaveDecrees(a.Decrees()); err != nil {
		t.Fatal(err)
	}
	again, err := h.Authority(r)
	if err != nil || !again.Revoked(pass.Key{7}) || again.Digest() != a.Digest() {
		t.Errorf("decrees: %v", err)
	}
	once := pass.Token{Once: true, Expires: epoch.Add(time.Hour)}
	s, err := h.Spent()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Spend(once, pass.Key{7}, epoch); err != nil {
		t.Fatal(err)
	}
	if err := h.SaveSpent(s); err != nil {
		t.Fatal(err)
	}
	if s, err = h.Spent(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Spend(once, pass.Key{8}, epoch); !errors.Is(err, pass.ErrSpent) {
		t.Errorf("a spent token: %v", err)
	}
}

func TestClosedHomeDamaged(t *testing.T) {
	for _, name := range []string{PassFile, DecreesFile, SpentFile, RingKeyFile} {
		h, r, _ := closedHome(t)
		if err := os.WriteFile(h.Path(name), []byte("not this"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, pe := h.Pass()
		_, ae := h.Authority(r)
		_, se := h.Spent()
		_, ke := h.RingKey(r.Key)
		err := errors.Join(pe, ae, se, ke)
		var e *Error
		if !errors.As(err, &e) || e.Fix == "" || !strings.Contains(e.Message, h.Path(name)) {
			t.Errorf("%s damaged: %v", name, err)
		}
	}
	h, r, _ := closedHome(t)
	if err := os.Chmod(h.Path(RingKeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := h.RingKey(r.Key)
	wantCode(t, err, CodeBadIdentity, "chmod 600", RingKeyFile)
	if err := os.Remove(h.Path(RingKeyFile)); err != nil {
		t.Fatal(err)
	}
	if key, err := h.RingKey(r.Key); key != nil || err != nil {
		t.Errorf("a home without the ring's key: %v, %v", key, err)
	}
}

func TestAdmission(t *testing.T) {
	h, r, ringKey := closedHome(t)
	chain, err := h.Pass()
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]Admission{
		"let in":  {Ring: r, Pass: chain},
		"fine":    {},
		"news":    {Ring: longRing(r), Pass: longest(t, chain), Decrees: manyDecrees(t, r, ringKey)},
		"refused": {Refusal: &Error{Code: CodeRevoked, Message: "out", Fix: "stay out"}},
	} {
		b, err := a.Marshal()
		if err != nil || len(b) > maxAdmission {
			t.Fatalf("%s: %d bytes, %v", name, len(b), err)
		}
		got, err := ParseAdmission(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(a, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	long := Admission{Refusal: &Error{Code: "anything", Message: strings.Repeat("\x1b[31mé", 10_000), Fix: strings.Repeat("\"", 10_000)}}
	b, err := long.Marshal()
	if err != nil || len(b) > maxAdmission {
		t.Fatalf("a long refusal: %d bytes, %v", len(b), err)
	}
	got, err := ParseAdmission(b)
	if err != nil || got.Refusal.Code != CodeRefused || strings.ContainsRune(got.Refusal.Message, 0x1b) {
		t.Errorf("a long refusal: %v, %v", got.Refusal, err)
	}
	if _, err := (AdmissionRequest{Token: strings.Repeat("x", maxAdmission)}).Marshal(); err == nil {
		t.Error("a request beyond its bound")
	}
}

func longRing(r Ring) Ring {
	r.Name = strings.Repeat("n", 64)
	r.Shards, r.Replicas = maxShards, maxReplicas
	return r
}

// longest makes a chain of two links from one of one.
func longest(t *testing.T, c pass.Chain) pass.Chain {
	t.Helper()
	c.Links = append(c.Links[:1:1], pass.Link{Key: pass.Key{9}, Right: pass.Right{Role: pass.Member}, Issued: epoch, Expires: epoch})
	return c
}

// manyDecrees is what is told to a newcomer of a ring that has many inviters, and whose key
// was replaced often.
func manyDecrees(t *testing.T, r Ring, key crypto.PrivKey) []pass.Decree {
	t.Helper()
	a := pass.NewAuthority(r.ID, r.Key)
	var inviters []pass.Key
	for i := range byte(20) {
		inviters = append(inviters, pass.Key{i})
	}
	for i := range 6 {
		next, err := NewIdentity(seeded(100 + i))
		if err != nil {
			t.Fatal(err)
		}
		public, err := KeyOf(next)
		if err != nil {
			t.Fatal(err)
		}
		list, err := a.Rotation(public, inviters, epoch, epoch.Add(time.Hour), key.Sign, next.Sign)
		if err == nil {
			_, err = a.Learn(list)
		}
		if err != nil {
			t.Fatal(err)
		}
		key = next
	}
	return a.Introduce(pass.Chain{Links: []pass.Link{{Key: pass.Key{19}}}})
}

// While the ring's key is replaced both are in the home, and the one that the ring has counts.
func TestReplaceRingKey(t *testing.T) {
	h, r, old := closedHome(t)
	next, err := NewIdentity(seeded(78))
	if err != nil {
		t.Fatal(err)
	}
	root, err := KeyOf(next)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SaveNextRingKey(next); err != nil {
		t.Fatal(err)
	}
	if got, err := h.NextRingKey(); err != nil || !got.Equals(next) {
		t.Errorf("the next key: %v", err)
	}
	if got, err := h.RingKey(r.Key); err != nil || !got.Equals(old) {
		t.Errorf("before the ring has the new key: %v", err)
	}
	for range 2 { // the first time finishes what was begun
		if got, err := h.RingKey(root); err != nil || !got.Equals(next) {
			t.Errorf("when it has: %v", err)
		}
	}
	if got, err := h.RingKey(pass.Key{}); err != nil || !got.Equals(next) {
		t.Errorf("the old key is there still: %v", err)
	}
	if got, err := h.NextRingKey(); err != nil || got != nil {
		t.Errorf("there is a next key still: %v", err)
	}
}

func FuzzParseAdmission(f *testing.F) {
	r := goldenRing()
	r.Open, r.Key = false, pass.Key{1}
	for _, a := range []Admission{{}, {Ring: r, Pass: pass.Chain{Links: make([]pass.Link, 1)}}, {Refusal: &Error{Code: CodeRevoked}}, {Decrees: []pass.Decree{{Kind: pass.Inviter}}}} {
		b, err := a.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAdmission(b)
		if err != nil {
			return
		}
		out, err := a.Marshal()
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", a, err)
		}
		if _, err := ParseAdmission(out); err != nil && len(out) <= maxAdmission {
			t.Fatalf("%s cannot be read: %v", out, err)
		}
	})
}

func FuzzParseAdmissionRequest(f *testing.F) {
	f.Add([]byte(`{"format":1,"token":"chorus1_x"}`))
	f.Add([]byte(`{"format":1,"pass":"AAAA"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseAdmissionRequest(b)
		if err != nil {
			return
		}
		if out, err := r.Marshal(); err == nil {
			if again, err := ParseAdmissionRequest(out); err != nil || again.Token != r.Token {
				t.Fatalf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}

func TestParsePlacesToken(t *testing.T) {
	token := pass.Token{
		Inviter: pass.Link{Key: pass.Key{5}, Right: pass.Right{Role: pass.Member, Invite: true}}, Right: pass.Right{Role: pass.Read}, Expires: epoch,
		Addrs: [][]byte{{4, 192, 0, 2, 1, 6, 0x12, 0x8b}, {0xff, 0xff}},
	}
	p, err := ParsePlaces([]string{token.String()})
	if err != nil {
		t.Fatal(err)
	}
	want := []Contact{{ID: pass.Key{5}.PeerID(), Addrs: []string{"/ip4/192.0.2.1/tcp/4747"}}}
	if diff := cmp.Diff(want, p.Contacts); diff != "" || len(p.Tokens) != 1 {
		t.Errorf("%d tokens, contacts (-want +got):\n%s", len(p.Tokens), diff)
	}
	_, err = ParsePlaces([]string{token.String()[:40]})
	wantCode(t, err, CodeBadToken, "whole token")
}

// Every reason for which a pass is refused has a code, and no two that call for
// different deeds have the same.
func TestPassError(t *testing.T) {
	for want, errs := range map[string][]error{
		CodeBadClock: {pass.ErrClock}, CodeExpired: {pass.ErrExpired, pass.ErrRetired}, CodeTokenUsed: {pass.ErrSpent},
		CodeRevoked: {pass.ErrRevoked}, CodeTokenVoid: {pass.ErrVoid},
		CodeRefused: {pass.ErrInviter, pass.ErrSubject, pass.ErrRoot, pass.ErrSignature, pass.ErrRight, pass.ErrMalformed, pass.ErrFull},
	} {
		for _, err := range errs {
			if e := PassError("the token", err); e.Code != want || !errors.Is(e, err) || !strings.HasPrefix(e.Message, "the token: ") {
				t.Errorf("%v became %s: %v", err, e.Code, e)
			}
		}
	}
}
