package pass

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of a token.
const (
	maxTokenAddrs = 8
	maxTokenAddr  = 255
	// MaxToken bounds a token as text, in bytes.
	MaxToken = len(tokenPrefix) + (maxTokenBytes*8+5)/6

	maxTokenBytes = 1 + 16 + linkSize + 1 + 4 + 4 + 8 + 32 + 1 + maxTokenAddrs*(1+maxTokenAddr) + 64 + checksumSize
	checksumSize  = 4
	tokenPrefix   = "chorus1_"

	tokenFormat = 2 // 1 did not carry Known
)

// Nonce tells the tokens of an inviter apart.
type Nonce [8]byte

// Token is an invitation: the right to be given a chain by an inviter.
type Token struct {
	Ring    [16]byte // the first half of the ring's ID
	Inviter Link     // who made it, signed by the ring's key
	Right   Right    // what the newcomer gets
	Once    bool     // for one newcomer, whoever is the first
	Bound   bool     // for the peer For alone
	For     Key
	Expires time.Time
	// Known is Authority.LastRevoked where the token was made: a later revocation voids the
	// token, unless it is Bound.
	Known time.Time
	Nonce Nonce
	// Addrs are binary multiaddrs at which the inviter can be reached, up to 8 of
	// up to 255 bytes.
	Addrs     [][]byte
	Signature Signature // by the inviter
}

// Sign completes a token of ring: sign signs by the key of t.Inviter. What Redeem
// would refuse whatever the time is an error, as is an address too many.
func (t Token) Sign(ring [32]byte, sign Sign) (Token, error) {
	copy(t.Ring[:], ring[:])
	t.Expires, t.Known = whole(t.Expires), whole(t.Known)
	err := errors.Join(t.validate(), t.Right.validate(), checkTime("expires", t.Expires), checkTime("known", t.Known))
	if err == nil {
		t.Signature, err = sign.make(t.message(ring))
	}
	if err != nil {
		return Token{}, fmt.Errorf("sign token: %w", err)
	}
	return t, nil
}

func (t Token) validate() error {
	if !t.Inviter.Invite {
		return fmt.Errorf("%w: its signer may not invite", ErrRight)
	}
	if t.Expires.IsZero() {
		return fmt.Errorf("%w: a token without an end", ErrMalformed)
	}
	if len(t.Addrs) > maxTokenAddrs {
		return fmt.Errorf("%w: %d addresses, at most %d", ErrMalformed, len(t.Addrs), maxTokenAddrs)
	}
	for _, a := range t.Addrs {
		if len(a) == 0 || len(a) > maxTokenAddr {
			return fmt.Errorf("%w: an address of %d bytes", ErrMalformed, len(a))
		}
	}
	return nil
}

// AtInviter reports whether only the inviter that made the token may redeem it:
// for one use, or one peer, or to make another inviter, which takes the ring key.
func (t Token) AtInviter() bool { return t.Once || t.Bound || t.Right.Invite }

// message is what is signed of the token.
func (t Token) message(ring [32]byte) []byte {
	b := t.encode()
	return message("token/1", ring, b[:len(b)-len(t.Signature)])
}

func (t Token) encode() []byte {
	b := []byte{tokenFormat}
	b = append(b, t.Ring[:]...)
	b = t.Inviter.append(b)
	right := t.Right.encode()
	if t.Once {
		right |= flagOnce
	}
	if t.Bound {
		right |= flagBound
	}
	b = append(b, right)
	b = appendTime(b, t.Expires)
	b = appendTime(b, t.Known)
	b = append(b, t.Nonce[:]...)
	if t.Bound {
		b = append(b, t.For[:]...)
	}
	b = append(b, byte(len(t.Addrs)))
	for _, a := range t.Addrs {
		b = append(append(b, byte(len(a))), a...)
	}
	return append(b, t.Signature[:]...)
}

// String returns the token as people pass it on: letters, digits, '-' and '_'.
func (t Token) String() string {
	b := t.encode()
	sum := sha256.Sum256(b)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:checksumSize]...))
}

// IsToken reports whether s was meant to be a token.
func IsToken(s string) bool { return strings.HasPrefix(s, "chorus1") }

// ParseToken reads what String returned. It comes from anybody: nothing but its
// form and its checksum is verified. Errors are ErrMalformed.
func ParseToken(s string) (Token, error) {
	t, err := parseToken(s)
	if err != nil {
		return Token{}, fmt.Errorf("parse token: %w", err)
	}
	return t, nil
}

func parseToken(s string) (Token, error) {
	text, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(s) > MaxToken {
		return Token{}, fmt.Errorf("%w: not a token, or not all of one", ErrMalformed)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < checksumSize {
		return Token{}, fmt.Errorf("%w: not a token, or not all of one", ErrMalformed)
	}
	body := b[:len(b)-checksumSize]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:checksumSize], b[len(body):]) {
		return Token{}, fmt.Errorf("%w: its checksum does not match: part of it is missing or was changed", ErrMalformed)
	}
	return decodeToken(body)
}

func decodeToken(b []byte) (Token, error) {
	d := decoder{b: b}
	if f := d.byte(); f != tokenFormat {
		return Token{}, fmt.Errorf("%w: a token of format %d, this version knows format %d: the inviter's version is another one", ErrMalformed, f, tokenFormat)
	}
	t := Token{Ring: [16]byte(d.take(16)), Inviter: d.link()}
	flags := d.byte()
	right, err := decodeRight(flags, flagOnce|flagBound)
	if d.err == nil {
		d.err = err
	}
	t.Right, t.Once, t.Bound = right, flags&flagOnce != 0, flags&flagBound != 0
	t.Expires, t.Known = d.time(), d.time()
	t.Nonce = Nonce(d.take(len(Nonce{})))
	if t.Bound {
		t.For = d.key()
	}
	n := int(d.byte())
	if n > maxTokenAddrs {
		d.fail("%d addresses", n)
		n = 0
	}
	for range n {
		t.Addrs = append(t.Addrs, bytes.Clone(d.take(int(d.byte()))))
	}
	t.Signature = d.signature()
	if err := d.end(); err != nil {
		return Token{}, err
	}
	return t, t.validate()
}

// CheckClock returns ErrClock if the token comes from the future, so that the
// clock here, or the inviter's, must be wrong.
func (t Token) CheckClock(now time.Time) error {
	l := t.Inviter
	l.Expires = time.Time{}
	return l.checkTimes(now)
}
