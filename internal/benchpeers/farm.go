package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/chorus-net/chorus/internal/load"
	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay/client"
)

// farmWorkers run the tasks of each farm.
const farmWorkers = 8

// uneven are the jobs that farms are given. Their tasks sleep, so that what is measured is
// how well they are spread.
var uneven = load.Pareto{Tasks: 2000, Shape: 1.5, Mean: 4800 * time.Microsecond, Most: 500 * time.Millisecond}

// farm is something that spreads tasks over farmWorkers workers. run gives it tasks that
// sleep so long and returns how long it took.
type farm struct {
	name  string
	run   func(ctx context.Context, times []time.Duration) (time.Duration, error)
	close func() error
}

// compareFarms gives the same draws to all farms in turns, and prints what came of it.
func compareFarms(ctx context.Context, draws int, to io.Writer) (err error) {
	var farms []farm
	defer func() {
		for _, f := range farms {
			err = errors.Join(err, f.close())
		}
	}()
	for _, start := range []func(context.Context) ([]farm, error){startChannel, startQueues, startChorusFarm} {
		more, err := start(ctx)
		farms = append(farms, more...)
		if err != nil {
			return err
		}
	}
	took := make([][]float64, len(farms)) // efficiency by farm and draw
	for draw := range draws {
		times := uneven.Draw(uint64(draw))
		ideal := load.Ideal(times, farmWorkers).Seconds()
		for i, f := range farms {
			d, err := f.run(ctx, times)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			took[i] = append(took[i], ideal/d.Seconds())
		}
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(to, "%d tasks, Pareto of mean %v and shape %v, %d workers, %d draws: efficiency, and its ratio to the channel's in the same draw\n",
		uneven.Tasks, uneven.Mean, uneven.Shape, farmWorkers, draws)
	fmt.Fprintln(w, strings.Join([]string{"FARM", "LEAST", "MEDIAN", "MOST", "TO CHANNEL"}, "\t")+"\t")
	for i, f := range farms {
		ratios := make([]float64, draws)
		for k := range ratios {
			ratios[k] = took[i][k] / took[0][k]
		}
		slices.Sort(ratios)
		all := slices.Sorted(slices.Values(took[i]))
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t\n", f.name, all[0], all[draws/2], all[draws-1], ratios[draws/2])
	}
	return w.Flush()
}

// startChannel is goroutines that share a channel: what a program does by itself.
func startChannel(context.Context) ([]farm, error) {
	return []farm{{
		name: "Go channel",
		run: func(ctx context.Context, times []time.Duration) (time.Duration, error) {
			return load.Share(ctx, times, farmWorkers), nil
		},
		close: func() error { return nil },
	}}, nil
}

// startChorusFarm is a ring of two peers. A job takes until its results are at the peer where
// it was submitted.
func startChorusFarm(ctx context.Context) ([]farm, error) {
	const peers = 2
	settings := cluster.Settings{Peers: peers}
	settings.Node.Workers = farmWorkers / peers
	ring, err := cluster.Start(ctx, settings)
	if err != nil {
		return nil, err
	}
	node := ring.Nodes()[0]
	run := func(ctx context.Context, times []time.Duration) (time.Duration, error) {
		inputs := make([][]byte, len(times))
		for i, d := range times {
			inputs[i] = []byte(d.String())
		}
		begun := time.Now()
		id, err := node.Submit(ctx, client.JobSpec{Code: client.Code{Func: "sleep/v1"}, Inputs: inputs})
		if err != nil {
			return 0, err
		}
		job, err := node.Wait(ctx, id)
		took := time.Since(begun)
		if err == nil && job.Done != len(times) {
			err = fmt.Errorf("%d of %d tasks done", job.Done, len(times))
		}
		return took, err
	}
	return []farm{{fmt.Sprintf("Chorus, %d peers", peers), run, ring.Close}}, ring.Agree(ctx)
}
