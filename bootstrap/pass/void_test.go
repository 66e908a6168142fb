package pass

import (
	"errors"
	"testing"
	"time"
)

// Whoever is put out does not come back as somebody else by a token that it has left, whoever made
// that: a revocation voids all that its signers' inviters could have made before.
func TestRevokeVoidsTokens(t *testing.T) {
	eve, newcomer := person(10), person(11)
	eves := inviterOf(owner, eve)
	cyd, dan := person(12), person(13)
	a := NewAuthority(ring, owner.Key)
	redeem := func(t *testing.T, tok Token, at time.Time, want error) {
		t.Helper()
		if _, err := a.Redeem(tok, ada.Key, newcomer.Key, at); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	made := func(edit func(*Token)) Token { // by ada, now
		return invitation(func(tok *Token) {
			tok.Known = a.LastRevoked(now)
			if edit != nil {
				edit(tok)
			}
		})
	}
	revoke := func(w who, at time.Time) {
		t.Helper()
		apply(t, a, must(RevokeByInviter(ring, eves, w.Key, a.NextRevocation(at), eve.sign)))
	}
	once := func(tok *Token) { tok.Once = true }
	bound := func(tok *Token) { tok.Bound, tok.For = true, newcomer.Key }
	plain, forOne, forPeer := made(nil), made(once), made(bound)
	revoke(bob, now.Add(5*time.Minute)) // by a clock that is fast
	redeem(t, plain, now, ErrVoid)
	redeem(t, forOne, now, ErrVoid)
	redeem(t, forPeer, now, nil)

	plain, forOne = made(nil), made(once)
	redeem(t, plain, now, nil)
	redeem(t, forOne, now, nil)
	revoke(cyd, now.Add(-4*time.Minute)) // by a slow one
	redeem(t, plain, now, ErrVoid)

	// No inviter issues a revocation so late that others void nothing.
	before := a.LastRevoked(now)
	apply(t, a, must(RevokeByInviter(ring, eves, mallory.Key, now.AddDate(50, 0, 0), eve.sign)))
	if got := a.LastRevoked(now); !got.Equal(before) {
		t.Errorf("the last revocation was issued at %v, want %v", got, before)
	}

	// A rotation makes all revocations once more, and voids nothing.
	plain = made(nil)
	learn(t, a, rotation(t, a, ada.Key)...)
	redeem(t, plain, now, nil)
	apply(t, a, must(RevokeByRing(ring, second.Key, dan.Key, a.NextRevocation(now), second.sign)))
	redeem(t, plain, now, ErrVoid)
	redeem(t, made(nil), now, nil)
}

// Tokens of the version before are told from those that were cut off.
func TestParseTokenOfFormat1(t *testing.T) {
	b := invitation(nil).encode()
	b[0] = 1
	_, err := decodeToken(b)
	const want = "malformed: a token of format 1, this version knows format 2: the inviter's version is another one"
	if !errors.Is(err, ErrMalformed) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
