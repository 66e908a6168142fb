package overlay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// Of grants, by which the owner of a namespace lets others write there.
const (
	grantFor    = 7 * 24 * time.Hour // unless it is said
	maxGrantFor = 10 * 365 * 24 * time.Hour
	// maxGrants bounds the grants that a peer keeps at hand; others are read again.
	maxGrants = 1024
	// grantLook is how long a peer relies on a grant before it looks whether that was taken back.
	grantLook = time.Minute
)

// owned signs what this peer writes in owned namespaces, and checks what others did. The
// namespace "@ID" belongs to the peer of that ID.
type owned struct {
	n      *Node
	key    store.PublicKey // this peer's
	keyed  bool            // it has an Ed25519 key, and may so own a namespace
	forged atomic.Uint64   // records that were refused

	mu     sync.Mutex
	grants map[string]heldGrant // to this peer, by namespace
}

// heldGrant is a grant as it was at a time.
type heldGrant struct {
	store.Grant
	at time.Time
}

func newOwned(n *Node) *owned {
	o := &owned{n: n, grants: make(map[string]heldGrant)}
	if key, err := passes.KeyOf(n.self.Peer); err == nil {
		o.key, o.keyed = store.PublicKey(key), true
	}
	return o
}

// check refuses, and counts, a record of an owned namespace that neither its owner signed nor a
// writer of the owner's.
func (o *owned) check(v store.View) error {
	return o.refuse(string(v.Namespace()), store.CheckOwned(o.n.ring.ID, v))
}

// checkReply checks what a replica says that it holds of a key, see [store.CheckReply].
func (o *owned) checkReply(ns string, reply store.ReadReply) error {
	return o.refuse(ns, store.CheckReply(o.n.ring.ID, ns, reply))
}

// refuse counts a record that was found to be forged, and makes the answer to it of why.
func (o *owned) refuse(ns string, why error) error {
	if !errors.Is(why, store.ErrForged) {
		return why
	}
	o.forged.Add(1)
	o.n.log.Debug("forged record refused", "namespace", ns, "err", why)
	return &rpc.Error{Code: codeForged, Message: why.Error()}
}

// codeForged is the code of the refusal of a forged record, between peers.
const codeForged = "forged"

// sign signs a record that is about to be written, if it lies in an owned namespace.
func (o *owned) sign(ctx context.Context, rec *store.Record) error {
	if !store.IsOwned(rec.Namespace) {
		return nil
	}
	g, err := o.right(ctx, rec.Namespace)
	if err != nil {
		return err
	}
	return store.SignOwned(o.n.ring.ID, rec, g, o.n.key.Sign)
}

// mayWrite reports why this peer cannot write in a namespace; nil: it can.
func (o *owned) mayWrite(ctx context.Context, ns string) error {
	if !store.IsOwned(ns) {
		return nil
	}
	_, err := o.right(ctx, ns)
	return err
}

// right returns the grant by which this peer writes in an owned namespace; nil: it is the owner.
func (o *owned) right(ctx context.Context, ns string) (*store.Grant, error) {
	owner, err := store.OwnerOf(ns)
	if err != nil {
		return nil, err
	}
	if callerOf(ctx).id != "" {
		return nil, &client.Error{Code: client.CodeRefused, Message: "a peer signs nothing on behalf of others"}
	}
	if o.keyed && owner == o.key {
		return nil, nil
	}
	g, err := o.grant(ctx, ns, owner)
	return &g, err
}

// grant returns what lets this peer write to another one's namespace.
func (o *owned) grant(ctx context.Context, ns string, owner store.PublicKey) (store.Grant, error) {
	o.mu.Lock()
	held, have := o.grants[ns]
	o.mu.Unlock()
	g, now := held.Grant, time.Now()
	if have = have && now.UnixMilli() < g.Expires; have && now.Sub(held.at) < grantLook {
		return g, nil
	}
	rec, err := o.n.lookUp(ctx, ns, grantKey(o.n.self.Peer, o.n), store.LevelQuorum)
	if err == nil {
		if g, err = store.DecodeGrant(rec.Value); err == nil {
			err = g.Check(o.n.ring.ID, owner)
		}
	}
	switch {
	case errors.Is(err, ErrNotFound), err == nil && (g.Writer != o.key || g.Expires <= now.UnixMilli()):
		return g, &client.Error{
			Code: client.CodeNotOwner, Message: fmt.Sprintf("namespace %s belongs to the peer of that ID, and this one has no grant from it", ns),
			Fix: "peer grant " + o.n.ID() + " (at the owner)",
		}
	case err != nil:
		return g, fmt.Errorf("look for a grant: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for other := range o.grants { // any will do: it is read again
		if len(o.grants) < maxGrants {
			break
		}
		delete(o.grants, other)
	}
	o.grants[ns] = heldGrant{g, now}
	return g, nil
}

func grantKey(writer chord.PeerID, n *Node) string { return store.GrantsPrefix + n.label(writer) }

// Grant lets another peer write in this peer's own namespace, "@ID" with its ID, until the grant
// expires (0: 7 days). Revoke takes a grant back: a writer that is honest looks once a minute, and
// one that is not goes on until the grant expires, so keep that short where it matters. What was written
// by a grant stays, whatever becomes of that. Errors: "not-found" for the end of no peer's
// ID, "usage" for an expiry out of bounds.
func (n *Node) Grant(ctx context.Context, spec client.GrantSpec) (client.Grant, error) {
	if n.guest != nil {
		return client.Grant{}, n.guest.refuses("grant", "peer grant (at a member)")
	}
	if spec.Expires == 0 {
		spec.Expires = grantFor
	}
	if spec.Expires < 0 || spec.Expires > maxGrantFor {
		return client.Grant{}, usage("grant: for %v: want more than 0 and at most ten years", spec.Expires)
	}
	id, err := n.peerNamed(spec.Peer)
	if err != nil {
		return client.Grant{}, err
	}
	writer, err := passes.KeyOf(id)
	if err != nil || !n.owned.keyed {
		return client.Grant{}, usage("grant: both peers need Ed25519 keys")
	}
	out := client.Grant{Peer: n.label(id), Namespace: store.OwnedPrefix + n.ID(), Revoked: spec.Revoke}
	key := store.JoinKey(out.Namespace, grantKey(id, n))
	if spec.Revoke {
		_, err := n.Delete(ctx, key)
		return out, err
	}
	out.Expires = time.Now().Add(spec.Expires)
	g, err := store.NewGrant(n.ring.ID, n.owned.key, store.PublicKey(writer), out.Expires, n.key.Sign)
	if err != nil {
		return client.Grant{}, err
	}
	_, err = n.Put(ctx, key, g.AppendTo(nil), WithTTL(spec.Expires))
	return out, err
}
