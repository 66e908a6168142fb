package p2p

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/chorus-net/chorus/chord"
)

// WalkStep is one request of a walk.
type WalkStep struct {
	Peer  chord.PeerID
	Depth int           // 1: this peer knew it; 2: such a peer told of it; and so on
	RTT   time.Duration // until the answer, or until the request failed
	Err   string        // why there was no answer; empty: there was
}

// Walk is how Kademlia looked for the peers closest to a key.
type Walk struct {
	Closest []chord.PeerID // nearest first; never this peer
	// Steps are in the order in which they ended. Requests that had no answer yet
	// when the walk had found enough are left out.
	Steps []WalkStep
}

// ErrNoKad reports that the host runs without Kademlia.
var ErrNoKad = errors.New("no Kademlia on this host")

// Walk lets Kademlia look for the peers closest to SHA-256(key) and tells whom
// it asked. The steps are there even if it fails.
func (h *Host) Walk(ctx context.Context, key []byte) (Walk, error) {
	if h.kad == nil {
		return Walk{}, ErrNoKad
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, events := routing.RegisterForQueryEvents(ctx)
	log := walkLog{sent: make(map[peer.ID]time.Time), depth: make(map[peer.ID]int)}
	for _, id := range h.kad.RoutingTable().ListPeers() {
		log.depth[id] = 1
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for e := range events {
			log.take(e, time.Now())
		}
	}()
	closest, err := h.kad.GetClosestPeers(ctx, string(key))
	cancel() // ends the events
	<-read
	w := Walk{Steps: log.steps}
	for _, id := range closest {
		w.Closest = append(w.Closest, chord.PeerID(id))
	}
	if err != nil {
		return w, fmt.Errorf("walk: %w", err)
	}
	return w, nil
}

// walkLog makes steps of the events of a query.
type walkLog struct {
	sent  map[peer.ID]time.Time
	depth map[peer.ID]int // of peers that were known, or that an answer named
	steps []WalkStep
}

func (l *walkLog) take(e *routing.QueryEvent, now time.Time) {
	switch e.Type {
	case routing.SendingQuery:
		l.sent[e.ID] = now
	case routing.PeerResponse, routing.QueryError:
		sent, ok := l.sent[e.ID]
		if !ok {
			sent = now // it could not even be reached
		}
		delete(l.sent, e.ID)
		if e.Type == routing.QueryError && strings.Contains(e.Extra, context.Canceled.Error()) {
			return // the walk has found enough; kad-dht tells errors as text alone
		}
		depth := max(l.depth[e.ID], 1)
		step := WalkStep{Peer: chord.PeerID(e.ID), Depth: depth, RTT: now.Sub(sent)}
		if e.Type == routing.QueryError {
			step.Err = e.Extra
		}
		l.steps = append(l.steps, step)
		for _, p := range e.Responses {
			if _, known := l.depth[p.ID]; !known {
				l.depth[p.ID] = depth + 1
			}
		}
	default: // of other kinds of queries
	}
}
