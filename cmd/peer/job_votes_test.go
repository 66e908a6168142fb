package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/overlay/client"
)

func TestDissentIsNamed(t *testing.T) {
	job := client.Job{Verify: 3, Backups: 2, Overtook: 1, Results: []client.TaskResult{
		{Index: 0, Votes: []client.Vote{{Peer: "p", Answer: "aa", Agrees: true}}},
		{Index: 4, Votes: []client.Vote{{Peer: "q", Answer: "error: bad\ninput"}, {Answer: "peer down"}}},
	}}
	var out strings.Builder
	printDissent(&out, peerNames{}, job)
	want := "task 4: q does not agree: error: bad input\ntask 4: a run came to no answer: peer down\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("dissent (-want +got):\n%s", diff)
	}
	for range 30 {
		job.Results = append(job.Results, job.Results[1])
	}
	out.Reset()
	printDissent(&out, peerNames{}, job)
	if n := strings.Count(out.String(), "\n"); n != shownResults+1 || !strings.HasSuffix(out.String(), "and 42 more answers like these\n") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	if got := verifiedBy(job) + ", " + backupsOf(job); got != "each task by 3 peers, 2 of slow tasks, 1 of them first" {
		t.Error(got)
	}
	if got := verifiedBy(client.Job{}) + backupsOf(client.Job{}); got != "" {
		t.Error(got)
	}
}
