package main

import (
	"strings"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

// Of a task that was given up, job show names where each attempt ran and why it ended.
func TestAttemptsShown(t *testing.T) {
	names := peerNames{"A": "anna", "B": "bert"}
	r := client.TaskResult{State: "failed", Attempts: 7, History: []client.Attempt{
		{Peer: "A", Outcome: "crashed", MS: 1.25, Error: "panic: poison\nat main.go"},
		{Peer: "B", Outcome: "lost", MS: 300, Error: "peer down"},
		{Peer: "B", Outcome: "error", MS: 2, Error: "exit status 3", Copy: 2},
	}}
	got := strings.Join(attempts(names, client.Job{Verify: 3}, r), "\n")
	want := "crashed at anna after 1.2 ms: panic: poison at main.go\n" +
		"lost at bert after 300.0 ms: peer down\n" +
		"copy 2: error at bert after 2.0 ms: exit status 3\n" +
		"3 more"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A task has a result, or job get says why not.
func TestResultsOf(t *testing.T) {
	divided := client.Job{ID: "J", State: "done", Tasks: 5, Results: []client.TaskResult{{Index: 0}, {Index: 1}}}
	for _, x := range []struct {
		job  client.Job
		task int
		want int // results
		err  string
	}{
		{divided, -1, 2, ""},
		{divided, 1, 1, ""},
		{divided, 3, 0, "task 3 of job J has no result of its own: it was a part of one of tasks 0 to 1"},
		{divided, 5, 0, "job J has no task 5, its tasks are 0 to 4"},
		{client.Job{ID: "J", State: "done", Tasks: 5, Why: "they are gone"}, 3, 0, "job J has no results: they are gone"},
	} {
		got, err := resultsOf(x.job, x.task)
		if len(got) != x.want || (err == nil) != (x.err == "") || err != nil && !strings.Contains(err.Error(), x.err) {
			t.Errorf("task %d: %d results, %v, want %d, %q", x.task, len(got), err, x.want, x.err)
		}
		if x.want == 1 && len(got) == 1 && got[0].Index != x.task {
			t.Errorf("task %d: result of task %d", x.task, got[0].Index)
		}
	}
}
