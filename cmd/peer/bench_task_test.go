package main

import (
	"strings"
	"testing"
)

// TestBenchTask: what is measured was run, by two peers and by the running one.
func TestBenchTask(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a ring")
	}
	check := func(doc benchTaskDoc, peers int) {
		t.Helper()
		done := 0
		for _, n := range doc.Noop.ByPeer {
			done += n
		}
		if doc.Peers != peers || doc.Workers < peers || doc.Noop.Tasks != 500 || done != 500 || doc.Noop.TasksS <= 0 {
			t.Errorf("%+v", doc)
		}
		if s := doc.Start; s == nil || s.Tasks != 20 || s.P50us <= 0 || s.P99us < s.P50us {
			t.Errorf("starts: %+v", s)
		}
		p := doc.Pareto
		if p == nil || p.Draws != 2 || p.Tasks != 50 || p.Efficiency <= 0 || p.Efficiency > 1 || p.ChannelEfficiency <= 0 || p.ChannelEfficiency > 1 || p.LeastRatio > p.Ratio {
			t.Errorf("pareto: %+v", p)
		}
	}
	load := []string{"bench", "task", "--noops", "500", "--starts", "20", "--draws", "2", "--tasks", "50"}
	var doc benchTaskDoc
	newShell(t).doc(&doc, append(load, "--peers", "2", "--workers", "2")...)
	check(doc, 2)
	if a := doc.Away; a == nil || a.Tasks != 20 || a.P50us <= 0 || doc.Via != "process" {
		t.Errorf("away: %+v, via %s", a, doc.Via)
	}
	var running benchTaskDoc
	startPeers(t, "anna")[0].doc(&running, load...)
	check(running, 1)
	if running.Away != nil || running.Via != "socket" {
		t.Errorf("away: %+v, via %s", running.Away, running.Via)
	}
}

func TestBenchTaskRefuses(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--peers -1":            "--peers must be",
		"--workers 2":           "needs --peers",
		"--noops 0":             "--noops must be",
		"--starts -1":           "--starts and --draws",
		"--draws 200000":        "--starts and --draws",
		"--tasks 0":             "--tasks must be",
		"--shape 1":             "--shape must be",
		"--shape NaN":           "--shape must be",
		"--mean 0s":             "--mean must be",
		"--mean 2s --most 1s":   "at most --most",
		"--mean 2h --most 200h": "at most an hour",
	} {
		if r := newShell(t).run(strings.Fields("bench task " + args)...); r.code != 2 || !strings.Contains(r.err, want) {
			t.Errorf("%s: exit %d, %s, want %q", args, r.code, r.err, want)
		}
	}
}
