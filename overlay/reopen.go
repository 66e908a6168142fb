package overlay

import (
	"context"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// A shard none of whose voters will come back has nobody who plans for it. The first
// peer that the ring gives it to does, by the operator's word on each of them: see
// store.Reopen.

// reopens reports whether this peer, without a seat in a shard, is to reopen it.
func (m *mover) reopens(view *chord.View, id store.ShardID) bool {
	return m.n.forgotten.forcing() && m.situation(view, id, m.n.shards.snapshot(id)).Next().Action == store.Reopen
}

// reopen lets a shard begin anew, unless a peer of the ring knows a newer configuration
// than c.
func (m *mover) reopen(ctx context.Context, id store.ShardID, c, value store.Config) error {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	if newer, err := m.askAll(ctx, id, c); newer || err != nil {
		return err
	}
	m.n.log.Warn("shard is reopened: what its voters held is lost", "shard", id, "epoch", c.Epoch, "voters", len(c.Members()))
	m.announce(ctx, id, c, value)
	return nil
}

// recall asks the ring who keeps which shard, in all banks, as far as this peer is the first
// that the ring gives the shard to, or the ring has few shards. A peer need not know of
// shards in which it never had a seat.
func (n *Node) recall(ctx context.Context) {
	view := n.view()
	var ids []store.ShardID
	for bank := 0; bank <= store.MaxN && store.CheckBank(bank, n.ring.Shards) == nil; bank++ {
		all := n.bankOf(bank)
		if bank != 0 && !n.recallBank(ctx, bank, all) {
			continue
		}
		for _, id := range all {
			first := view.Successors(store.ShardStart(id, n.ring.Shards), 1)
			if n.ring.Shards <= maxPrefetch || len(first) > 0 && first[0].ID == n.self.Peer {
				ids = append(ids, id)
			}
		}
	}
	for i, p := range view.Peers() {
		if i >= maxSalvageAsked || ctx.Err() != nil {
			return
		}
		if p.ID != n.self.Peer {
			_ = n.learnConfigsFrom(ctx, p.ID, ids) // as far as it knows, and answers
		}
	}
}

// recallBank takes in what the shards of a bank began with, where nothing is known of
// them. It reports whether there is such a bank.
func (n *Node) recallBank(ctx context.Context, bank int, ids []store.ShardID) bool {
	ctx, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	first, err := n.firstConfigs(ctx, bank)
	if err != nil || first == nil {
		return false
	}
	for i, id := range ids {
		if n.shards.config(id).Epoch == 0 {
			n.remember(id, store.Config{}, first[i])
		}
	}
	return true
}
