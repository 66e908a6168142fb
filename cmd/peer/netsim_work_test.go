package main

import (
	"strings"
	"testing"

	"github.com/chorus-net/chorus/netsim/model"
)

func TestNetsimWork(t *testing.T) {
	t.Parallel()
	var rep model.WorkReport
	newShell(t).doc(&rep, strings.Fields("netsim model --workload uts --peers 8 --duration 10s --grain 500ms --kill 0.25")...)
	if rep.Workload != model.WorkUTS || rep.Peers != 8 || rep.Killed != 2 || !rep.Right || rep.Tasks < 100 || rep.RSSMiB <= 0 {
		t.Errorf("%+v", rep)
	}
	for args, want := range map[string]string{
		"--workload uts --loss 0.1":               "--loss does not go with --workload uts",
		"--workload pareto --kill 0.1":            "--kill does not go",
		"--workload bag --grain 2m":               "--grain must be",
		"--workload pareto --load 1":              "--load must be",
		"--workload bag --peers 100000":           "--peers must be",
		"--workload games":                        "lookups, keys, uts, pareto or bag",
		"--grain 1s":                              "--grain is for --workload",
		"--workload uts --duration 1s --rtt 2h":   "--rtt must be",
		"--workload uts --schedules 2 --grain 1s": "--grain is for --workload",
	} {
		if r := newShell(t).run(strings.Fields("netsim model " + args)...); r.code != 2 || !strings.Contains(r.err, want) {
			t.Errorf("%s: exit %d, %s, want %q", args, r.code, r.err, want)
		}
	}
}
