package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/internal/load"
	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay/client"
)

// benchTaskFlags are the flags of bench task.
type benchTaskFlags struct {
	peers, workers int
	noops, starts  int
	draws          int
	pareto         load.Pareto
}

// benchTaskDoc is the result of bench task. Start and Away are missing if they were not
// measured.
type benchTaskDoc struct {
	Peers   int    `json:"peers"`
	Workers int    `json:"workers"` // of all peers
	Via     string `json:"via"`     // "process" or "socket"

	Noop   noopFigures    `json:"noop"`
	Start  *startFigures  `json:"start,omitempty"` // of single tasks, while the submitter is idle
	Away   *startFigures  `json:"away,omitempty"`  // while its own workers are taken
	Pareto *paretoFigures `json:"pareto,omitempty"`
}

// noopFigures are of a job whose tasks do nothing, the median of five.
type noopFigures struct {
	Tasks   int            `json:"tasks"`
	Seconds float64        `json:"seconds"` // from its submission until its results are there
	TasksS  float64        `json:"tasks_s"`
	ByPeer  map[string]int `json:"by_peer"`
}

// startFigures are how long tasks that were submitted one by one waited until they ran.
type startFigures struct {
	Tasks int     `json:"tasks"`
	P50us float64 `json:"p50_us"`
	P99us float64 `json:"p99_us"`
}

// paretoFigures compare the ring with goroutines that take the same tasks from one
// channel, in turns. An efficiency is the ideal time over that taken.
type paretoFigures struct {
	Tasks   int     `json:"tasks"`
	Draws   int     `json:"draws"`
	MeanMS  float64 `json:"mean_ms"`
	Shape   float64 `json:"shape"`
	Seconds float64 `json:"seconds"` // a job, the median

	Efficiency        float64 `json:"efficiency"`         // the median
	ChannelEfficiency float64 `json:"channel_efficiency"` // the median
	Ratio             float64 `json:"ratio"`              // of the efficiencies of a draw: the median,
	LeastRatio        float64 `json:"least_ratio"`        // and the worst
}

