package overlay

import (
	"context"
	"fmt"
	"strings"
	"time"

	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay/client"
)

// Of the time for which both keys of a ring are good.
const (
	overlapFor = 24 * time.Hour // unless it is said
	minOverlap = 2 * time.Minute
	maxOverlap = 365 * 24 * time.Hour
)

// Revoke puts a peer out of this peer's closed ring, for good: by its ID, or for a peer of the
// ring by the end of that. Its connections end, here at once and everywhere within
// a minute, and with an inviter go all whom it let in. Only an inviter can revoke, and only
// the ring's key an inviter. The peer's keys are at their other replicas; Forget is
// not needed. Errors: code "refused" for others, "not-found" for the end of no peer's ID, "usage"
// in an open ring.
func (n *Node) Revoke(ctx context.Context, peer string) (client.Revoked, error) {
	if n.door == nil {
		return client.Revoked{}, n.openRing("revoke")
	}
	id, err := n.peerNamed(peer)
	if err != nil {
		return client.Revoked{}, err
	}
	key, err := passes.KeyOf(id)
	if err != nil {
		return client.Revoked{}, usage("revoke %s: %w", peer, err)
	}
	decree, err := n.door.revoke(key, n.host.PassOf(id))
	if err != nil {
		return client.Revoked{}, homeError(err)
	}
	told, err := n.decree(ctx, []passes.Decree{decree})
	if err != nil {
		return client.Revoked{}, fmt.Errorf("revoke %s: %w", peer, err)
	}
	n.log.Warn("peer revoked", "peer", n.label(id))
	return client.Revoked{ID: p2p.FormatPeerID(id), Told: told, Of: n.view().Len()}, nil
}

// RotateKey makes a new key for this peer's closed ring, which takes the place of the present
// one; it needs that. What the old key made good stays good for overlap (0: 24 hours, at
// least 2 minutes), and for good as far as inviters made it: their links are made anew. The
// new key is in the home instead of the old one; copies of that elsewhere are of no use any
// more. Errors: code "refused" without the ring's key, "usage" for an overlap out
// of bounds and in an open ring.
func (n *Node) RotateKey(ctx context.Context, overlap time.Duration) (client.Rotation, error) {
	if n.door == nil {
		return client.Rotation{}, n.openRing("rotate")
	}
	if overlap == 0 {
		overlap = overlapFor
	}
	if overlap < minOverlap || overlap > maxOverlap {
		return client.Rotation{}, usage("rotate: an overlap of %v: want %v to a year", overlap, minOverlap)
	}
	fresh, err := n.door.rotate(ctx, overlap)
	if err != nil {
		return client.Rotation{}, homeError(err)
	}
	n.spread.learnt(fresh)
	r := client.Rotation{Ring: n.ring.Name, Told: n.spread.tellNow(ctx, fresh), Of: n.view().Len()}
	n.door.mu.RLock()
	defer n.door.mu.RUnlock()
	_, r.Until = n.door.authority.Rotated()
	r.Inviters = len(n.door.authority.Inviters())
	n.log.Warn("the ring's key was replaced", "until", r.Until)
	return r, nil
}

// decree puts decrees of this peer in force, and returns how many peers know of them.
func (n *Node) decree(ctx context.Context, list []passes.Decree) (told int, err error) {
	fresh, err := n.door.learn(ctx, list)
	if err != nil {
		return 0, err
	}
	n.host.Recheck()
	n.spread.learnt(fresh)
	return n.spread.tellNow(ctx, list), nil
}

func (n *Node) openRing(verb string) error {
	return &client.Error{
		Code: client.CodeUsage, Message: fmt.Sprintf("%s: ring %q is open: nobody rules it", verb, n.ring.Name),
		Fix: "peer init (makes a closed ring)",
	}
}

// peerNamed returns a peer by its ID, or by the end of that for one that is, or was, in
// the ring.
func (n *Node) peerNamed(name string) (chord.PeerID, error) {
	if id, err := p2p.ParsePeerID(name); err == nil {
		return id, nil
	}
	found := make(map[chord.PeerID]bool)
	if len(name) >= minPeerEnd {
		for _, c := range n.seen.contacts(1 << 20) {
			if strings.HasSuffix(n.label(c.ID), name) {
				found[c.ID] = true
			}
		}
	}
	switch len(found) {
	case 0:
		return "", &client.Error{
			Code: client.CodeNotFound, Message: fmt.Sprintf("%s is the ID of no peer, nor the end of the ID of one in the ring", name), Fix: "peer ring (for IDs)",
		}
	case 1:
		for id := range found {
			return id, nil
		}
	}
	return "", usage("%d peers' IDs end in %s", len(found), name)
}
