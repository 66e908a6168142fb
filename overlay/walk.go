package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/overlay/client"
)

const walkTimeout = 2 * time.Second // of one request

// walk looks for the position SHA-256(preimage) in one of the ways. Kademlia
// takes no positions, only what it hashes itself.
func (n *Node) walk(ctx context.Context, way client.Way, preimage []byte) client.Walk {
	w := client.Walk{Way: way, Found: []string{}, Path: []client.Hop{}}
	start := time.Now()
	var err error
	switch way {
	case client.WayTable:
		err = n.walkRing(ctx, n.members, chord.HashID(preimage), &w)
	case client.WayChord:
		err = n.walkRing(ctx, n.plain, chord.HashID(preimage), &w)
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

// walkRing is a lookup of a ring's core.
func (n *Node) walkRing(ctx context.Context, r *ring, target chord.ID, w *client.Walk) error {
	res, err := r.lookup(ctx, target)
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
