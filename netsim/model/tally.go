package model

import "time"

// Done tells what a schedule did, or, added up, what schedules did.
type Done struct {
	Schedules  int
	Violations int
	Steps      int // steps after which the invariant was checked

	Joins, Rejoins, Wipes   int
	Crashes, Leaves, Splits int
	Slanders                int // reports of the death of a peer that lives
	Messages                uint64
	Overtaken, Doubled      uint64 // messages that came after later ones of their sender, or twice
	Lost                    uint64

	AtOnce    [chordLists]int     // crashes by the number of peers that they took: 1, 2, ...
	OneList   [chordLists]int     // crashes by the number of peers of one successor list that they took: 0, 1, ...
	Lists     map[int]int         // schedules by the length of successor lists
	Positions map[int]int         // starts of peers by their number of positions
	Sizes     [len(sizes) + 1]int // things done by the number of members: up to sizes[0], up to sizes[1], ...

	// How near crashes and leaves came to what the assumption forbids: by the live
	// entries that the worst list kept (0 only where the rate is what counts), and by
	// the peers with a principal beyond the r+1 that must remain.
	Left, Spare [4]int
	// AtRest counts the crashes of up to r-1 peers, or of all but one of a small
	// ring, that hit a ring at rest without regard to the assumption.
	AtRest int
	// Crashes and leaves that were not allowed: some list would have lost all its
	// live entries, the base would have been too small, a small ring would have been
	// torn apart, or too many had gone lately.
	RefusedLists, RefusedBase, RefusedTorn, RefusedRate int

	MinPeers, MaxPeers int
	Virtual            time.Duration
	Converged          time.Duration       // after the last change, the longest
	Times              [len(times) + 1]int // schedules by that time: up to times[0], up to times[1], ...
}

// chordLists is more than the longest successor list of a schedule.
const chordLists = 9

// Bounds of the counts in Done.
var (
	sizes = [...]int{4, 8, 16, 32}
	times = [...]time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute}
)

// Sizes returns the bounds of Done.Sizes, and Times those of Done.Times.
func Sizes() []int { return sizes[:] }

// Times returns the bounds of Done.Times.
func Times() []time.Duration { return times[:] }

// Refused counts the crashes and leaves that were not allowed.
func (d *Done) Refused() int { return d.RefusedLists + d.RefusedBase + d.RefusedTorn + d.RefusedRate }

// Add sums up what schedules did.
func (d *Done) Add(o Done) {
	if d.Schedules == 0 {
		d.MinPeers = o.MinPeers
	}
	d.MinPeers, d.MaxPeers = min(d.MinPeers, o.MinPeers), max(d.MaxPeers, o.MaxPeers)
	d.Converged = max(d.Converged, o.Converged)
	d.Virtual += o.Virtual
	for _, n := range []struct{ sum, more *int }{
		{&d.Schedules, &o.Schedules},
		{&d.Violations, &o.Violations},
		{&d.Steps, &o.Steps},
		{&d.Joins, &o.Joins},
		{&d.Rejoins, &o.Rejoins},
		{&d.Wipes, &o.Wipes},
		{&d.Crashes, &o.Crashes},
		{&d.Leaves, &o.Leaves},
		{&d.Splits, &o.Splits},
		{&d.Slanders, &o.Slanders},
		{&d.AtRest, &o.AtRest},
		{&d.RefusedLists, &o.RefusedLists},
		{&d.RefusedBase, &o.RefusedBase},
		{&d.RefusedTorn, &o.RefusedTorn},
		{&d.RefusedRate, &o.RefusedRate},
	} {
		*n.sum += *n.more
	}
	d.Messages += o.Messages
	d.Overtaken += o.Overtaken
	d.Doubled += o.Doubled
	d.Lost += o.Lost
	addAll(d.AtOnce[:], o.AtOnce[:])
	addAll(d.OneList[:], o.OneList[:])
	addAll(d.Sizes[:], o.Sizes[:])
	addAll(d.Left[:], o.Left[:])
	addAll(d.Spare[:], o.Spare[:])
	addAll(d.Times[:], o.Times[:])
	d.Lists, d.Positions = addTo(d.Lists, o.Lists), addTo(d.Positions, o.Positions)
}

func addAll(sum, more []int) {
	for i, n := range more {
		sum[i] += n
	}
}

func addTo(sum, more map[int]int) map[int]int {
	if sum == nil {
		sum = make(map[int]int)
	}
	for k, n := range more {
		sum[k] += n
	}
	return sum
}

// ordinal returns the first bound that n does not exceed.
func ordinal[T int | time.Duration](bounds []T, n T) int {
	for i, b := range bounds {
		if n <= b {
			return i
		}
	}
	return len(bounds)
}
