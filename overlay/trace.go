package overlay

import (
	"context"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// Trace tells how this peer finds a key: its position and shard, the shard's
// configuration with a fresh round trip to each voter, and the lookup of the
// position in each way. The key need not exist.
func (n *Node) Trace(ctx context.Context, key string) (client.Trace, error) {
	if n.guest != nil {
		return n.guest.client.Trace(ctx, key)
	}
	ns, name := store.SplitKey(key)
	if err := checkKey(ns, name); err != nil {
		return client.Trace{}, err
	}
	position := store.Route(ns, name)
	bounded, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	p, err := n.find(bounded, "trace", ns, key, position)
	if err != nil {
		return client.Trace{}, err
	}
	c := p.config
	view := n.view()
	t := client.Trace{
		Key: key, Position: position.String(), Shard: int(p.shard.Index(n.ring.Shards)), Shards: n.ring.Shards, Replicas: n.copies(p.shard),
		Epoch: c.Epoch, Moving: !c.Stable(), Voters: n.traceVoters(ctx, c),
		Owner: n.label(view.Owner(position).ID), OneHop: view.Complete(),
	}
	for _, way := range n.ways() {
		t.Walks = append(t.Walks, n.walk(ctx, way, store.AppendRoute(nil, ns, name)))
	}
	return t, ctx.Err()
}

// traceVoters measures a round trip to each member of a configuration, all at
// once.
func (n *Node) traceVoters(ctx context.Context, c store.Config) []client.Voter {
	members := append([]store.Voter{}, c.Voters...)
	for _, v := range c.Next {
		if !c.IsVoter(v) {
			members = append(members, v)
		}
	}
	view := n.view()
	voters := make([]client.Voter, len(members))
	var wg sync.WaitGroup
	for i, v := range members {
		p, ok := view.Peer(v.Peer)
		voters[i] = client.Voter{
			ID: n.label(v.Peer), Name: p.Name, Incarnation: v.Incarnation, State: stateOf(view, v), Next: !c.IsVoter(v),
		}
		if ok && v.Peer != n.self.Peer {
			wg.Go(func() {
				if rtt, err := n.roundTrip(ctx, v.Peer, walkTimeout); err == nil {
					voters[i].RTTus = micros(rtt)
				}
			})
		}
	}
	wg.Wait()
	return voters
}

// stateOf says what a view knows of a voter.
func stateOf(v *chord.View, voter store.Voter) string {
	p, ok := v.Peer(voter.Peer)
	switch {
	case !ok:
		return "gone"
	case p.Incarnation != voter.Incarnation:
		return "replaced"
	case v.Suspect(voter.Peer):
		return "suspect"
	default:
		return "alive"
	}
}

// roundTrip calls a peer once and returns how long that took.
func (n *Node) roundTrip(ctx context.Context, id chord.PeerID, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	_, err := n.host.Call(ctx, id, rpc.Header{Method: wire.MethodPing}, []byte("ping"))
	return time.Since(start), err
}
