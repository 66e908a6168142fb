package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/netsim/model"
	"github.com/chorus-net/chorus/overlay/client"
)

// lookupsWorkload is what the peers of a model do unless told otherwise.
const lookupsWorkload = "lookups"

// keysWorkload places keys.
const keysWorkload = "keys"

// workFlags go with tasks only.
var workFlags = []string{"grain", "rtt", "load"}

// workOptions are the flags of tasks in the model.
type workOptions struct {
	model.WorkSettings
}

// validate checks the flags of a run of tasks.
func (o *workOptions) validate(cmd *cobra.Command, f *modelFlags) error {
	for _, name := range []string{
		"positions", "successors", "fingers-only", "churn", "loss", "split", "rings", "regions", "region-delay",
		"plain-chord", "rate", "trace", "rough",
	} {
		if cmd.Flags().Changed(name) {
			return usage(modelCommand, "--%s does not go with --workload %s", name, f.workload)
		}
	}
	switch {
	case f.Peers < 1 || f.Peers > model.MaxWorkers:
		return usage(modelCommand, "--peers must be from 1 to %d with tasks, not %d", model.MaxWorkers, f.Peers)
	case !(f.Kill >= 0 && f.Kill < 1):
		return usage(modelCommand, "--kill must be from 0 up to 1, not %v", f.Kill)
	case f.Kill > 0 && f.workload == string(model.WorkPareto):
		return usage(modelCommand, "--kill does not go with --workload pareto: the jobs of a peer go with it")
	case f.Duration <= 0 || o.Grain < 0 || o.Grain > f.Duration:
		return usage(modelCommand, "--grain must be from 0 to --duration, is %v of %v", o.Grain, f.Duration)
	case o.RTT < 0 || o.RTT > time.Minute:
		return usage(modelCommand, "--rtt must be from 0 to 1m, not %v", o.RTT)
	case !(o.Load > 0 && o.Load < 1):
		return usage(modelCommand, "--load must be above 0 and below 1, not %v", o.Load)
	}
	o.Workload, o.Peers, o.Seed, o.Work = model.Workload(f.workload), f.Peers, f.Seed, f.Duration
	o.Kill = min(int(f.Kill*float64(f.Peers)+0.5), f.Peers-1)
	return nil
}

// netsimWork runs tasks in the model.
func (c *console) netsimWork(ctx context.Context, f modelFlags) error {
	last := time.Now()
	f.work.Tell = func(part string, done float64) {
		if time.Since(last) > 100*time.Millisecond {
			last = time.Now()
			c.progress("%-10s %s", part, bar(done))
		}
	}
	rep, err := model.RunWork(ctx, f.work.WorkSettings)
	c.progress("")
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &client.Error{Code: client.CodeUnhealthy, Message: err.Error()}
	}
	rep.RSSMiB = residentMiB()
	return c.print(rep, func(out io.Writer) { c.printWork(out, rep) })
}

func (c *console) printWork(out io.Writer, rep model.WorkReport) {
	fmt.Fprintf(out, "%s of one worker each, %s, tasks of %v, round trip %v ms, seed %d\n", count(rep.Peers, "peer"), rep.Workload,
		time.Duration(rep.GrainS*float64(time.Second)), rep.RTTms, rep.Seed)
	t := newTable("TASKS\t", "DONE\t", "RIGHT\t", "KILLED\t", "IDEAL\t", "TAKEN\t", "EFFICIENCY\t", "STEALS/TASK\t", "RERUNS\t", "MESSAGES\t", "REFUSED\t", "WALL\t", "MEMORY\t")
	t.row(rep.Tasks, rep.Done, rep.Right, rep.Killed, fmt.Sprintf("%.2f s", rep.IdealS), fmt.Sprintf("%.2f s", rep.TakenS),
		fmt.Sprintf("%.1f%%", 100*rep.Efficiency), fmt.Sprintf("%.3f", rep.PerTask), rep.Reruns, rep.Messages, rep.Refused,
		fmt.Sprintf("%.1f s", rep.WallS), fmt.Sprintf("%.0f MiB", rep.RSSMiB))
	t.write(c, out)
}
