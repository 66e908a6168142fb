package overlay

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
)

// learn takes in decrees, and returns those that were new once they are kept. The others
// are in force at once. What an earlier call could not keep is kept now.
func (d *door) learn(ctx context.Context, list []passes.Decree) (fresh []passes.Decree, err error) {
	return d.learnFor(ctx, list, func() {})
}

// learnFor is learn, and calls wait before it waits for others or for the disk.
func (d *door) learnFor(ctx context.Context, list []passes.Decree, wait func()) (fresh []passes.Decree, err error) {
	select {
	case d.saving <- struct{}{}:
	default:
		wait()
		select {
		case d.saving <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer func() { <-d.saving }()
	d.mu.Lock()
	before := d.authority.Root()
	fresh, err = d.authority.Learn(list)
	if len(fresh) > 0 {
		d.list()
	}
	all, root := d.decreed, d.authority.Root()
	d.mu.Unlock()
	again := d.unsaved
	d.unsaved = again || len(fresh) > 0
	if !d.unsaved || d.home == nil {
		return fresh, err
	}
	wait()
	if bad := d.home.SaveDecrees(all); bad != nil {
		return fresh, errors.Join(err, bad)
	}
	d.unsaved = false
	if again || root != before {
		err = errors.Join(err, d.adopt(root))
	}
	return fresh, err
}

// adopt goes on with the ring's present key if the home has it: a rotation may have come into force
// by others, after this peer failed to go through with it.
func (d *door) adopt(root passes.Key) error {
	key, err := d.home.RingKey(root)
	if err != nil || key == nil {
		return err
	}
	if public, err := bootstrap.KeyOf(key); err != nil || public != root {
		return err
	}
	d.mu.Lock()
	d.ringKey = key
	d.mu.Unlock()
	return nil
}

// renew makes this peer's pass one under the ring's newest key. Half of the time for which the
// old key is good is left for the others to learn the new one: who does not know it would
// refuse the pass, and those that this peer gives.
func (d *door) renew() error {
	now := d.now()
	d.mu.Lock()
	issued, until := d.authority.Rotated()
	c := d.authority.Renew(d.chain)
	if c.Root == d.chain.Root || now.Before(issued.Add(until.Sub(issued)/2)) {
		d.mu.Unlock()
		return nil
	}
	d.chain = c
	d.mu.Unlock()
	if d.home == nil {
		return nil
	}
	return d.home.SavePass(c)
}

// repeat returns the revocations of this peer that are to be made under the newest key.
func (d *door) repeat() ([]passes.Decree, error) {
	now := d.now()
	d.mu.RLock()
	defer d.mu.RUnlock()
	c := d.authority.Renew(d.chain)
	if c.Root != d.authority.Root() || !c.Right().Invite {
		return nil, nil
	}
	return d.authority.Repeat(c, now, d.sign)
}

// digest tells what this peer knows from what another one does.
func (d *door) digest() [32]byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.digested
}

// decrees returns all decrees, which nobody may change, and their digest.
func (d *door) decrees() ([]passes.Decree, [32]byte) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.decreed, d.digested
}

// list keeps the decrees in order, and their digest, under the lock: whoever asks for them
// costs no more than the answer.
func (d *door) list() { d.decreed, d.digested = d.authority.Decrees(), d.authority.Digest() }

// revoke makes the decree that puts a peer out, and voids tokens made before. shown is the pass that the peer showed
// last, if it did.
func (d *door) revoke(key passes.Key, shown []byte) (passes.Decree, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := d.authority.NextRevocation(d.now())
	own := d.authority.Renew(d.chain)
	switch {
	case key == d.key:
		return passes.Decree{}, &bootstrap.Error{
			Code: bootstrap.CodeRefused, Message: "a peer does not revoke itself", Fix: "peer leave (hands its keys over, and stops)",
		}
	case d.ringKey != nil:
		return passes.RevokeByRing(d.ring.ID, d.authority.Root(), key, now, d.ringKey.Sign)
	case !own.Right().Invite:
		return passes.Decree{}, &bootstrap.Error{
			Code: bootstrap.CodeRefused, Message: "this peer may not revoke: it was not made an inviter",
			Fix: "peer revoke (at an inviter of the ring)",
		}
	case d.invites(key, shown):
		return passes.Decree{}, &bootstrap.Error{
			Code: bootstrap.CodeRefused, Message: "that peer is an inviter, whom the ring's key alone puts out",
			Fix: "peer revoke (at the peer that made the ring)",
		}
	}
	return passes.RevokeByInviter(d.ring.ID, own, key, now, d.sign)
}

// revoked reports whether a key was ever revoked.
func (d *door) revoked(key passes.Key) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.authority.Revoked(key)
}

// invites reports whether a peer is known to be an inviter, under the lock.
func (d *door) invites(key passes.Key, shown []byte) bool {
	if d.authority.IsInviter(key) || d.chain.Links[0].Key == key {
		return true
	}
	c, err := passes.ParseChain(shown)
	return err == nil && c.Right().Invite
}

// rotate replaces the ring's key, and returns the decrees by which others learn of it. The
// new key is on disk before anybody knows it, and stays there until it is the ring's.
func (d *door) rotate(ctx context.Context, overlap time.Duration) ([]passes.Decree, error) {
	select {
	case d.rotating <- struct{}{}:
		defer func() { <-d.rotating }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if _, err := d.learn(ctx, nil); err != nil { // a rotation may wait to be kept
		return nil, err
	}
	d.mu.RLock()
	old, root := d.ringKey, d.authority.Root()
	d.mu.RUnlock()
	if old == nil {
		return nil, &bootstrap.Error{
			Code: bootstrap.CodeRefused, Message: "this peer does not have the ring's key", Fix: "peer rotate (at the peer that made the ring)",
		}
	}
	next, err := d.nextKey(root)
	if err != nil {
		return nil, err
	}
	key, err := bootstrap.KeyOf(next)
	if err != nil {
		return nil, err
	}
	now := d.now()
	d.mu.RLock()
	inviters := d.authority.Inviters()
	if c := d.chain.Links[0].Key; !d.authority.IsInviter(c) {
		inviters = append(inviters, c)
	}
	list, err := d.authority.Rotation(key, inviters, now, now.Add(overlap), old.Sign, next.Sign)
	d.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	fresh, err := d.learn(ctx, list)
	d.mu.Lock()
	if d.authority.Root() == key {
		d.ringKey = next
	}
	d.mu.Unlock()
	return fresh, err
}

// nextKey returns the key that is to take the place of the ring's. One that an earlier try left in the
// home is it, since others may have that rotation in force; a new one is on disk when this returns.
func (d *door) nextKey(root passes.Key) (crypto.PrivKey, error) {
	if d.home != nil {
		if err := d.adopt(root); err != nil {
			return nil, err
		}
		if next, err := d.home.NextRingKey(); err != nil || next != nil {
			return next, err
		}
	}
	next, err := bootstrap.NewIdentity(nil)
	if err != nil || d.home == nil {
		return next, err
	}
	return next, d.home.SaveNextRingKey(next)
}

// introduce returns what a peer that shows c has to know before it can meet others.
func (d *door) introduce(c passes.Chain) []passes.Decree {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.authority.Introduce(c)
}

// noteStrange remembers that a peer showed a pass of a key that does not count here: the ring's
// may have been replaced while this peer was away.
func (d *door) noteStrange(err error) {
	if errors.Is(err, passes.ErrRoot) || errors.Is(err, passes.ErrRetired) {
		d.strange.Store(true)
	}
}
