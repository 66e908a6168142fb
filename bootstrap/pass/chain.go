package pass

import (
	"errors"
	"fmt"
	"time"
)

// Link says what a key may do. The key before it in the chain signed it.
type Link struct {
	Key Key
	Right
	// Issued is when it was signed; Expires when it ends, zero: never. To the second.
	Issued, Expires time.Time
	Signature       Signature
}

const (
	maxLinks = 2
	linkSize = 105
	// MaxChain bounds an encoded Chain, in bytes.
	MaxChain = 34 + maxLinks*linkSize
)

// Chain leads from a ring's key to a peer.
type Chain struct {
	Root  Key
	Links []Link // one or two
}

// NewChain makes the ring's key root, by which sign signs, vouch for key.
func NewChain(ring [32]byte, root Key, l Link, sign Sign) (Chain, error) {
	return Chain{Root: root}.extend(ring, root, l, sign)
}

// Extend makes the last key of the chain, by which sign signs, vouch for the key of
// l: Key, Right, Issued and Expires of l count. What Verify would refuse for
// the right that it grants is an error.
func (c Chain) Extend(ring [32]byte, l Link, sign Sign) (Chain, error) {
	if len(c.Links) == 0 {
		return Chain{}, fmt.Errorf("extend chain: %w: no links", ErrMalformed)
	}
	return c.extend(ring, c.last().Key, l, sign)
}

func (c Chain) extend(ring [32]byte, signer Key, l Link, sign Sign) (Chain, error) {
	l.Issued, l.Expires = whole(l.Issued), whole(l.Expires)
	err := errors.Join(l.validate(), checkTime("issued", l.Issued), checkTime("expires", l.Expires))
	if err == nil {
		l.Signature, err = sign.make(l.message(ring, signer))
	}
	if err != nil {
		return Chain{}, fmt.Errorf("extend chain: %w", err)
	}
	out := Chain{Root: c.Root, Links: append(append([]Link(nil), c.Links...), l)}
	if err := out.checkRights(); err != nil {
		return Chain{}, fmt.Errorf("extend chain: %w", err)
	}
	return out, nil
}

// Right returns what the chain says that its last key may do.
func (c Chain) Right() Right {
	if len(c.Links) == 0 {
		return Right{}
	}
	return c.last().Right
}

// Expires returns when the first of its links ends, zero: never.
func (c Chain) Expires() time.Time {
	var first time.Time
	for _, l := range c.Links {
		if !l.Expires.IsZero() && (first.IsZero() || l.Expires.Before(first)) {
			first = l.Expires
		}
	}
	return first
}

func (c Chain) last() Link { return c.Links[len(c.Links)-1] }

// checkRights checks the shape of the chain and that each link grants no more
// than its signer may.
func (c Chain) checkRights() error {
	switch {
	case len(c.Links) < 1 || len(c.Links) > maxLinks:
		return fmt.Errorf("%w: a chain of %d links", ErrMalformed, len(c.Links))
	case len(c.Links) == 1:
		return nil
	case !c.Links[0].Invite:
		return fmt.Errorf("%w: its signer may not invite", ErrRight)
	case c.Links[1].Invite:
		return fmt.Errorf("%w: only the ring key makes inviters", ErrRight)
	}
	return nil // an inviter is a member, and may grant every role
}

// checkSignatures checks that each link is signed by the key before it.
func (c Chain) checkSignatures(ring [32]byte) error {
	signer := c.Root
	for _, l := range c.Links {
		if !signer.verify(l.message(ring, signer), l.Signature) {
			return ErrSignature
		}
		signer = l.Key
	}
	return nil
}

// message is what is signed of the link.
func (l Link) message(ring [32]byte, signer Key) []byte {
	return message("link/1", ring, signer[:], l.append(nil)[:linkSize-len(l.Signature)])
}

// Append appends the chain's encoding to b.
func (c Chain) Append(b []byte) []byte {
	b = append(b, format)
	b = append(b, c.Root[:]...)
	b = append(b, byte(len(c.Links)))
	for _, l := range c.Links {
		b = l.append(b)
	}
	return b
}

func (l Link) append(b []byte) []byte {
	b = append(b, l.Key[:]...)
	b = append(b, l.Right.encode())
	b = appendTime(b, l.Issued)
	b = appendTime(b, l.Expires)
	return append(b, l.Signature[:]...)
}

// ParseChain reads what Append wrote. It comes from anybody: nothing of it is
// verified yet. Errors are ErrMalformed.
func ParseChain(b []byte) (Chain, error) {
	d := decoder{b: b}
	c := d.chain()
	if err := d.end(); err != nil {
		return Chain{}, fmt.Errorf("parse chain: %w", err)
	}
	if len(c.Links) == 0 {
		return Chain{}, fmt.Errorf("parse chain: %w: no links", ErrMalformed)
	}
	return c, nil
}

// chain reads a chain that may have no links, as a decree of the ring key has.
func (d *decoder) chain() Chain {
	d.format("chain")
	c := Chain{Root: d.key()}
	n := int(d.byte())
	if n > maxLinks {
		d.fail("a chain of %d links", n)
		return c
	}
	for range n {
		c.Links = append(c.Links, d.link())
	}
	return c
}

func (d *decoder) link() Link {
	return Link{Key: d.key(), Right: d.right(0), Issued: d.time(), Expires: d.time(), Signature: d.signature()}
}
