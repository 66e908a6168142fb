package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/netsim/cluster/trial"
	"github.com/chorus-net/chorus/overlay/client"
)

// maxCluster bounds the rings of real peers in one process.
const maxCluster = 500

// clusterFlags are the flags of netsim cluster.
type clusterFlags struct {
	peers           int
	latency, jitter time.Duration
	loss            float64
	split, duration time.Duration
	callers         int
	seed            uint64
}

// clusterDoc is the result of netsim cluster, with its settings.
type clusterDoc struct {
	Peers     int     `json:"peers"`
	LatencyMS float64 `json:"latency_ms"`
	JitterMS  float64 `json:"jitter_ms"`
	Loss      float64 `json:"loss"`
	SplitS    float64 `json:"split_s"`
	DurationS float64 `json:"duration_s"`
	Callers   int     `json:"callers"`
	Seed      uint64  `json:"seed"`
	trial.Result
	WallS  float64 `json:"wall_s"`
	RSSMiB float64 `json:"rss_mib"`
}

func netsimClusterCommand(c *console) *cobra.Command {
	var f clusterFlags
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Run real peers over a simulated network, split it, and check what was acknowledged",
		Long: `Run real peers, in memory, over a simulated network in this process. Callers put
and get at random peers; with --split the network is cut in two for a while. In
the end every key is read: what was acknowledged must be there, in that version or
a newer one. Exit status 5 means that it was not.`,
		Example: "  peer netsim cluster --peers 20 --latency 20ms --loss 0.01 --split 5s --duration 30s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(); err != nil {
				return err
			}
			return c.netsimCluster(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.peers, "peers", 10, "number of peers")
	flags.DurationVar(&f.latency, "latency", 10*time.Millisecond, "time that a packet takes, one way")
	flags.DurationVar(&f.jitter, "jitter", 0, "most that is added to that at random")
	flags.Float64Var(&f.loss, "loss", 0, "fraction of packets that get lost")
	flags.DurationVar(&f.split, "split", 0, "cut the network in two for so long")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "time of load")
	flags.IntVar(&f.callers, "callers", 8, "callers that put and get at once")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of loss and jitter")
	return cmd
}

func (f clusterFlags) validate() error {
	const command = "peer netsim cluster"
	switch {
	case f.peers < 1 || f.peers > maxCluster:
		return usage(command, "--peers must be from 1 to %d, not %d", maxCluster, f.peers)
	case f.latency < 0 || f.jitter < 0:
		return usage(command, "--latency and --jitter must not be negative")
	case !(f.loss >= 0 && f.loss < 1):
		return usage(command, "--loss must be from 0 up to 1, not %v", f.loss)
	case f.duration <= 0:
		return usage(command, "--duration must be more than 0, not %v", f.duration)
	case f.split < 0 || f.split > f.duration/2:
		return usage(command, "--split must be from 0 to half of --duration, not %v", f.split)
	}
	return validCallers(command, []int{f.callers})
}

func (c *console) netsimCluster(ctx context.Context, f clusterFlags) error {
	start := time.Now()
	result, err := trial.Run(ctx, trial.Settings{
		Peers:    f.peers,
		Network:  simnet.Settings{Latency: f.latency, Jitter: f.jitter, Loss: f.loss, Seed: f.seed},
		Duration: f.duration,
		Split:    f.split,
		Callers:  f.callers,
		Tell: func(line string) {
			if isTerminal(c.err) && !c.json {
				c.note("%5.1fs  %s", time.Since(start).Seconds(), line)
			}
		},
	})
	if err != nil {
		return err
	}
	doc := clusterDoc{
		Peers: f.peers, LatencyMS: f.latency.Seconds() * 1000, JitterMS: f.jitter.Seconds() * 1000, Loss: f.loss,
		SplitS: f.split.Seconds(), DurationS: f.duration.Seconds(), Callers: f.callers, Seed: f.seed,
		Result: result, WallS: time.Since(start).Seconds(), RSSMiB: residentMiB(),
	}
	if err := c.print(doc, func(out io.Writer) { printCluster(out, doc) }); err != nil {
		return err
	}
	if faults := result.Lost + result.Stale + result.Unread; faults > 0 {
		return &client.Error{
			Code:    client.CodeUnhealthy,
			Message: fmt.Sprintf("%d faults; the first: %s", faults, result.Faults[0]),
		}
	}
	return nil
}

func printCluster(out io.Writer, d clusterDoc) {
	network := fmt.Sprintf("%g ms one way", d.LatencyMS)
	if d.JitterMS > 0 {
		network += fmt.Sprintf(" and up to %g ms more", d.JitterMS)
	}
	healed := ""
	if d.SplitS > 0 {
		healed = fmt.Sprintf("one ring again %.1f s after a split of %g s", d.HealS, d.SplitS)
	}
	fields(out,
		"peers", fmt.Sprintf("%d, agreed after %.1f s", d.Peers, d.AgreedS),
		"network", fmt.Sprintf("%s, %g%% lost, %d packets sent", network, 100*d.Loss, d.Packets.Sent),
		"load", fmt.Sprintf("%s for %g s", count(d.Callers, "caller"), d.DurationS),
		"puts", fmt.Sprintf("%d acknowledged, %d failed", d.Puts, d.PutsFailed),
		"gets", fmt.Sprintf("%d answered, %d failed", d.Gets, d.GetsFailed),
		"healed", healed,
		"faults", fmt.Sprintf("%d keys lost, %d stale reads, %d of %d keys unread in the end", d.Lost, d.Stale, d.Unread, d.Keys),
		"took", fmt.Sprintf("%.1f s, %.0f MiB", d.WallS, d.RSSMiB),
	)
}
