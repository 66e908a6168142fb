package main

import (
	"fmt"
	"io"

	"github.com/chorus-net/chorus/overlay/client"
)

// verifiedBy says how many peers run each task of a job; nothing if it is one.
func verifiedBy(job client.Job) string {
	if job.Verify == 0 {
		return ""
	}
	return "each task by " + count(job.Verify, "peer")
}

// backupsOf says how many tasks ran a second time because the first run took long.
func backupsOf(job client.Job) string {
	if job.Backups == 0 {
		return ""
	}
	return fmt.Sprintf("%d of slow tasks, %d of them first", job.Backups, job.Overtook)
}

// copyOf says which copy of its task an attempt ran; nothing if the task itself.
func copyOf(job client.Job, a client.Attempt) string {
	switch {
	case a.Copy == 0:
		return ""
	case job.Verify > 0:
		return fmt.Sprintf("copy %d", a.Copy)
	default:
		return "backup"
	}
}

// nearKeys says how many tasks of a job of keys ran where their key is kept.
func nearKeys(job client.Job) string {
	if job.Near == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %s ran where their key is kept", job.Near, count(job.Done, "task"))
}

// printDissent names the peers that answered otherwise than most.
func printDissent(out io.Writer, names peerNames, job client.Job) {
	left := 0
	for _, r := range job.Results {
		for _, v := range r.Votes {
			if v.Agrees {
				continue
			}
			if left++; left > shownResults {
				continue
			}
			if v.Peer == "" {
				fmt.Fprintf(out, "task %d: a run came to no answer: %s\n", r.Index, oneLine(v.Answer))
			} else {
				fmt.Fprintf(out, "task %d: %s does not agree: %s\n", r.Index, names.name(v.Peer), oneLine(v.Answer))
			}
		}
	}
	if left > shownResults {
		fmt.Fprintf(out, "and %s like these\n", count(left-shownResults, "more answer"))
	}
}
