package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/netsim/model"
	"github.com/chorus-net/chorus/overlay/client"
)

// modelFlags are the flags of netsim model.
type modelFlags struct {
	seed      uint64
	schedules int
	rough     bool
	trace     bool
}

// modelDoc sums up the schedules that were played.
type modelDoc struct {
	Peers      int      `json:"peers"` // of the largest ring
	Seed       uint64   `json:"seed"`
	Schedules  int      `json:"schedules"`
	Rough      bool     `json:"rough"`
	VirtualS   float64  `json:"virtual_s"`
	Violations int      `json:"violations"`
	Failures   []string `json:"failures"` // the first few, each with its seed
	Steps      int      `json:"steps"`
	Joins      int      `json:"joins"`
	Rejoins    int      `json:"rejoins"`
	Crashes    int      `json:"crashes"`
	Leaves     int      `json:"leaves"`
	Splits     int      `json:"splits"`
	HealS      float64  `json:"heal_s"` // longest time from the last change to a perfect ring
	WallS      float64  `json:"wall_s"`
	RSSMiB     float64  `json:"rss_mib"`
}

func netsimModelCommand(c *console) *cobra.Command {
	var f modelFlags
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Play random histories of a ring in virtual time and check its invariants",
		Long: `Play random histories of a ring in virtual time: peers join, leave, crash and come
back while messages are late, overtaken and doubled. The code is that of real
peers, the network is a queue of events. The invariant of corrected Chord is checked
after every step, and in the end, left in peace, the ring must be perfect. With
--rough messages are lost and the network splits, too; then only the end counts.

A history follows from its seed: what failed once fails again, and --trace shows it.
Exit status 5 means that something did not hold.`,
		Example: "  peer netsim model --schedules 1000\n  peer netsim model --seed 42 --trace",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.schedules < 1 || f.trace && f.schedules > 1 {
				return usage("peer netsim model", "--schedules must be at least 1, and 1 with --trace, not %d", f.schedules)
			}
			return c.netsimModel(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the first history; each next one has the next number")
	flags.IntVar(&f.schedules, "schedules", 1, "number of histories")
	flags.BoolVar(&f.rough, "rough", false, "lose messages and split the network, too")
	flags.BoolVar(&f.trace, "trace", false, "write the history, step by step")
	return cmd
}

func (c *console) netsimModel(ctx context.Context, f modelFlags) error {
	doc := modelDoc{Seed: f.seed, Schedules: f.schedules, Rough: f.rough, Failures: []string{}}
	start := time.Now()
	defer c.progress("")
	n := 0
	for p := range c.playSchedules(ctx, f) {
		doc.add(p)
		if n++; n%16 == 0 {
			c.progress("%d of %d histories, %d violations", n, f.schedules, doc.Violations)
		}
	}
	c.progress("")
	if err := ctx.Err(); err != nil {
		return err
	}
	doc.WallS, doc.RSSMiB = time.Since(start).Seconds(), residentMiB()
	if err := c.print(doc, func(out io.Writer) { printModel(out, doc) }); err != nil {
		return err
	}
	if doc.Violations > 0 {
		return &client.Error{
			Code:    client.CodeUnhealthy,
			Message: fmt.Sprintf("%d of %d histories violated the ring's invariant; the first: %s", doc.Violations, f.schedules, doc.Failures[0]),
		}
	}
	return nil
}

// played is one history that came to its end.
type played struct {
	done model.Done
	err  error
}

// playSchedules plays histories on all cores and yields them as they end. The
// channel is closed after the last, or soon after the context ends; read it to
// its end.
func (c *console) playSchedules(ctx context.Context, f modelFlags) <-chan played {
	seeds, ended := make(chan uint64), make(chan played)
	go func() {
		defer close(seeds)
		for i := range f.schedules {
			select {
			case seeds <- f.seed + uint64(i):
			case <-ctx.Done():
				return
			}
		}
	}()
	var players sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		players.Go(func() {
			for seed := range seeds {
				s := model.Schedule{Seed: seed, Rough: f.rough}
				switch {
				case f.trace && c.json:
					s.Trace = c.err
				case f.trace:
					s.Trace = c.out
				}
				done, err := s.Run()
				ended <- played{done, err}
			}
		})
	}
	go func() {
		players.Wait()
		close(ended)
	}()
	return ended
}

func (d *modelDoc) add(p played) {
	const shown = 10
	d.Peers = max(d.Peers, p.done.MaxPeers)
	d.VirtualS += p.done.Virtual.Seconds()
	d.Steps += p.done.Steps
	d.Joins += p.done.Joins
	d.Rejoins += p.done.Rejoins
	d.Crashes += p.done.Crashes
	d.Leaves += p.done.Leaves
	d.Splits += p.done.Splits
	d.HealS = max(d.HealS, p.done.Converged.Seconds())
	if p.err == nil {
		return
	}
	d.Violations++
	if len(d.Failures) < shown {
		d.Failures = append(d.Failures, p.err.Error())
	}
}

func printModel(out io.Writer, d modelDoc) {
	kind := "clean"
	if d.Rough {
		kind = "rough"
	}
	fields(out,
		"histories", fmt.Sprintf("%d, %s, seeds %d to %d", d.Schedules, kind, d.Seed, d.Seed+uint64(d.Schedules)-1),
		"rings", fmt.Sprintf("up to %d peers", d.Peers),
		"events", fmt.Sprintf("%d joins, %d rejoins, %d crashes, %d leaves, %d splits", d.Joins, d.Rejoins, d.Crashes, d.Leaves, d.Splits),
		"checked", fmt.Sprintf("%d steps", d.Steps),
		"violations", d.Violations,
		"healed", fmt.Sprintf("within %.1f s of the last change", d.HealS),
		"time", fmt.Sprintf("%.0f s virtual, %.1f s real, %.0f MiB", d.VirtualS, d.WallS, d.RSSMiB),
	)
}
