package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is all figures of all rounds.
type report []figure

// median returns the medians over the rounds of one line of the table.
func (r report) median(system, op string, callers int) (figure, bool) {
	var same []figure
	for _, f := range r {
		if f.System == system && f.Op == op && f.Callers == callers {
			same = append(same, f)
		}
	}
	if len(same) == 0 {
		return figure{}, false
	}
	m := same[0]
	for _, field := range []func(*figure) *float64{
		func(f *figure) *float64 { return &f.P50 }, func(f *figure) *float64 { return &f.P99 },
		func(f *figure) *float64 { return &f.Rate }, func(f *figure) *float64 { return &f.CPU },
		func(f *figure) *float64 { return &f.Calls },
	} {
		var values []float64
		for i := range same {
			values = append(values, *field(&same[i]))
		}
		slices.Sort(values)
		*field(&m) = values[len(values)/2]
	}
	for _, f := range same[1:] {
		m.Failed += f.Failed
	}
	return m, true
}

func p50(f figure) float64  { return f.P50 }
func p99(f figure) float64  { return f.P99 }
func rate(f figure) float64 { return f.Rate }

func calls(f figure) float64 { return f.Calls }

// goal is a figure of Chorus, as a ratio to the same one of another, or by
// itself if there is no other.
type goal struct {
	mine, theirs string
	op           string
	callers      int
	what         string
	field        func(figure) float64
	text         string // what is wanted; "" if nothing is
	met          func(float64) bool
}

var goals = []goal{
	{"chorus", "floor", "put", 1, "p50", p50, "at most 1.3", atMost(1.3)},
	{"chorus", "etcd", "put", 1, "p50", p50, "at most 1", atMost(1)},
	{"chorus", "nats", "put", 1, "p50", p50, "at most 1", atMost(1)},
	{"chorus", "etcd", "put", 64, "rate", rate, "at least 5", atLeast(5)},
	{"chorus", "nats", "put", 64, "rate", rate, "at least 2.5", atLeast(2.5)},
	{"chorus", "floor", "put", 64, "rate", rate, "", nil},
	{"chorus", "etcd", "get", 64, "rate", rate, "", nil},
	{"chorus", "nats", "get", 64, "rate", rate, "", nil},
	{"chorus", "", "get", 1, "p50 in us", p50, "at most 200", atMost(200)},
	{"chorus", "", "get", 64, "rate", rate, "at least 25000", atLeast(25000)},
	{"chorus-repairs", "chorus-repaired", "put", 16, "p99", p99, "at most 1.5", atMost(1.5)},
	{"chorus-repairs", "chorus-repaired", "get", 16, "p99", p99, "at most 1.5", atMost(1.5)},
	{"chorus-repairs", "chorus", "put", 16, "p99", p99, "", nil},
	{"chorus-repairs", "chorus", "get", 16, "p99", p99, "", nil},
	{"chorus-64k", "echo-64k", "put", 8, "rate", rate, "at least 0.5", atLeast(0.5)},
	{"chorus-64k", "echo-64k", "get", 8, "rate", rate, "at least 0.5", atLeast(0.5)},
	{"chorus-512k", "echo-512k", "put", 8, "rate", rate, "at least 0.5", atLeast(0.5)},
	{"chorus-512k", "echo-512k", "get", 8, "rate", rate, "at least 0.5", atLeast(0.5)},
	{"chorus-20", "kad-dht-20", "put", 16, "rate", rate, "at least 50", atLeast(50)},
	{"chorus-20", "kad-dht-20", "put", 64, "rate", rate, "at least 50", atLeast(50)},
	{"chorus-20", "kad-dht-20", "put", 256, "rate", rate, "at least 50", atLeast(50)},
	{"chorus-20", "kad-dht-20", "put", 1, "p50", p50, "at most 0.125", atMost(0.125)},
	{"chorus-20", "kad-dht-20", "get", 1, "p50", p50, "", nil},
	{"chorus-20", "", "put", 1, "calls", calls, "at most 6", atMost(6)},
	{"chorus-20", "", "get", 1, "calls", calls, "at most 4", atMost(4)},
}

func atMost(n float64) func(float64) bool  { return func(x float64) bool { return x <= n } }
func atLeast(n float64) func(float64) bool { return func(x float64) bool { return x >= n } }

// print writes the medians, and below them the ratios.
func (r report) print(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "SYSTEM\tOP\tCALLERS\tP50 us\tP99 us\tOPS/S\tCPU us/OP\tCALLS/OP\tFAILED\t")
	for _, c := range contestants {
		for _, op := range []string{"put", "get"} {
			for _, n := range c.callers {
				if f, ok := r.median(c.name, op, n); ok {
					fmt.Fprintf(w, "%s\t%s\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f\t%d\t\n",
						c.name, op, n, f.P50, f.P99, f.Rate, f.CPU, f.Calls, f.Failed)
				}
			}
		}
	}
	w.Flush()
	fmt.Fprintln(to)
	w = tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "OF\tTO\tOP\tCALLERS\tFIGURE\tRATIO\tGOAL\t\t")
	for _, g := range goals {
		mine, ok := r.median(g.mine, g.op, g.callers)
		ratio := g.field(mine)
		if g.theirs != "" {
			theirs, too := r.median(g.theirs, g.op, g.callers)
			if !too && strings.HasPrefix(g.theirs, "echo") {
				theirs, too = r.median(g.theirs, "put", g.callers) // both are the same
			}
			ok, ratio = ok && too, ratio/g.field(theirs)
		}
		if !ok {
			continue
		}
		verdict := ""
		if g.met != nil {
			verdict = "missed"
			if g.met(ratio) {
				verdict = "met"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%.2f\t%s\t%s\t\n", g.mine, g.theirs, g.op, g.callers, g.what, ratio, g.text, verdict)
	}
	w.Flush()
}
