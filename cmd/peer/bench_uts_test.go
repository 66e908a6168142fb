package main

import (
	"strings"
	"testing"
)

// TestBenchUTS: the count is the published one, although two of five peers were
// killed while they searched.
func TestBenchUTS(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a ring and searches millions of nodes")
	}
	var doc benchUTSDoc
	newShell(t).doc(&doc, "bench", "uts", "--tree", "T1", "--peers", "5", "--kill", "2", "--grain", "20000")
	if doc.Nodes != 4130071 || doc.Depth != 10 || doc.Leaves != 3305118 || doc.Killed != 2 {
		t.Errorf("%+v", doc)
	}
	if len(doc.ByPeer) < 3 || doc.Tasks < 200 || doc.Steals == 0 || doc.StealMessages < doc.Steals {
		t.Errorf("nobody stole: %+v", doc)
	}
}

func TestBenchUTSRefuses(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--tree T9":                 "T1, T1L, T1XXL, T3",
		"--tree T1 --depth 4":       "does not go with its parameters",
		"--peers 2 --kill 2":        "leave the first",
		"--kill 1":                  "leave the first",
		"--workers 2":               "needs --peers",
		"--type 7":                  "type t=7",
		"--type 0 --q 3":            "q=3",
		"--peers 2 --grain -1":      "grain g=-1",
		"--peers 1000000 --tree T1": "--peers must be",
	} {
		if r := newShell(t).run(strings.Fields("bench uts " + args)...); r.code != 2 || !strings.Contains(r.err, want) {
			t.Errorf("%s: exit %d, %s, want %q", args, r.code, r.err, want)
		}
	}
}
