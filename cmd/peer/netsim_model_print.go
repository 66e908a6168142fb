package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/chorus-net/chorus/netsim/model"
)

func (c *console) printModel(out io.Writer, d modelDoc) {
	table := "with one-hop tables"
	if d.FingersOnly {
		table = "fingers only"
	}
	healed := ""
	switch {
	case d.Kill == 0 && d.SplitS == 0:
	case d.HealS < 0:
		healed = "not within the run"
	default:
		healed = fmt.Sprintf("after %.1f s, %.0f KB sent by a peer; %d lookups with the wrong owner since", d.HealS, *d.HealBytes/1000, *d.WrongHealed)
	}
	l := d.Lookups
	fields(out,
		"ring", fmt.Sprintf("%d peers with %s, %d successors, %s, seed %d", d.Peers, count(d.Positions, "position"), d.SuccessorPeers, table, d.Seed),
		"formed", fmt.Sprintf("within %.1f s", *d.FormS),
		"faults", strings.Join(d.faults(), ", "),
		"lookups", fmt.Sprintf("%d, %d failed, %d with the wrong owner; %d of peers that crashed meanwhile", l.N, l.Failed, l.WrongOwner, l.Abandoned),
		"right", d.right(),
		"hops", fmt.Sprintf("%.3f in the mean, %.2f%% in at most one", l.MeanHops, 100*l.OneHop),
		"latency", fmt.Sprintf("%.0f ms in the mean", l.MeanMS),
		"timeouts", fmt.Sprintf("%d, %.3f a lookup, at most %d", l.Timeouts, float64(l.Timeouts)/float64(max(l.N, 1)), l.MostTimeouts),
		"hedges", fmt.Sprintf("%d requests beside late ones", l.Hedges),
		"messages", fmt.Sprintf("%.2f and %.0f bytes a lookup", each(l, float64(l.Messages)), each(l, float64(l.Bytes))),
		"traffic", fmt.Sprintf("%.0f B/s sent by a peer", *d.BytesPerPeerS),
		"load", fmt.Sprintf("%.2f of the mean at most, three replicas each", *d.LoadMax),
		"owned", d.owned(func(o *model.OwnedReport) *model.OwnedReads { return &o.Anywhere }),
		"near Sybils", d.owned(func(o *model.OwnedReport) *model.OwnedReads { return o.Beside }),
		"forged", d.forged(),
		"violations", d.Violations,
		"healed", healed,
		"time", fmt.Sprintf("%.0f s virtual, %.1f s real, %.0f MiB", d.VirtualS, d.WallS, d.RSSMiB),
	)
	if d.PlainChord != nil {
		fmt.Fprintln(out)
		c.printPlainChord(out, d)
	}
}

// printPlaced prints how evenly keys are spread.
func (c *console) printPlaced(out io.Writer, d modelDoc) {
	plain := ""
	if d.PlainChord != nil {
		plain = fmt.Sprintf("%.3f, with the one position of a peer where its ID says", d.PlainChord.LoadMax)
	}
	fields(out,
		"ring", fmt.Sprintf("%d peers with %s, seed %d", d.Peers, count(d.Positions, "position"), d.Seed),
		"keys", fmt.Sprintf("%d, three replicas each", d.Keys),
		"load", fmt.Sprintf("%.3f of the mean at most", *d.LoadMax),
		"plain Chord", plain,
	)
}

// faults says what was done to the ring.
func (d *modelDoc) faults() []string {
	var faults []string
	if d.Kill > 0 {
		faults = append(faults, fmt.Sprintf("%g%% killed at once", 100*d.Kill))
	}
	if d.ChurnS > 0 {
		faults = append(faults, fmt.Sprintf("sessions of %g s", d.ChurnS))
	}
	if d.Loss > 0 {
		faults = append(faults, fmt.Sprintf("%g%% of messages lost", 100*d.Loss))
	}
	if d.SplitS > 0 {
		faults = append(faults, fmt.Sprintf("split in %d for %g s", d.Rings, d.SplitS))
	}
	if d.Liars > 0 {
		faults = append(faults, fmt.Sprintf("%g%% lie", 100*d.Liars))
	}
	if d.Sybils > 0 {
		faults = append(faults, fmt.Sprintf("%d Sybils around a key", d.Sybils))
	}
	if d.Regions > 1 {
		faults = append(faults, fmt.Sprintf("%d regions %g ms apart", d.Regions, 1000*d.RegionDelayS))
	}
	return faults
}

// right says how many lookups went well although peers lie.
func (d *modelDoc) right() string {
	if d.Liars == 0 && d.Sybils == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f%%, %d of them past an owner that says nothing", 100*d.Lookups.Right, d.Lookups.Bypassed)
}

// owned says how reads of some owned keys ended, nothing if there were none.
func (d *modelDoc) owned(some func(*model.OwnedReport) *model.OwnedReads) string {
	if d.Owned == nil || some(d.Owned) == nil {
		return ""
	}
	r := some(d.Owned)
	return fmt.Sprintf("%d reads: %d current, %d stale, %d told that there is nothing, %d unavailable; liars alone keep the key of %d",
		r.N, r.Current, r.Stale, r.Denied, r.Unavailable, r.Captured)
}

// forged says what became of forged records.
func (d *modelDoc) forged() string {
	if d.Owned == nil {
		return ""
	}
	sum := d.Owned.Anywhere
	if near := d.Owned.Beside; near != nil {
		sum.ForgedOffered += near.ForgedOffered
		sum.ForgedAccepted += near.ForgedAccepted
	}
	return fmt.Sprintf("%d owned records offered, %d accepted", sum.ForgedOffered, sum.ForgedAccepted)
}

// each shares a total out among the lookups.
func each(l *model.LookupReport, total float64) float64 { return total / float64(max(l.N, 1)) }

// printPlainChord puts plain Chord's figures beside those of the run.
func (c *console) printPlainChord(out io.Writer, d modelDoc) {
	t := newTable("RING", "POSITIONS\t", "HOPS\t", "ONE HOP\t", "LATENCY\t", "MESSAGES\t", "BYTES\t", "TIMEOUTS\t", "FAILED\t", "WRONG\t", "TRAFFIC\t", "LOAD\t")
	row := func(name string, positions int, l *model.LookupReport, traffic, load float64) {
		t.row(name, positions, fmt.Sprintf("%.2f", l.MeanHops), fmt.Sprintf("%.1f%%", 100*l.OneHop), fmt.Sprintf("%.0f ms", l.MeanMS),
			fmt.Sprintf("%.1f", each(l, float64(l.Messages))), fmt.Sprintf("%.0f", each(l, float64(l.Bytes))),
			fmt.Sprintf("%.2f", each(l, float64(l.Timeouts))), l.Failed, l.WrongOwner, fmt.Sprintf("%.0f B/s", traffic), fmt.Sprintf("%.2f", load))
	}
	row("Chorus", d.Positions, d.Lookups, *d.BytesPerPeerS, *d.LoadMax)
	p := d.PlainChord
	row("plain Chord", p.Positions, &p.Lookups, p.BytesPerPeerS, p.LoadMax)
	t.write(c, out)
	fmt.Fprintln(out, "Messages, bytes and timeouts are those of a lookup; traffic is all that a peer sends, load the most that one stores over the mean.")
}
