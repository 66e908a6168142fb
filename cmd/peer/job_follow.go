package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chorus-net/chorus/overlay/client"
)

// follow waits for a job to end and shows its progress. Where hopeless is not nil, it ends
// the wait for a job that could not start in the first second, because no peer has its function.
func (c *console) follow(ctx context.Context, cl *client.Client, id string, hopeless func(context.Context, *client.Client, client.Job) error) (client.Job, error) {
	type ending struct {
		job client.Job
		err error
	}
	ended := make(chan ending, 1)
	go func() {
		job, err := cl.Wait(ctx, id)
		ended <- ending{job, err}
	}()
	defer c.progress("")

	why, pause, waiting := "", 100*time.Millisecond, 0
	for {
		select {
		case e := <-ended:
			if errors.Is(e.err, context.DeadlineExceeded) || errors.Is(e.err, context.Canceled) {
				return e.job, stillRunning(e.err, id, why)
			}
			return e.job, e.err
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
		job, err := cl.Job(ctx, id)
		if err != nil {
			continue // the wait meets the same error and tells it
		}
		c.progress("%s", progressOf(job))
		why = job.Why
		if job.State != "waiting" || job.Done+job.Failed > 0 || job.Able > 0 {
			waiting = 0
			continue
		}
		if waiting++; waiting == 3 && hopeless != nil {
			return job, hopeless(ctx, cl, job)
		}
	}
}

// progressOf says in a line how far a job is, and why it waits.
func progressOf(job client.Job) string {
	text := fmt.Sprintf("%d of %d tasks done", job.Done+job.Failed, job.Tasks)
	if job.Why != "" {
		text += "; " + job.Why
	}
	return text
}

// stillRunning is the error of a wait that ended before its job did, which waits for
// something itself if why is not empty.
func stillRunning(err error, id, why string) error {
	e := client.AsError(err)
	e.Message = fmt.Sprintf("the wait for job %s ended before the job, which goes on", id)
	if why != "" {
		e.Message += ": " + why
	}
	e.Fix = "peer job show " + id
	return e
}

// unknownFunction ends a job that was just submitted and whose function no peer has: that
// is a wrong name far more often than a peer that is yet to come.
func (c *console) unknownFunction(ctx context.Context, cl *client.Client, job client.Job) error {
	hint := ""
	if status, err := cl.Status(ctx); err == nil {
		hint = didYouMean(job.Code, status.Functions)
		if hint == "" {
			hint = "; this peer has " + strings.Join(status.Functions, ", ")
		}
	}
	if err := cl.CancelJob(ctx, job.ID); err != nil {
		return err
	}
	return &client.Error{
		Code:    client.CodeUnknownFunction,
		Message: fmt.Sprintf("no peer of the ring has function %q%s", job.Code, hint),
		Fix:     fmt.Sprintf("peer submit %s --wait=false, to let the job wait for a peer that has it", job.Code),
	}
}

// outcome is nil if all tasks of an ended job succeeded.
func outcome(job client.Job) error {
	switch {
	case job.State == "cancelled":
		return &client.Error{Code: client.CodeJobCancelled, Message: fmt.Sprintf("job %s was cancelled", job.ID)}
	case job.State == "expired":
		return &client.Error{
			Code: client.CodeDeadline, Message: fmt.Sprintf("%d of %s done: %s", job.Done, count(job.Tasks, "task"), job.Why),
			Fix: "peer job show " + job.ID + ", then submit it with a later --deadline",
		}
	case job.Failed == 0:
		return nil
	}
	why := ""
	for _, r := range job.Results {
		if r.Error != "" {
			why = fmt.Sprintf("; task %d: %s", r.Index, r.Error)
			break
		}
	}
	return &client.Error{
		Code:    client.CodeTaskFailed,
		Message: fmt.Sprintf("%d of %s failed%s", job.Failed, count(job.Tasks, "task"), why),
		Fix:     "peer job logs " + job.ID,
	}
}

// firstError returns the first of errs that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// shownResults is the number of tasks up to which a table shows each result.
const shownResults = 20

// printOutcome shows an ended job and returns outcome.
func (c *console) printOutcome(ctx context.Context, cl *client.Client, job client.Job) error {
	var names peerNames
	if !c.json {
		names = namesOf(ctx, cl)
	}
	if job.Results == nil {
		job.Results = []client.TaskResult{}
	}
	err := c.print(job, func(out io.Writer) {
		if len(job.Results) <= shownResults {
			t := newTable("TASK\t", "PEER", "ATTEMPTS\t", "MS\t", "OUTPUT")
			for _, r := range job.Results {
				t.row(r.Index, names.name(r.Peer), r.Attempts, fmt.Sprintf("%.1f", r.MS), shownOutput(r))
			}
			t.write(c, out)
		} else {
			c.printShares(out, names, job)
		}
		if !c.quiet {
			fmt.Fprintf(out, "job %s: %s, %d done, %d failed\n", job.ID, count(job.Tasks, "task"), job.Done, job.Failed)
		}
	})
	return firstError(err, outcome(job))
}

// printShares shows who ran how many tasks of a job.
func (c *console) printShares(out io.Writer, names peerNames, job client.Job) {
	if len(job.ByPeer) == 0 {
		return
	}
	t := newTable("PEER", "TASKS\t")
	for _, id := range slices.Sorted(maps.Keys(job.ByPeer)) {
		t.row(names.name(id), job.ByPeer[id])
	}
	t.write(c, out)
}

// shownOutput is a task's output or error on one line of a table.
func shownOutput(r client.TaskResult) string {
	if r.Error != "" {
		return "error: " + oneLine(r.Error)
	}
	text := strings.TrimRight(string(r.Output), "\n")
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Sprintf("%d bytes", len(r.Output))
	}
	if runes := []rune(text); len(runes) > 80 {
		return string(runes[:77]) + "..."
	}
	return text
}

// lines splits a log; the end of the last line counts for nothing.
func lines(log string) []string {
	if log == "" {
		return nil
	}
	return strings.Split(strings.TrimRight(log, "\n"), "\n")
}
