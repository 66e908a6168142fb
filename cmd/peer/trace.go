package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func traceCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "trace KEY",
		Short: "Show how a key is found: its shard, who keeps it, and each hop of the way there",
		Long: `Show how the running peer finds a key, whether or not the key exists: its position
and shard, the peers that keep the shard, and who is asked on the way to the
position, each with its round trip: from the ring's table, by fingers alone, and
by Kademlia.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				trace, err := cl.Trace(ctx, args[0])
				if err != nil {
					return err
				}
				names := namesOf(ctx, cl)
				return c.print(trace, func(out io.Writer) { c.printTrace(out, trace, names) })
			})
		},
	}
}

// wayNames name the ways of lookups for people.
var wayNames = map[client.Way]string{
	client.WayTable:    "Chorus, table",
	client.WayFingers:  "Chorus, fingers",
	client.WayKademlia: "Kademlia",
}

func (c *console) printTrace(out io.Writer, t client.Trace, names peerNames) {
	known := "no: the table does not hold the whole ring"
	if t.OneHop {
		known = "yes: the table holds the whole ring"
	}
	moving := ""
	if t.Moving {
		moving = "it moves to another set of peers"
	}
	fields(out,
		"key", t.Key,
		"position", t.Position,
		"shard", fmt.Sprintf("%d of %d, epoch %d", t.Shard, t.Shards, t.Epoch),
		"moving", moving,
		"owner", names.name(t.Owner),
		"one hop", known,
	)
	fmt.Fprintln(out)
	voters := newTable("KEPT BY", "ID", "INCARNATION", "STATE", "ROUND TRIP\t")
	for _, v := range t.Voters {
		state := v.State
		if v.Next {
			state += ", joining"
		}
		voters.row(names.name(v.ID), shortID(v.ID), fmt.Sprintf("%016x", v.Incarnation), state, roundTrip(v.RTTus))
	}
	voters.write(c, out)
	fmt.Fprintln(out)
	hops := newTable("WAY", "HOP\t", "ASKED", "ROUND TRIP\t", "ANSWER")
	for _, w := range t.Walks {
		name := wayNames[w.Way]
		for _, h := range w.Path {
			answer := "ok"
			if h.Error != "" {
				answer = h.Error
			}
			hops.row(name, h.Depth, names.name(h.Peer), roundTrip(h.RTTus), answer)
		}
		hops.row(name, "", "", micros(w.US), walkEnd(w, names))
	}
	hops.write(c, out)
}

// walkEnd says what a lookup found, and at what cost.
func walkEnd(w client.Walk, names peerNames) string {
	cost := fmt.Sprintf("%s, %s", count(w.Hops, "hop"), count(w.Messages, "message"))
	if w.Error != "" || len(w.Found) == 0 {
		return fmt.Sprintf("found nobody: %s; %s", w.Error, cost)
	}
	return fmt.Sprintf("found %s; %s", names.name(w.Found[0]), cost)
}

// roundTrip writes a round trip; none where there was none.
func roundTrip(us float64) string {
	if us == 0 {
		return "-"
	}
	return micros(us)
}
