package overlay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

const (
	configTimeout = 2 * time.Second
	// maxPrefetch bounds the shards whose configurations a joining peer asks for
	// beforehand; beyond it each is learned when it is first needed.
	maxPrefetch = 4 * store.MaxInfos
	configRetry = 20 * time.Millisecond
)

// configOf returns the newest configuration that this peer knows of a shard,
// asking around if it knows none.
func (n *Node) configOf(ctx context.Context, id store.ShardID) (store.Config, error) {
	for {
		if c := n.shards.config(id); c.Epoch > 0 {
			return c, nil
		}
		if c, found := n.newerConfig(ctx, id, store.Config{}); found {
			return c, nil
		}
		if n.ctx.Err() != nil {
			return store.Config{}, ErrClosed
		}
		if bank := id.Bank(n.ring.Shards); bank != 0 { // nobody near has been taught what it began with
			if first, err := n.firstConfigs(ctx, bank); err == nil && first != nil {
				n.remember(id, store.Config{}, first[id.Index(n.ring.Shards)])
				continue
			}
		}
		// A ring whose first peer has just started may not know yet.
		if !sleep(ctx, configRetry) {
			return store.Config{}, &client.Error{
				Code:    client.CodeQuorumLost,
				Message: fmt.Sprintf("no peer knows who keeps shard %d: %v", id, ctx.Err()),
				Fix:     "peer ring (to see who is missing), then start the peers that are down",
			}
		}
	}
}

// newerConfig asks the peers that the ring would give the shard to, and the
// members of c, for a newer configuration than c. It learns what it finds.
func (n *Node) newerConfig(ctx context.Context, id store.ShardID, c store.Config) (newest store.Config, found bool) {
	ctx, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	ask := make(map[chord.PeerID]bool)
	for _, p := range n.view().Successors(store.ShardStart(id, n.ring.Shards), 2*max(n.copies(id), n.ring.Replicas)+1) {
		ask[p.ID] = true
	}
	for _, v := range c.Members() {
		ask[v.Peer] = true
	}
	delete(ask, n.self.Peer)
	answers := make(chan []store.ShardInfo, len(ask))
	for peer := range ask {
		if !n.group.start(func() {
			infos, err := n.askConfigs(ctx, peer, []store.ShardID{id})
			if err != nil {
				n.log.Debug("ask for configuration", "shard", id, "peer", n.label(peer), "err", err)
			}
			answers <- infos
		}) {
			return store.Config{}, false
		}
	}
	newest = n.shards.config(id)
	for range ask {
		if newest.Epoch > c.Epoch {
			break // a referral leads to a still newer one
		}
		for _, info := range <-answers {
			if info.Shard == id && info.Config.Epoch > newest.Epoch {
				newest = info.Config
			}
		}
	}
	if newest.Epoch <= c.Epoch {
		return store.Config{}, false
	}
	n.remember(id, c, newest)
	return newest, true
}

// remember learns a configuration that an operation came to go by.
func (n *Node) remember(id store.ShardID, had, c store.Config) {
	if c.Epoch <= had.Epoch && c.Epoch <= n.shards.config(id).Epoch {
		return
	}
	if err := n.replica.learn(n.ctx, id, c); err != nil {
		n.log.Warn("learn configuration", "shard", id, "err", err)
	}
}

// learnConfigs asks the peers that let this one in for the configurations of
// all shards, so that the first operations need not.
func (n *Node) learnConfigs(ctx context.Context, peers []chord.PeerID) {
	if n.ring.Shards > maxPrefetch {
		return
	}
	for _, peer := range peers {
		if err := n.learnConfigsFrom(ctx, peer, n.bankOf(0)); err != nil {
			continue
		}
		_ = n.learnConfigsFrom(ctx, peer, n.probes()) // as far as it knows
		return
	}
}

// probes lists some shards of each bank but the first: who knows of a bank is likely
// to know one of them, and then this peer waits for its seats there, too.
func (n *Node) probes() (ids []store.ShardID) {
	const some = 16
	for bank := 1; bank <= store.MaxN && store.CheckBank(bank, n.ring.Shards) == nil; bank++ {
		for i := 0; i < n.ring.Shards; i += max(n.ring.Shards/some, 1) {
			ids = append(ids, store.ShardID(i).In(bank, n.ring.Shards))
		}
	}
	return ids
}

// learnConfigsFrom asks a peer for the configurations of shards.
func (n *Node) learnConfigsFrom(ctx context.Context, peer chord.PeerID, ids []store.ShardID) error {
	for ids := range slices.Chunk(ids, store.MaxInfos) {
		ctx, cancel := context.WithTimeout(ctx, configTimeout)
		infos, err := n.askConfigs(ctx, peer, ids)
		cancel()
		if err != nil {
			n.log.Debug("ask for configurations", "peer", n.label(peer), "err", err)
			return err
		}
		for _, info := range infos {
			if n.shards.valid(info.Shard) {
				n.remember(info.Shard, store.Config{}, info.Config)
			}
		}
	}
	return nil
}
