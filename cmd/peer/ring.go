package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func ringCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "ring",
		Short: "Show who is in the ring, what each peer owns and whether all agree",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				ring, err := cl.Ring(ctx)
				if err != nil {
					return err
				}
				return c.print(ring, func(out io.Writer) { c.printRing(out, ring) })
			})
		},
	}
}

func (c *console) printRing(out io.Writer, ring client.Ring) {
	names := make(peerNames)
	t := newTable("PEER", "ID", "OWNS\t", "POSITIONS\t", "STATE", "ADDRESS")
	for _, p := range ring.Peers {
		names[p.ID] = p.Name
		address := ""
		if len(p.Addrs) > 0 {
			address = p.Addrs[0]
		}
		t.row(names.name(p.ID), shortID(p.ID), fmt.Sprintf("%.1f%%", 100*p.Owns), len(p.Positions), p.State, address)
	}
	t.write(c, out)
	verdict := c.style(out, green, fmt.Sprintf("%d of %d agree", ring.Agree, ring.Of))
	if ring.Agree < ring.Of {
		verdict = c.style(out, red, fmt.Sprintf("%d of %d agree", ring.Agree, ring.Of))
	}
	if len(ring.Disagrees) > 0 {
		ids := make([]string, len(ring.Disagrees))
		for i, id := range ring.Disagrees {
			ids[i] = names.name(id)
		}
		verdict += "; others see another ring: " + strings.Join(ids, ", ")
	}
	fmt.Fprintln(out, verdict)
}