func benchTaskCommand(c *console) *cobra.Command {
	var f benchTaskFlags
	cmd := &cobra.Command{
		Use:   "task",
		Short: "Measure how fast tasks start, end and spread",
		Long: `Measure three things: how many tasks that do nothing a job gets through in a second, how
long a single task waits until it runs, and how near a job whose tasks differ in length
comes to the ideal time. Those tasks sleep for times of a Pareto distribution; the
same times are slept by goroutines that share one channel, in turns with the ring.

With --peers N it is done at the first of a new ring of N real peers over loopback, which
also shows how long a task waits that another peer has to take. Without it the
running peer is loaded.`,
		Example: "  peer bench task --peers 2\n  peer bench task --peers 1 --workers 8 --draws 30",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(); err != nil {
				return err
			}
			return c.benchTask(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.peers, "peers", 0, "start a ring of so many peers; 0 is the running peer")
	flags.IntVar(&f.workers, "workers", 0, "workers of each peer of a new ring; 0 shares 8 out")
	flags.IntVar(&f.noops, "noops", 20_000, "tasks that do nothing")
	flags.IntVar(&f.starts, "starts", 200, "tasks that are submitted one by one; 0 is none")
	flags.IntVar(&f.draws, "draws", 5, "jobs of tasks that differ in length; 0 is none")
	flags.IntVar(&f.pareto.Tasks, "tasks", 2000, "tasks of each of those")
	flags.DurationVar(&f.pareto.Mean, "mean", 4800*time.Microsecond, "mean length of such a task")
	flags.Float64Var(&f.pareto.Shape, "shape", 1.5, "shape of the distribution, above 1; the smaller, the longer the longest")
	flags.DurationVar(&f.pareto.Most, "most", 500*time.Millisecond, "no task is longer than this")
	return cmd
}

func (f benchTaskFlags) validate() error {
	const (
		command = "peer bench task"
		most    = 100_000
	)
	switch {
	case f.peers < 0 || f.peers > maxCluster:
		return usage(command, "--peers must be from 0 to %d, not %d", maxCluster, f.peers)
	case f.workers < 0 || f.workers > 1024 || f.workers > 0 && f.peers == 0:
		return usage(command, "--workers must be from 0 to 1024, and needs --peers")
	case f.noops < 1 || f.noops > most:
		return usage(command, "--noops must be from 1 to %d, not %d", most, f.noops)
	case f.starts < 0 || f.starts > most || f.draws < 0 || f.draws > most:
		return usage(command, "--starts and --draws must be from 0 to %d", most)
	case f.pareto.Tasks < 1 || f.pareto.Tasks > most:
		return usage(command, "--tasks must be from 1 to %d, not %d", most, f.pareto.Tasks)
	case !(f.pareto.Shape > 1 && f.pareto.Shape < 100): // not a number is neither
		return usage(command, "--shape must be more than 1 and less than 100, not %v", f.pareto.Shape)
	case f.pareto.Mean <= 0 || f.pareto.Most < f.pareto.Mean || f.pareto.Most > time.Hour:
		return usage(command, "--mean must be more than 0 and at most --most, which is at most an hour: %v and %v", f.pareto.Mean, f.pareto.Most)
	}
	return nil
}

func (c *console) benchTask(ctx context.Context, f benchTaskFlags) (err error) {
	if f.peers == 0 {
		return c.withPatientClient(ctx, func(ctx context.Context, cl *client.Client) error {
			loads, err := cl.Top(ctx)
			if err != nil {
				return err
			}
			doc := benchTaskDoc{Peers: len(loads), Via: "socket"}
			for _, l := range loads {
				doc.Workers += l.Slots
			}
			return c.measureTasks(ctx, f, doc, &taskBench{at: cl})
		})
	}
	if f.workers == 0 {
		f.workers = max(8/f.peers, 1)
	}
	c.progress("starting %s", count(f.peers, "peer"))
	settings := cluster.Settings{Peers: f.peers}
	settings.Node.Workers = f.workers
	ring, err := cluster.Start(ctx, settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	agreed, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := ring.Agree(agreed); err != nil {
		return err
	}
	doc := benchTaskDoc{Peers: f.peers, Workers: f.peers * f.workers, Via: "process"}
	return c.measureTasks(ctx, f, doc, &taskBench{at: ring.Nodes()[0], node: ring.Nodes()[0], others: f.peers > 1, own: f.workers})
}

// measureTasks measures all and prints what came of it.
func (c *console) measureTasks(ctx context.Context, f benchTaskFlags, doc benchTaskDoc, b *taskBench) (err error) {
	defer c.progress("")
	c.progress("%s that do nothing", count(f.noops, "task"))
	if doc.Noop, err = b.noops(ctx, f.noops); err != nil {
		return fmt.Errorf("tasks that do nothing: %w", err)
	}
	if f.starts > 0 {
		c.progress("%s one by one", count(f.starts, "task"))
		if doc.Start, err = b.starts(ctx, f.starts); err != nil {
			return fmt.Errorf("tasks one by one: %w", err)
		}
	}
	if f.starts > 0 && b.others {
		c.progress("%s that others take", count(f.starts, "task"))
		if doc.Away, err = b.away(ctx, f.starts); err != nil {
			return fmt.Errorf("tasks that others take: %w", err)
		}
	}
	if f.draws > 0 {
		doc.Pareto, err = b.pareto(ctx, f, doc.Workers, func(draw int) { c.progress("draw %d of %d", draw+1, f.draws) })
		if err != nil {
			return fmt.Errorf("tasks that differ in length: %w", err)
		}
	}
	c.progress("")
	return c.print(doc, func(out io.Writer) { c.printBenchTask(out, doc) })
}

func (c *console) printBenchTask(out io.Writer, doc benchTaskDoc) {
	fmt.Fprintf(out, "%s, %s, submitted through the %s\n", count(doc.Peers, "peer"), count(doc.Workers, "worker"), doc.Via)
	fmt.Fprintf(out, "%s that do nothing: %.0f a second, run by %s\n", count(doc.Noop.Tasks, "task"), doc.Noop.TasksS, count(len(doc.Noop.ByPeer), "peer"))
	if s := doc.Start; s != nil {
		fmt.Fprintf(out, "from submission to start: p50 %s, p99 %s\n", micros(s.P50us), micros(s.P99us))
	}
	if s := doc.Away; s != nil {
		fmt.Fprintf(out, "to start at another peer, as the submitter's workers are taken: p50 %s, p99 %s\n", micros(s.P50us), micros(s.P99us))
	}
	if p := doc.Pareto; p != nil {
		fmt.Fprintf(out, "%s of %.3g ms (Pareto, shape %.3g), %s:\n", count(p.Tasks, "task"), p.MeanMS, p.Shape, count(p.Draws, "draw"))
		t := newTable("SECONDS\t", "EFFICIENCY\t", "GO CHANNEL\t", "RATIO\t", "LEAST RATIO\t")
		t.row(fmt.Sprintf("%.3f", p.Seconds), fmt.Sprintf("%.3f", p.Efficiency), fmt.Sprintf("%.3f", p.ChannelEfficiency), fmt.Sprintf("%.3f", p.Ratio), fmt.Sprintf("%.3f", p.LeastRatio))
		t.write(c, out)
	}
}
