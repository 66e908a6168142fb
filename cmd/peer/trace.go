package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func traceCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "trace KEY",
		Short: "Show how a key is found: its shard, who keeps it, and each hop of the way there",
		Long: `Show how the running peer finds a key, whether or not the key exists: its position
and shard, the peers that keep the shard, and who is asked on the way to the
position, each with its round trip: in the ring's own lookup, and in Kademlia's for
the same position, side by side.`,
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
	client.WayTable:    "Chorus",
	client.WayChord:    "plain Chord",
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
		"shard", fmt.Sprintf("%d of %d, %s, epoch %d", t.Shard, t.Shards, count(t.Replicas, "replica"), t.Epoch),
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
	c.printWalks(out, t.Walks, names)
}

// printWalks shows lookups side by side: whom each asked, and what it found.
func (c *console) printWalks(out io.Writer, walks []client.Walk, names peerNames) {
	var titles []string
	rows := 0
	for _, w := range walks {
		titles = append(titles, "HOP\t", strings.ToUpper(wayNames[w.Way])+" ASKS", "ROUND TRIP\t")
		rows = max(rows, len(w.Path))
	}
	t := newTable(titles...)
	for i := range rows {
		var row []any
		for _, w := range walks {
			if i >= len(w.Path) {
				row = append(row, "", "", "")
				continue
			}
			h := w.Path[i]
			asked := names.name(h.Peer)
			if h.Error != "" {
				asked += ": " + h.Error
			}
			row = append(row, h.Depth, asked, roundTrip(h.RTTus))
		}
		t.row(row...)
	}
	var end []any
	for _, w := range walks {
		end = append(end, "", "in all", micros(w.US))
	}
	t.row(end...)
	t.write(c, out)
	for _, w := range walks {
		fmt.Fprintf(out, "%s %s\n", wayNames[w.Way], walkEnd(w, names))
	}
}

// walkEnd says what a lookup found, and at what cost.
func walkEnd(w client.Walk, names peerNames) string {
	cost := fmt.Sprintf("%s, %s", count(w.Hops, "hop"), count(w.Messages, "message"))
	if w.Error != "" || len(w.Found) == 0 {
		return fmt.Sprintf("found nobody: %s; %s", w.Error, cost)
	}
	found := fmt.Sprintf("found %s, ", names.name(w.Found[0]))
	if w.Way == client.WayKademlia {
		found = fmt.Sprintf("found %s, the closest by XOR: ", names.name(w.Found[0]))
	}
	return found + cost
}

// roundTrip writes a round trip; none where there was none.
func roundTrip(us float64) string {
	if us == 0 {
		return "-"
	}
	return micros(us)
}
