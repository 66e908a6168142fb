package overlay

import (
	"context"
	"errors"
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
// ring by the beginning or the end of that, or by its name. Its connections end, here at once and everywhere within
// a minute, and with an inviter go all whom it let in. Tokens that were made before are void, of all inviters, unless
// they are for one peer: it may have one left. Only an inviter can revoke, and only
// the ring's key an inviter. The peer's keys are at their other replicas; Forget is
// not needed, unless no majority of a shard's voters is left, which the answer tells. Errors: code "refused"
// for others and for too many revocations, "not-found" for no peer's ID or name, "usage" for that
// of several, and in an open ring.
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
	if errors.Is(err, passes.ErrFull) {
		return client.Revoked{}, &client.Error{
			Code: client.CodeRefused, Message: fmt.Sprintf("revoke %s: %v", peer, err),
			Fix: "peer revoke (at the peer with the ring's key, whose revocations always find room); peer rotate there makes room for inviters",
		}
	}
	if err != nil {
		return client.Revoked{}, fmt.Errorf("revoke %s: %w", peer, err)
	}
	n.log.Warn("peer revoked", "peer", n.label(id))
	return client.Revoked{ID: p2p.FormatPeerID(id), Told: told, Of: n.view().Len(), Stranded: n.stranded()}, nil
}

// stranded counts the shards of whose voters no majority is left in the ring, as far as this peer knows.
func (n *Node) stranded() (shards int) {
	for id := range n.shards.all() {
		c := n.shards.config(id)
		out := 0
		for _, v := range c.Voters {
			if key, err := passes.KeyOf(v.Peer); err == nil && n.door.revoked(key) {
				out++
			}
		}
		if out > 0 && 2*out >= len(c.Voters) {
			shards++
		}
	}
	return shards
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

// peerNamed returns a peer by its ID; for one that is, or was, in the ring also by the beginning
// or the end of that; and for one that is, by its name.
func (n *Node) peerNamed(name string) (chord.PeerID, error) {
	if id, err := p2p.ParsePeerID(name); err == nil {
		return id, nil
	}
	found := make(map[chord.PeerID]bool)
	match := func(id chord.PeerID) bool {
		label := n.label(id)
		return len(name) >= minPeerEnd && (strings.HasSuffix(label, name) || strings.HasPrefix(label, name))
	}
	for _, c := range n.seen.contacts(1 << 20) {
		if match(c.ID) {
			found[c.ID] = true
		}
	}
	for _, p := range n.view().Peers() {
		if match(p.ID) || name != "" && p.Name == name {
			found[p.ID] = true
		}
	}
	switch len(found) {
	case 0:
		return "", &client.Error{
			Code: client.CodeNotFound, Message: fmt.Sprintf("%s is the ID of no peer, nor the name or a part of the ID of one in the ring", name), Fix: "peer ring (for IDs)",
		}
	case 1:
		for id := range found {
			return id, nil
		}
	}
	return "", usage("%s is the name, or a part of the ID, of %d peers: say more of the ID", name, len(found))
}
