package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

const (
	// walkList is how many distinct peers after each of its positions a peer
	// answers by when it is asked for the way by fingers.
	walkList = 8
	// maxWalk bounds the peers that such a walk asks.
	maxWalk     = 64
	walkTimeout = 2 * time.Second // of one request
)

// walk looks for the position SHA-256(preimage) in one of the ways. Kademlia
// takes no positions, only what it hashes itself.
func (n *Node) walk(ctx context.Context, way client.Way, preimage []byte) client.Walk {
	w := client.Walk{Way: way, Found: []string{}, Path: []client.Hop{}}
	start := time.Now()
	var err error
	switch way {
	case client.WayTable:
		err = n.walkTable(ctx, chord.HashID(preimage), &w)
	case client.WayFingers:
		err = n.walkFingers(ctx, chord.HashID(preimage), &w)
	case client.WayKademlia:
		err = n.walkKademlia(ctx, preimage, &w)
	default:
		err = fmt.Errorf("there is no way %q", way)
	}
	w.US = micros(time.Since(start))
	for _, h := range w.Path {
		w.Messages++
		if h.Error == "" {
			w.Messages++
		}
	}
	if err != nil {
		w.Error = err.Error()
	}
	return w
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// walkTable is a lookup of the ring's core.
func (n *Node) walkTable(ctx context.Context, target chord.ID, w *client.Walk) error {
	res, err := n.members.lookup(ctx, target)
	if err != nil {
		return err
	}
	for i, h := range res.Path {
		hop := n.hop(h.Peer, i+1, h.RTT)
		if !h.Answered {
			hop.Error = "no answer in time"
		}
		w.Path = append(w.Path, hop)
	}
	w.Hops = res.Hops
	for _, p := range res.Nodes {
		w.Found = append(w.Found, n.label(p.ID))
	}
	return res.Err
}

// walkFingers asks peer after peer for the way by fingers, each time the one
// nearest before the target.
func (n *Node) walkFingers(ctx context.Context, target chord.ID, w *client.Walk) error {
	view := n.view()
	nodes, done := view.Route(target, walkList)
	var queue []chord.Peer // not asked yet, nearest to the target first
	asked := []chord.PeerID{n.self.Peer}
	for !done {
		queue = nearer(target, queue, nodes, asked)
		if len(queue) == 0 || len(asked) > maxWalk {
			return chord.ErrLookup
		}
		to := queue[0]
		queue = queue[1:]
		asked = append(asked, to.ID)
		n.host.AddPeer(to.ID, to.Addrs)
		began := time.Now()
		found, err := n.askFind(ctx, to.ID, target)
		hop := n.hop(to.ID, w.Hops+1, time.Since(began))
		nodes = nil
		if err != nil {
			hop.Error = err.Error()
		} else {
			w.Hops++
			nodes, done = n.verified(found.Peers), found.Done
		}
		w.Path = append(w.Path, hop)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(nodes) == 0 {
		return chord.ErrLookup
	}
	for _, p := range nodes {
		w.Found = append(w.Found, n.label(p.ID))
	}
	return nil
}

// nearer merges what a peer answered into those to be asked, and sorts them by
// how far they stand before the target.
func nearer(target chord.ID, queue, found []chord.Peer, asked []chord.PeerID) []chord.Peer {
	for _, p := range found {
		known := func(q chord.Peer) bool { return q.ID == p.ID }
		if !slices.Contains(asked, p.ID) && !slices.ContainsFunc(queue, known) {
			queue = append(queue, p)
		}
	}
	slices.SortStableFunc(queue, func(a, b chord.Peer) int {
		da, db := a.Before(target), b.Before(target)
		return da.Compare(db)
	})
	return queue[:min(len(queue), maxWalk)]
}

func (n *Node) askFind(ctx context.Context, to chord.PeerID, target chord.ID) (wire.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	return call(ctx, n, to, rpc.Header{Method: wire.MethodFind}, wire.AppendTarget(nil, target), wire.ParseFound)
}

// serveFind answers with the way to a position by successor lists and fingers.
func (n *Node) serveFind(_ context.Context, req *rpc.Request) ([]byte, error) {
	target, err := wire.ParseTarget(req.Payload)
	if err != nil {
		return nil, err
	}
	nodes, done := n.view().Route(target, walkList)
	return wire.AppendFound(nil, wire.Found{Done: done, Peers: nodes}), nil
}

// walkKademlia is Kademlia's own walk.
func (n *Node) walkKademlia(ctx context.Context, preimage []byte, w *client.Walk) error {
	kad, err := n.host.Walk(ctx, preimage)
	for _, s := range kad.Steps {
		hop := n.hop(s.Peer, s.Depth, s.RTT)
		hop.Error = s.Err
		w.Path = append(w.Path, hop)
		if len(kad.Closest) > 0 && s.Peer == kad.Closest[0] {
			w.Hops = s.Depth
		}
	}
	for _, id := range kad.Closest {
		w.Found = append(w.Found, n.label(id))
	}
	if err == nil && len(kad.Closest) == 0 {
		err = errors.New("it knows no other peer")
	}
	return err
}

// closestByXOR returns the other peer of the view that is closest to a
// position as Kademlia measures it.
func closestByXOR(v *chord.View, target chord.ID) chord.PeerID {
	var best chord.PeerID
	var least []byte
	for _, p := range v.Peers() {
		if p.ID == v.Self() {
			continue
		}
		d := chord.HashID([]byte(p.ID))
		for i := range d {
			d[i] ^= target[i]
		}
		if least == nil || bytes.Compare(d[:], least) < 0 {
			best, least = p.ID, d[:]
		}
	}
	return best
}

func (n *Node) hop(id chord.PeerID, depth int, rtt time.Duration) client.Hop {
	p, _ := n.view().Peer(id)
	return client.Hop{Peer: n.label(id), Name: p.Name, Depth: depth, RTTus: micros(rtt)}
}
