package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/internal/load"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// taskBench measures tasks that are submitted at one peer.
type taskBench struct {
	at     searcher
	node   *overlay.Node // at, if it is of this process
	others bool          // the ring has peers besides it
	own    int           // its workers, if it is of this process
}

// noops runs jobs whose tasks do nothing, and returns the figures of the median one. The
// first, which finds a peer that has never run a task, does not count.
func (b *taskBench) noops(ctx context.Context, n int) (noopFigures, error) {
	const rounds = 5
	all := make([]noopFigures, 0, rounds)
	for round := range rounds + 1 {
		begun := time.Now()
		job, err := b.run(ctx, "echo/v1", make([][]byte, n))
		if err != nil {
			return noopFigures{}, err
		}
		took := time.Since(begun).Seconds()
		if round > 0 {
			all = append(all, noopFigures{Tasks: n, Seconds: took, TasksS: float64(n) / took, ByPeer: job.ByPeer})
		}
	}
	slices.SortFunc(all, func(a, b noopFigures) int { return cmp.Compare(a.Seconds, b.Seconds) })
	return all[rounds/2], nil
}

// run runs a job to its end.
func (b *taskBench) run(ctx context.Context, name string, inputs [][]byte) (client.Job, error) {
	id, err := b.at.Submit(ctx, client.JobSpec{Code: client.Code{Func: name}, Inputs: inputs})
	if err != nil {
		return client.Job{}, err
	}
	job, err := b.at.Wait(ctx, id)
	if err == nil && job.Done != len(inputs) {
		err = fmt.Errorf("job %s: %d of %d tasks done", id, job.Done, len(inputs))
	}
	return job, err
}

// starts submits jobs of one task and asks when that began.
func (b *taskBench) starts(ctx context.Context, n int) (*startFigures, error) {
	waited := make([]time.Duration, 0, n)
	for range n {
		submitted := time.Now()
		job, err := b.run(ctx, "echo/v1", make([][]byte, 1))
		if err != nil {
			return nil, err
		}
		history := job.Results[0].History
		if len(history) == 0 {
			return nil, errors.New("the peer does not say when the task began")
		}
		waited = append(waited, history[len(history)-1].Started.Sub(submitted))
	}
	slices.Sort(waited)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	return &startFigures{Tasks: n, P50us: us(waited[n/2]), P99us: us(waited[n*99/100])}, nil
}

// away does the same while tasks of another job take all workers of the submitter.
func (b *taskBench) away(ctx context.Context, n int) (_ *startFigures, err error) {
	var jobs []string
	defer func() {
		for _, id := range jobs {
			err = errors.Join(err, b.node.CancelJob(id))
		}
	}()
	// Whoever steals such a task has a worker less; it runs on until all are taken here.
	for {
		status, err := b.node.Status(ctx)
		if err != nil {
			return nil, err
		}
		if status.Tasks.Running == b.own {
			break
		}
		if len(jobs) == 16*b.own {
			return nil, errors.New("others took all tasks that were to keep the submitter's workers busy")
		}
		id, err := b.node.Submit(ctx, client.JobSpec{Code: client.Code{Func: "sleep/v1"}, Inputs: [][]byte{[]byte("1h")}})
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, id)
		if err := b.settled(ctx, id); err != nil {
			return nil, err
		}
	}
	return b.starts(ctx, n)
}

// settled waits until the one task of a job runs, and cancels it if that is elsewhere.
func (b *taskBench) settled(ctx context.Context, id string) error {
	for {
		job, err := b.node.Job(id)
		if err != nil {
			return err
		}
		switch r := job.Results[0]; r.State {
		case "running":
			return nil
		case "away":
			return b.node.CancelJob(id)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pareto compares the ring with goroutines, a draw after the other.
func (b *taskBench) pareto(ctx context.Context, f benchTaskFlags, workers int, report func(draw int)) (*paretoFigures, error) {
	var ring, channel, ratio, seconds []float64
	for draw := range f.draws {
		report(draw)
		times := f.pareto.Draw(uint64(draw))
		inputs := make([][]byte, len(times))
		for i, d := range times {
			inputs[i] = []byte(d.String())
		}
		plain := load.Share(ctx, times, workers)
		begun := time.Now()
		if _, err := b.run(ctx, "sleep/v1", inputs); err != nil {
			return nil, err
		}
		took := time.Since(begun)
		ideal := load.Ideal(times, workers)
		seconds = append(seconds, took.Seconds())
		ring = append(ring, ideal.Seconds()/took.Seconds())
		channel = append(channel, ideal.Seconds()/plain.Seconds())
		ratio = append(ratio, plain.Seconds()/took.Seconds())
	}
	median := func(x []float64) float64 {
		slices.Sort(x)
		return x[len(x)/2]
	}
	return &paretoFigures{
		Tasks: f.pareto.Tasks, Draws: f.draws, MeanMS: f.pareto.Mean.Seconds() * 1000, Shape: f.pareto.Shape, Seconds: median(seconds),
		Efficiency: median(ring), ChannelEfficiency: median(channel), Ratio: median(ratio), LeastRatio: slices.Min(ratio),
	}, ctx.Err()
}
