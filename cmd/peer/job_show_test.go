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
