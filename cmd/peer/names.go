package main

import (
	"context"
	"strings"

	"github.com/chorus-net/chorus/overlay/client"
)

// shortID returns the end of a peer ID, which tells peers apart: all IDs begin
// alike.
func shortID(id string) string {
	const keep = 8
	if len(id) <= keep {
		return id
	}
	return id[len(id)-keep:]
}

// peerNames names peers by their IDs.
type peerNames map[string]string

// namesOf asks the running peer for the names in its ring. Without an answer
// peers go by their IDs.
func namesOf(ctx context.Context, cl *client.Client) peerNames {
	ring, err := cl.Ring(ctx)
	if err != nil {
		return nil
	}
	names := make(peerNames)
	for _, p := range ring.Peers {
		names[p.ID] = p.Name
	}
	return names
}

// name returns what people call the peer.
func (n peerNames) name(id string) string {
	if name := n[id]; name != "" {
		return name
	}
	return shortID(id)
}

// list names several peers.
func (n peerNames) list(ids []string) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = n.name(id)
	}
	return strings.Join(names, ", ")
}
