package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/chorus-net/chorus/netsim/model"
	"github.com/chorus-net/chorus/overlay/client"
)

// historiesDoc counts what happened in the histories that were played.
type historiesDoc struct {
	Steps    int      `json:"steps"` // after which the invariant was checked
	Joins    int      `json:"joins"`
	Rejoins  int      `json:"rejoins"`
	Wipes    int      `json:"wipes"` // rejoins with an empty disk
	Crashes  int      `json:"crashes"`
	AtOnce   int      `json:"crashes_at_once"` // most
	Leaves   int      `json:"leaves"`
	Splits   int      `json:"splits"`
	Refused  int      `json:"refused"`  // crashes and leaves that the assumptions forbade
	Failures []string `json:"failures"` // the first few, each with its seed
}

// netsimHistories plays random histories of small rings.
func (c *console) netsimHistories(ctx context.Context, f modelFlags) error {
	const shown = 10
	start := time.Now()
	doc, failures, firstBad := f.doc(), []string{}, uint64(0)
	var sum model.Done
	n := 0
	for p := range c.playHistories(ctx, f) {
		sum.Add(p.done)
		if n++; n%16 == 0 {
			c.progress("%d of %d histories, %d violations", n, f.schedules, doc.Violations)
		}
		if p.err == nil {
			continue
		}
		if doc.Violations++; doc.Violations == 1 {
			firstBad = p.seed
		}
		if len(failures) < shown {
			failures = append(failures, p.err.Error())
		}
	}
	c.progress("")
	if err := ctx.Err(); err != nil {
		return err
	}
	doc.Peers, doc.Positions, doc.SuccessorPeers = sum.MaxPeers, sum.Positions, sum.SuccessorPeers
	doc.VirtualS, doc.HealS = sum.Virtual.Seconds(), sum.Converged.Seconds()
	doc.Histories = &historiesDoc{
		Steps: sum.Steps, Joins: sum.Joins, Rejoins: sum.Rejoins, Wipes: sum.Wipes, Crashes: sum.Crashes, AtOnce: sum.CrashedAtOnce,
		Leaves: sum.Leaves, Splits: sum.Splits, Refused: sum.Refused, Failures: failures,
	}
	doc.WallS, doc.RSSMiB = time.Since(start).Seconds(), residentMiB()
	if err := c.print(doc, func(out io.Writer) { printHistories(out, doc) }); err != nil {
		return err
	}
	if doc.Violations == 0 {
		return nil
	}
	rough := ""
	if f.rough {
		rough = " --rough"
	}
	return &client.Error{
		Code:    client.CodeUnhealthy,
		Message: fmt.Sprintf("%d of %d histories did not hold; the first: %s", doc.Violations, f.schedules, failures[0]),
		Fix:     fmt.Sprintf("%s --schedules 1 --seed %d%s --trace", modelCommand, firstBad, rough),
	}
}

// played is one history that came to its end.
type played struct {
	seed uint64
	done model.Done
	err  error
}

// playHistories plays histories on all cores and yields them as they end. The
// channel is closed after the last, or soon after the context ends; read it to
// its end.
func (c *console) playHistories(ctx context.Context, f modelFlags) <-chan played {
	seeds, ended := make(chan uint64), make(chan played)
	go func() {
		defer close(seeds)
		for i := range f.schedules {
			select {
			case seeds <- f.Seed + uint64(i):
			case <-ctx.Done():
				return
			}
		}
	}()
	var players sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		players.Go(func() {
			for seed := range seeds {
				s := model.Schedule{Seed: seed, Rough: f.rough, Trace: c.traceTo(f)}
				done, err := s.Run()
				ended <- played{seed, done, err}
			}
		})
	}
	go func() {
		players.Wait()
		close(ended)
	}()
	return ended
}

func printHistories(out io.Writer, d modelDoc) {
	kind, h := "clean", d.Histories
	if d.Rough {
		kind = "rough"
	}
	fields(out,
		"histories", fmt.Sprintf("%d, %s, seeds %d to %d", d.Schedules, kind, d.Seed, d.Seed+uint64(d.Schedules)-1),
		"rings", fmt.Sprintf("up to %d peers", d.Peers),
		"events", fmt.Sprintf("%d joins, %d rejoins (%d with an empty disk), %d crashes (up to %d at once), %d leaves, %d splits",
			h.Joins, h.Rejoins, h.Wipes, h.Crashes, h.AtOnce, h.Leaves, h.Splits),
		"refused", fmt.Sprintf("%d crashes and leaves that the assumptions forbid", h.Refused),
		"checked", fmt.Sprintf("%d steps", h.Steps),
		"violations", d.Violations,
		"healed", fmt.Sprintf("within %.1f s of the last change", d.HealS),
		"time", fmt.Sprintf("%.0f s virtual, %.1f s real, %.0f MiB", d.VirtualS, d.WallS, d.RSSMiB),
	)
}
