package overlay

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

const (
	maxTop     = 256 // peers that are asked what they have to do
	topAsking  = 32  // of them, at once
	topTimeout = time.Second
)

// Top asks all peers of the ring, up to 256, what they have to do. They are in the order
// of their names; one that does not answer within a second says why not.
func (n *Node) Top(ctx context.Context) ([]PeerLoad, error) {
	if n.guest != nil {
		return n.guest.client.Top(ctx)
	}
	peers := n.view().Peers()
	peers = peers[:min(len(peers), maxTop)]
	loads := make([]PeerLoad, len(peers))
	slots := make(chan struct{}, topAsking)
	var wg sync.WaitGroup
	for i, p := range peers {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			loads[i] = PeerLoad{ID: n.label(p.ID), Name: p.Name}
			c, err := n.askLoad(ctx, p.ID)
			if err != nil {
				loads[i].Error = err.Error()
				return
			}
			loads[i].Slots, loads[i].Tasks = c.Slots, client.TaskCounts{
				Queued: c.Queued, Running: c.Running, Done: int(c.Done), StolenIn: int(c.StolenIn), StolenOut: int(c.StolenOut),
				Steals: c.Steals, StealMessages: c.StealSent,
			}
		})
	}
	wg.Wait()
	slices.SortFunc(loads, func(a, b PeerLoad) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return loads, n.orClosed(ctx.Err())
}

func (n *Node) askLoad(ctx context.Context, peer chord.PeerID) (wire.TaskCounts, error) {
	if peer == n.self.Peer {
		return n.ownLoad(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, topTimeout)
	defer cancel()
	return call(ctx, n, peer, rpc.Header{Method: wire.MethodLoad}, nil, wire.ParseTaskCounts)
}

// ownLoad tells what this peer has to do.
func (n *Node) ownLoad(ctx context.Context) (wire.TaskCounts, error) {
	c, err := n.taskCounts(ctx)
	return wire.TaskCounts{
		Slots: n.cfg.Workers, Queued: c.Queued, Running: c.Running, Done: uint64(c.Done),
		StolenIn: uint64(c.StolenIn), StolenOut: uint64(c.StolenOut), Steals: c.Steals, StealSent: c.StealMessages,
	}, err
}

// serveLoad answers another peer's Top.
func (n *Node) serveLoad(ctx context.Context, _ *rpc.Request) ([]byte, error) {
	c, err := n.ownLoad(ctx)
	if err != nil {
		return nil, err
	}
	return wire.AppendTaskCounts(nil, &c), nil
}
