package overlay

import (
	"context"
	"fmt"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

const (
	// maxEach is the most tasks that a job of keys has; the scheduler takes no more of
	// all jobs together.
	maxEach = 1 << 17
	// eachPage is how many keys of a shard are held at a time while they are listed.
	eachPage = 128
)

// eachKey lists the keys that begin with a prefix, as inputs of tasks. It holds a page of
// each shard beside them.
func (n *Node) eachKey(ctx context.Context, prefix string) ([][]byte, error) {
	var inputs [][]byte
	for merge := n.newMerge(prefix, "", eachPage); ; {
		e, ok, err := merge.next(ctx)
		switch {
		case err != nil:
			return nil, fmt.Errorf("submit: list keys: %w", err)
		case !ok && len(inputs) == 0:
			return nil, &client.Error{
				Code: client.CodeNotFound, Message: fmt.Sprintf("submit: no key begins with %q", prefix), Fix: "peer ls",
			}
		case !ok:
			return inputs, nil
		case len(inputs) == maxEach:
			return nil, &client.Error{
				Code: client.CodeOverloaded, Message: fmt.Sprintf("submit: more than %d keys begin with %q", maxEach, prefix),
				Fix: "submit a job for each of several longer prefixes",
			}
		}
		inputs = append(inputs, []byte(e.Key))
	}
}

// nearKeys returns for each key who keeps it. Of a shard whose replicas are not
// found nothing is said: its tasks run anywhere.
func (n *Node) nearKeys(ctx context.Context, keys [][]byte) [][]chord.PeerID {
	near := make([][]chord.PeerID, len(keys))
	shards, shardOf := make(map[store.ShardID][]chord.PeerID), n.shardsOf(ctx)
	for i, key := range keys {
		ns, name := store.SplitKey(string(key))
		id := shardOf(ns, store.Route(ns, name))
		peers, known := shards[id]
		if !known {
			if c, err := n.configOf(ctx, id); err == nil {
				for _, v := range c.Voters[:min(len(c.Voters), compute.MaxNear)] {
					peers = append(peers, v.Peer)
				}
			}
			shards[id] = peers
		}
		near[i] = peers
	}
	return near
}
