package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay/client"
)

// benchLookupFlags are the flags of bench lookup.
type benchLookupFlags struct {
	peers     int
	count     int
	positions int
	seed      uint64
}

// benchLookupDoc is the result of bench lookup.
type benchLookupDoc struct {
	Peers     int              `json:"peers"`
	Via       string           `json:"via"` // "process" or "socket"
	Lookups   int              `json:"lookups"`
	Positions int              `json:"positions"` // of a peer; of the first one, if peers differ
	Seed      uint64           `json:"seed"`
	Callers   int              `json:"callers"`
	Ways      []client.Lookups `json:"ways"`
}

func benchLookupCommand(c *console) *cobra.Command {
	var f benchLookupFlags
	cmd := &cobra.Command{
		Use:   "lookup",
		Short: "Measure lookups of the ring, of plain Chord and of Kademlia, side by side",
		Long: `Measure lookups of random positions, the same ones in each way on the same peers: in
the ring; in a ring of textbook Chord; and by Kademlia (GetClosestPeers of kad-dht).
With --peers N the first peer of a new ring of N real peers over loopback looks;
without it the running peer does, which takes part in no ring of textbook Chord.
Lookups are made one after another.

The ring of textbook Chord runs beside the other one on the same hosts: the same code
with one position a peer, where its ID says, successor lists and fingers but no table
of all peers, no choice by round trips, and nobody asked beside a late peer. In both
rings the owner itself answers in the end.

A message is a request or an answer. Bytes are those on the streams of the peer
that looks, less what they carry at rest.`,
		Example: "  peer bench lookup --peers 32\n  peer bench lookup --n 5000 -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(); err != nil {
				return err
			}
			return c.benchLookup(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.peers, "peers", 0, "start a ring of so many peers; 0 is the running peer")
	flags.IntVar(&f.count, "n", 500, "number of lookups in each way")
	flags.IntVar(&f.positions, "positions", 8, "ring positions of each peer of a new ring")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the positions that are looked for")
	return cmd
}

func (f benchLookupFlags) validate() error {
	const command = "peer bench lookup"
	switch {
	case f.peers < 0 || f.peers > maxCluster || f.peers == 1:
		return usage(command, "--peers must be 0 or from 2 to %d, not %d", maxCluster, f.peers)
	case f.count < 1 || f.count > client.MaxLookups:
		return usage(command, "--n must be from 1 to %d, not %d", client.MaxLookups, f.count)
	case f.positions < 1 || f.positions > 64:
		return usage(command, "--positions must be from 1 to 64, not %d", f.positions)
	}
	return nil
}

// looker is who looks for positions: a peer of this process or a running one.
type looker interface {
	Lookups(ctx context.Context, spec client.LookupSpec) (client.Lookups, error)
	Ring(ctx context.Context) (client.Ring, error)
}

var _ looker = (*client.Client)(nil)

func (c *console) benchLookup(ctx context.Context, f benchLookupFlags) error {
	if f.peers == 0 {
		return c.withPatientClient(ctx, func(ctx context.Context, cl *client.Client) error {
			return c.measureLookups(ctx, f, "socket", cl)
		})
	}
	c.progress("starting %s", count(f.peers, "peer"))
	settings := cluster.Settings{Peers: f.peers}
	settings.Node.Positions, settings.Node.PlainChord = f.positions, true
	ring, err := cluster.Start(ctx, settings)
	if err != nil {
		return err
	}
	agreed, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err = ring.Agree(agreed); err == nil {
		err = c.settle(ctx, f.peers)
	}
	if err == nil {
		err = c.measureLookups(ctx, f, "process", ring.Nodes()[0])
	}
	return errors.Join(err, ring.Close())
}

// settle lets the peers of plain Chord find their fingers, one a round: as many
// as it takes to come from the whole ring down to a successor list.
func (c *console) settle(ctx context.Context, peers int) error {
	const list, round = 8, time.Second
	rounds := 2 * bits.Len(uint(peers/list))
	for i := range rounds {
		c.progress("%-11s %s", "fingers", bar(float64(i)/float64(rounds)))
		select {
		case <-time.After(round):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *console) measureLookups(ctx context.Context, f benchLookupFlags, via string, by looker) error {
	ring, err := by.Ring(ctx)
	if err != nil {
		return err
	}
	doc := benchLookupDoc{Peers: len(ring.Peers), Via: via, Lookups: f.count, Seed: f.seed, Callers: 1}
	if len(ring.Peers) > 0 {
		doc.Positions = len(ring.Peers[0].Positions)
	}
	defer c.progress("")
	for i, way := range client.Ways() {
		if way == client.WayChord && via == "socket" {
			continue // no running peer has that
		}
		c.progress("%-11s %s", wayNames[way], bar(float64(i)/float64(len(client.Ways()))))
		l, err := by.Lookups(ctx, client.LookupSpec{Way: way, Count: f.count, Seed: f.seed})
		if err != nil {
			return err
		}
		doc.Ways = append(doc.Ways, l)
	}
	c.progress("")
	return c.print(doc, func(out io.Writer) { c.printBenchLookup(out, doc) })
}

func (c *console) printBenchLookup(out io.Writer, doc benchLookupDoc) {
	fmt.Fprintf(out, "%s with %s each, %s one after another through the %s, seed %d\n",
		count(doc.Peers, "peer"), count(doc.Positions, "position"), count(doc.Lookups, "lookup"), doc.Via, doc.Seed)
	t := newTable("WAY", "HOPS\t", "MOST\t", "ONE HOP\t", "MESSAGES\t", "BYTES\t", "P50\t", "P99\t", "WRONG\t", "FAILED\t")
	for _, l := range doc.Ways {
		t.row(wayNames[l.Way], fmt.Sprintf("%.2f", l.Hops), l.MaxHops, fmt.Sprintf("%.1f%%", 100*l.OneHop), fmt.Sprintf("%.1f", l.Messages),
			fmt.Sprintf("%.0f", l.Bytes), micros(l.P50us), micros(l.P99us), l.Wrong, l.Failed)
	}
	t.write(c, out)
}
