package overlay

import (
	"context"
	"fmt"
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
	for _, p := range n.view().Successors(store.ShardStart(id, n.ring.Shards), 2*n.ring.Replicas+1) {
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
		if err := n.learnConfigsFrom(ctx, peer); err == nil {
			return
		}
	}
}

func (n *Node) learnConfigsFrom(ctx context.Context, peer chord.PeerID) error {
	for at := 0; at < n.ring.Shards; at += store.MaxInfos {
		var ids []store.ShardID
		for i := at; i < min(at+store.MaxInfos, n.ring.Shards); i++ {
			ids = append(ids, store.ShardID(i))
		}
		ctx, cancel := context.WithTimeout(ctx, configTimeout)
		infos, err := n.askConfigs(ctx, peer, ids)
		cancel()
		if err != nil {
			n.log.Debug("ask for configurations", "peer", n.label(peer), "err", err)
			return err
		}
		for _, info := range infos {
			if int(info.Shard) < n.ring.Shards {
				n.remember(info.Shard, store.Config{}, info.Config)
			}
		}
	}
	return nil
}
