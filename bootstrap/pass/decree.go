package pass

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what a decree does.
type Kind uint8

// The kinds.
const (
	Revoke  Kind = 1 // Key is out of the ring for good
	Rotate  Kind = 2 // Key is the ring's key from now on
	Inviter Kind = 3 // Key is an inviter under the ring's key that signs
)

// MaxDecrees bounds the decrees that a ring can have.
const MaxDecrees = 4096

// maxDecree bounds an encoded decree, in bytes.
const maxDecree = 1 + 1 + 32 + 8 + 34 + linkSize + 2*64

// Decree is a statement that all peers of the ring obey.
type Decree struct {
	Kind   Kind
	Key    Key
	Issued time.Time
	// Until is when chains of the old ring key end, or when an inviter's link does;
	// zero otherwise, and for a link without an end.
	Until time.Time
	// Signer has the link of the inviter that signed, or none if the ring key,
	// its Root, did.
	Signer    Chain
	Signature Signature // of an inviter: its link's
	Proof     Signature // by Key; of a rotation only
}

// RevokeByRing makes the ring's key root, by which sign signs, revoke key.
func RevokeByRing(ring [32]byte, root, key Key, now time.Time, sign Sign) (Decree, error) {
	return Decree{Kind: Revoke, Key: key, Issued: whole(now), Signer: Chain{Root: root}}.sign(ring, sign)
}

// RevokeByInviter makes the inviter of chain, by which sign signs, revoke key.
func RevokeByInviter(ring [32]byte, inviter Chain, key Key, now time.Time, sign Sign) (Decree, error) {
	return Decree{Kind: Revoke, Key: key, Issued: whole(now), Signer: inviter}.sign(ring, sign)
}

// RotateTo makes the ring's key root, by which old signs, hand over to next, by
// which fresh signs. Chains of root are good until then.
func RotateTo(ring [32]byte, root, next Key, now, until time.Time, old, fresh Sign) (Decree, error) {
	d := Decree{Kind: Rotate, Key: next, Issued: whole(now), Until: whole(until), Signer: Chain{Root: root}}
	d, err := d.sign(ring, old)
	if err != nil {
		return Decree{}, err
	}
	if d.Proof, err = fresh.make(d.message(ring)); err != nil {
		return Decree{}, fmt.Errorf("sign decree: %w", err)
	}
	return d, nil
}

func (d Decree) sign(ring [32]byte, sign Sign) (Decree, error) {
	err := errors.Join(d.validate(), checkTime("issued", d.Issued), checkTime("until", d.Until))
	if err == nil {
		d.Signature, err = sign.make(d.message(ring))
	}
	if err != nil {
		return Decree{}, fmt.Errorf("sign decree: %w", err)
	}
	return d, nil
}

// message is what is signed of the decree.
func (d Decree) message(ring [32]byte) []byte {
	b := d.Append(nil)
	return message("decree/1", ring, b[:len(b)-d.tail()])
}

// tail is the size of the signatures behind the rest.
func (d Decree) tail() int {
	if d.Kind == Rotate {
		return 2 * len(Signature{})
	}
	return len(Signature{})
}

// signer is the key that signed.
func (d Decree) signer() Key {
	if len(d.Signer.Links) == 0 {
		return d.Signer.Root
	}
	return d.Signer.last().Key
}

func (d Decree) validate() error {
	switch {
	case d.Kind == Revoke && d.Until.IsZero() && len(d.Signer.Links) <= 1:
		return nil
	case d.Kind == Inviter && len(d.Signer.Links) == 0:
		return nil
	case d.Kind == Rotate && d.Until.After(d.Issued) && len(d.Signer.Links) == 0 && d.Key != d.Signer.Root:
		return nil
	default:
		return fmt.Errorf("%w: a decree of kind %d with these fields", ErrMalformed, d.Kind)
	}
}

// Append appends the decree's encoding to b.
func (d Decree) Append(b []byte) []byte {
	b = append(b, format, byte(d.Kind))
	b = append(b, d.Key[:]...)
	b = appendTime(b, d.Issued)
	b = appendTime(b, d.Until)
	b = d.Signer.Append(b)
	b = append(b, d.Signature[:]...)
	if d.Kind == Rotate {
		b = append(b, d.Proof[:]...)
	}
	return b
}

// ParseDecree reads what Append wrote. Nothing of it is verified yet. Errors
// are ErrMalformed.
func ParseDecree(b []byte) (Decree, error) {
	in := decoder{b: b}
	in.format("decree")
	d := Decree{Kind: Kind(in.byte()), Key: in.key(), Issued: in.time(), Until: in.time(), Signer: in.chain(), Signature: in.signature()}
	if d.Kind == Rotate {
		d.Proof = in.signature()
	}
	err := in.end()
	if err == nil {
		err = d.validate()
	}
	if err != nil {
		return Decree{}, fmt.Errorf("parse decree: %w", err)
	}
	return d, nil
}

// MaxDecreesBytes bounds what AppendDecrees appends.
const MaxDecreesBytes = MaxDecrees * (2 + maxDecree)

// AppendDecrees appends a list of decrees to b, each behind its length in two
// bytes.
func AppendDecrees(b []byte, list []Decree) []byte {
	for _, d := range list {
		at := len(b)
		b = d.Append(append(b, 0, 0))
		n := len(b) - at - 2
		b[at], b[at+1] = byte(n>>8), byte(n)
	}
	return b
}

// ParseDecrees reads what AppendDecrees wrote, at most 4,096 decrees.
func ParseDecrees(b []byte) ([]Decree, error) {
	var list []Decree
	for len(b) > 0 {
		if len(list) == MaxDecrees {
			return nil, fmt.Errorf("parse decrees: %w", ErrFull)
		}
		if len(b) < 2 || len(b)-2 < int(b[0])<<8|int(b[1]) {
			return nil, fmt.Errorf("parse decrees: %w: ends early", ErrMalformed)
		}
		n := int(b[0])<<8 | int(b[1])
		d, err := ParseDecree(b[2 : 2+n])
		if err != nil {
			return nil, err
		}
		list = append(list, d)
		b = b[2+n:]
	}
	return list, nil
}
