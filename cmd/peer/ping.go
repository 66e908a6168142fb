package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func pingCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "ping PEER",
		Short: "Measure the round trip to another peer: a name, an ID or the end of one",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				peer, err := findPeer(ctx, cl, args[0])
				if err != nil {
					return err
				}
				pong, err := cl.Ping(ctx, peer.ID)
				if err != nil {
					return err
				}
				return c.print(pong, func(out io.Writer) {
					fmt.Fprintln(out, pongLine(peer, pong))
				})
			})
		},
	}
}

// pongLine tells how a peer answered, for people.
func pongLine(peer client.PeerInfo, pong client.Pong) string {
	name := peerNames{peer.ID: peer.Name}.name(peer.ID)
	switch {
	case pong.Via == client.ViaSelf:
		return name + " is the peer that was asked"
	case pong.Transport == "":
		return fmt.Sprintf("%s answered in %.2f ms", name, pong.RTTus/1000)
	default:
		return fmt.Sprintf("%s answered in %.2f ms, %s over %s (%s)", name, pong.RTTus/1000, pong.Via, pong.Transport, pong.Addr)
	}
}

// findPeer returns the peer of the ring that people mean: by its name, its ID
// or the end of that. What fits exactly goes before what fits the end.
func findPeer(ctx context.Context, cl *client.Client, who string) (client.PeerInfo, error) {
	ring, err := cl.Ring(ctx)
	if err != nil {
		return client.PeerInfo{}, err
	}
	var found, ends []client.PeerInfo
	for _, p := range ring.Peers {
		switch {
		case p.Name == who || p.ID == who:
			found = append(found, p)
		case strings.HasSuffix(p.ID, who):
			ends = append(ends, p)
		}
	}
	if len(found) == 0 {
		found = ends
	}
	switch {
	case len(found) == 0 || who == "":
		return client.PeerInfo{}, &client.Error{Code: client.CodeNotFound, Message: fmt.Sprintf("there is no peer %q in the ring", who), Fix: "peer ring"}
	case len(found) > 1:
		return client.PeerInfo{}, usage("peer ping", "%q may be any of %d peers; use the ID, which peer ring -o json shows", who, len(found))
	}
	return found[0], nil
}
