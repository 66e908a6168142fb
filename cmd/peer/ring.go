package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func ringCommand(c *console) *cobra.Command {
	var positions bool
	cmd := &cobra.Command{
		Use:   "ring",
		Short: "Show who is in the ring, what each peer owns and whether all agree",
		Long: `Show who is in the ring, as the running peer sees it: each peer's share of the key
space, and how many peers see the same ring, naming those that do not. With -v
each position is listed too, around the ring, with the share that ends there.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				ring, err := cl.Ring(ctx)
				if err != nil {
					return err
				}
				return c.print(ring, func(out io.Writer) {
					if positions {
						c.printPositions(out, ring)
					}
					c.printRing(out, ring)
				})
			})
		},
	}
	cmd.Flags().BoolVarP(&positions, "positions", "v", false, "list the positions, too")
	return cmd
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
		verdict += "; another ring is seen by " + strings.Join(ids, ", ")
	}
	fmt.Fprintln(out, verdict)
}

// printPositions lists the positions around the ring. A position owns the arc
// from the one before it up to itself.
func (c *console) printPositions(out io.Writer, ring client.Ring) {
	type place struct{ at, name string }
	var places []place
	for _, p := range ring.Peers {
		for _, at := range p.Positions {
			places = append(places, place{at, peerNames{p.ID: p.Name}.name(p.ID)})
		}
	}
	slices.SortFunc(places, func(a, b place) int { return strings.Compare(a.at, b.at) })
	t := newTable("POSITION", "PEER", "OWNS\t")
	for i, p := range places {
		before := places[(i+len(places)-1)%len(places)]
		t.row(p.at, p.name, fmt.Sprintf("%.2f%%", 100*arcShare(before.at, p.at)))
	}
	t.write(c, out)
	fmt.Fprintln(out)
}

// arcShare returns the fraction of the circle from one position, in hex, to the
// next; from a position to itself it is the whole.
func arcShare(from, to string) float64 {
	const digits = 13 // as many as a float64 tells apart
	a, b := leadingHex(from, digits), leadingHex(to, digits)
	share := (b - a) / math.Pow(16, digits)
	if from >= to {
		share++
	}
	return share
}

func leadingHex(s string, digits int) float64 {
	v, err := strconv.ParseUint(s[:min(digits, len(s))], 16, 64)
	if err != nil {
		return 0 // not a position; the peer writes none
	}
	return float64(v)
}
