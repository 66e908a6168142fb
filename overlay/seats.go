package overlay

import (
	"context"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// Bounds of a new peer's wait for its shards.
const (
	seatTimeout = 5 * time.Second
	seatPoll    = 10 * time.Millisecond
)

// waitSeated returns when this peer is a voter of all shards that the ring gives
// it, so that what is written next has all its replicas; or, if the shards hold
// so much that this takes long, after a while: the rest comes in the background.
func (n *Node) waitSeated(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, seatTimeout)
	defer cancel()
	for n.unseated() && sleep(ctx, seatPoll) {
	}
}

// unseated reports whether the ring gives this peer a shard that does not count
// on it yet. A shard with a voter that has gone gives nobody a seat before
// Config.ReplaceAfter, and is not waited for.
func (n *Node) unseated() bool {
	view := n.view()
	for id := range n.shards.all() {
		mine := slices.ContainsFunc(view.Successors(store.ShardStart(id, n.ring.Shards), n.copies(id)), func(p chord.Peer) bool {
			return p.ID == n.self.Peer
		})
		c := n.shards.config(id)
		missed := slices.ContainsFunc(c.Voters, func(v store.Voter) bool {
			_, ok := view.Peer(v.Peer)
			return !ok
		})
		if mine && !missed && !c.IsVoter(n.self) {
			return true
		}
	}
	return false
}
