package pass

import "errors"

// Why a chain, a token or a decree is refused. They are wrapped with what is
// wrong in detail.
var (
	ErrMalformed = errors.New("malformed")
	ErrSubject   = errors.New("made out to another peer")
	ErrRoot      = errors.New("of another ring, or another key of this ring")
	ErrRetired   = errors.New("signed under a ring key that was replaced")
	ErrSignature = errors.New("a signature is wrong")
	ErrRight     = errors.New("more than its signer may grant")
	ErrExpired   = errors.New("expired")
	ErrClock     = errors.New("from the future: a clock is wrong")
	ErrRevoked   = errors.New("revoked")
	ErrInviter   = errors.New("to be redeemed by the inviter that made it")
	ErrSpent     = errors.New("used already")
	ErrVoid      = errors.New("made before a peer was put out of the ring")
	ErrFull      = errors.New("too many")
)
