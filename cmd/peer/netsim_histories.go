package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chorus-net/chorus/netsim/model"
	"github.com/chorus-net/chorus/overlay/client"
)

// historiesDoc tells what the histories that were played did, so that gentle
// luck cannot pass for proof. Counts by a range name it: "1", "3+", "<=8".
type historiesDoc struct {
	Steps     int    `json:"steps"` // after which the invariant was checked
	Messages  uint64 `json:"messages"`
	Overtaken uint64 `json:"overtaken"` // messages that came after later ones of their sender
	Doubled   uint64 `json:"doubled"`
	Lost      uint64 `json:"lost"`

	Joins   int `json:"joins"`
	Rejoins int `json:"rejoins"`
	Wipes   int `json:"wipes"` // rejoins with an empty disk
	Crashes int `json:"crashes"`
	AtOnce  int `json:"crashes_at_once"` // most
	Leaves  int `json:"leaves"`
	Splits  int `json:"splits"`
	Slander int `json:"slanders"`        // reports of the death of a peer that lives
	AtRest  int `json:"crashes_at_rest"` // of up to r-1 peers, or all but one of a small ring, whatever remains

	CrashSizes    map[string]int `json:"crashes_by_peers"`             // crashes by the peers that they took at once
	CrashedOfList map[string]int `json:"crashes_by_peers_of_one_list"` // by the most that one successor list lost
	LiveLeft      map[string]int `json:"crashes_by_live_entries_left"` // by the live entries that the worst list kept
	SparePeers    map[string]int `json:"crashes_by_spare_principals"`  // by the principals beyond the r+1 that must remain
	ListLengths   map[string]int `json:"histories_by_successors"`
	Positions     map[string]int `json:"starts_by_positions"`
	RingSizes     map[string]int `json:"acts_by_ring_size"`
	HealedWithin  map[string]int `json:"histories_by_heal_s"`

	Refused   int            `json:"refused"` // crashes and leaves that the assumption forbade
	RefusedBy map[string]int `json:"refused_by"`
	Failures  []string       `json:"failures"` // the first few, each with its seed
}

// describe fills in what schedules did.
func (d *historiesDoc) describe(sum model.Done) {
	d.Steps, d.Messages, d.Overtaken, d.Doubled, d.Lost = sum.Steps, sum.Messages, sum.Overtaken, sum.Doubled, sum.Lost
	d.Joins, d.Rejoins, d.Wipes, d.Crashes, d.Leaves = sum.Joins, sum.Rejoins, sum.Wipes, sum.Crashes, sum.Leaves
	d.Splits, d.Slander, d.AtRest, d.Refused = sum.Splits, sum.Slanders, sum.AtRest, sum.Refused()
	d.CrashSizes = named(sum.AtOnce[:], func(i int) string { return strconv.Itoa(i + 1) })
	d.CrashedOfList = named(sum.OneList[:], strconv.Itoa)
	d.LiveLeft = named(sum.Left[:], orMore(len(sum.Left)))
	d.SparePeers = named(sum.Spare[:], orMore(len(sum.Spare)))
	d.RingSizes = named(sum.Sizes[:], upTo(model.Sizes(), strconv.Itoa))
	d.HealedWithin = named(sum.Times[:], upTo(model.Times(), func(t time.Duration) string { return fmt.Sprintf("%g", t.Seconds()) }))
	d.RefusedBy = map[string]int{"lists": sum.RefusedLists, "principals": sum.RefusedBase, "torn": sum.RefusedTorn, "rate": sum.RefusedRate}
	d.ListLengths, d.Positions = make(map[string]int), make(map[string]int)
	for n, count := range sum.Lists {
		d.ListLengths[strconv.Itoa(n)] = count
	}
	for n, count := range sum.Positions {
		d.Positions[strconv.Itoa(n)] = count
	}
	for i, n := range sum.AtOnce {
		if n > 0 {
			d.AtOnce = i + 1
		}
	}
}

// named gives counts the names of what they count.
func named(counts []int, name func(int) string) map[string]int {
	m := make(map[string]int)
	for i, n := range counts {
		if n > 0 {
			m[name(i)] = n
		}
	}
	return m
}

// orMore names counts whose last one is of all that is not less.
func orMore(n int) func(int) string {
	return func(i int) string {
		if i == n-1 {
			return strconv.Itoa(i) + "+"
		}
		return strconv.Itoa(i)
	}
}

// upTo names counts by the bounds between them.
func upTo[T any](bounds []T, text func(T) string) func(int) string {
	return func(i int) string {
		if i == len(bounds) {
			return ">" + text(bounds[i-1])
		}
		return "<=" + text(bounds[i])
	}
}

// spread prints counts by name, the names in their natural order.
func spread(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(number(a), number(b)), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s: %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}

// number returns the number in a name of a count.
func number(name string) float64 {
	x, err := strconv.ParseFloat(strings.Trim(name, "<=>+"), 64)
	if err != nil {
		return 0
	}
	if strings.HasPrefix(name, ">") {
		x += 0.5
	}
	return x
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
	doc.Peers, doc.Positions, doc.SuccessorPeers = sum.MaxPeers, largest(sum.Positions), largest(sum.Lists)
	doc.VirtualS, doc.HealS = sum.Virtual.Seconds(), sum.Converged.Seconds()
	doc.Histories = &historiesDoc{Failures: failures}
	doc.Histories.describe(sum)
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

func largest(counts map[int]int) int {
	most := 0
	for n := range counts {
		most = max(most, n)
	}
	return most
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
		"rings", fmt.Sprintf("up to %d peers; things done by size, %s", d.Peers, spread(h.RingSizes)),
		"lists", "histories by successors, "+spread(h.ListLengths),
		"positions", "starts by positions, "+spread(h.Positions),
		"network", fmt.Sprintf("%d messages, %d overtaken, %d doubled, %d lost", h.Messages, h.Overtaken, h.Doubled, h.Lost),
		"events", fmt.Sprintf("%d joins, %d rejoins (%d with an empty disk), %d crashed, %d left, %d splits, %d false reports of deaths",
			h.Joins, h.Rejoins, h.Wipes, h.Crashes, h.Leaves, h.Splits, h.Slander),
		"at once", "crashes by peers, "+spread(h.CrashSizes),
		"of one list", "crashes by the most that a list lost, "+spread(h.CrashedOfList),
		"limit", limits(h),
		"at rest", fmt.Sprintf("%d crashes of a ring at rest, whatever remained", h.AtRest),
		"refused", fmt.Sprintf("%d crashes and leaves that the assumption forbids; %s", h.Refused, spread(h.RefusedBy)),
		"checked", fmt.Sprintf("%d steps", h.Steps),
		"violations", d.Violations,
		"healed", fmt.Sprintf("within %.1f s of the last change; histories by seconds, %s", d.HealS, spread(h.HealedWithin)),
		"time", fmt.Sprintf("%.0f s virtual, %.1f s real, %.0f MiB", d.VirtualS, d.WallS, d.RSSMiB),
	)
}

// limits tells how near the histories came to what the assumption forbids.
func limits(h *historiesDoc) string {
	if len(h.LiveLeft) == 0 {
		return ""
	}
	return fmt.Sprintf("departures by live entries left, %s; by spare principals, %s", spread(h.LiveLeft), spread(h.SparePeers))
}
