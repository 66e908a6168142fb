package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func jobCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "job",
		Short: "Look after the jobs submitted at this peer",
	}
	cmd.AddCommand(jobLsCommand(c), jobShowCommand(c), jobLogsCommand(c), jobCancelCommand(c), jobGetCommand(c), jobTimelineCommand(c))
	return cmd
}

func jobLsCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List jobs, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				jobs, err := cl.Jobs(ctx)
				if err != nil {
					return err
				}
				if jobs == nil {
					jobs = []client.Job{}
				}
				return c.print(jobs, func(out io.Writer) {
					t := newTable("JOB", "CODE", "STATE", "TASKS\t", "DONE\t", "FAILED\t")
					for _, j := range jobs {
						t.row(j.ID, j.Code, j.State, j.Tasks, j.Done, j.Failed)
					}
					t.write(c, out)
				})
			})
		},
	}
}

func jobShowCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show how a job stands",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				job, err := cl.Job(ctx, args[0])
				if err != nil {
					return jobError(args[0], err)
				}
				var names peerNames
				if !c.json {
					names = namesOf(ctx, cl)
				}
				return c.print(job, func(out io.Writer) {
					fields(out,
						"job", job.ID,
						"code", job.Code,
						"state", job.State,
						"why", job.Why,
						"near", nearKeys(job),
						"verified", verifiedBy(job),
						"backups", backupsOf(job),
						"priority", optional(job.Priority),
						"deadline", optional(job.Deadline),
						"owner", ownerOf(names, job),
						"tasks", fmt.Sprintf("%d, %d done, %d failed", job.Tasks, job.Done, job.Failed),
					)
					c.printShares(out, names, job)
					c.printTasks(out, names, job)
					printDissent(out, names, job)
				})
			})
		},
	}
}

// printTasks shows where the attempts at tasks ran, and where they are now: of all
// tasks if they are few, or else of those that are not done or took more than one.
func (c *console) printTasks(out io.Writer, names peerNames, job client.Job) {
	t, left := newTable("TASK\t", "STATE", "PEER", "ATTEMPTS"), 0
	for _, r := range job.Results {
		if len(job.Results) > shownResults && r.State == "done" && len(r.History) <= max(1, job.Verify) {
			continue
		}
		if len(t.rows) == shownResults {
			left++
			continue
		}
		t.row(r.Index, r.State, names.name(r.Peer), strings.Join(attempts(names, job, r), "; "))
	}
	if len(t.rows) > 0 {
		t.write(c, out)
	}
	if left > 0 {
		fmt.Fprintf(out, "and %s like these\n", count(left, "more task"))
	}
}

// attempts tells how the attempts at a task ended, each with its peer.
func attempts(names peerNames, job client.Job, r client.TaskResult) []string {
	var list []string
	for _, a := range r.History {
		text := fmt.Sprintf("%s at %s after %.1f ms", a.Outcome, names.name(a.Peer), a.MS)
		if which := copyOf(job, a); which != "" {
			text = which + ": " + text
		}
		if a.Error != "" {
			text += ": " + oneLine(a.Error)
		}
		list = append(list, text)
	}
	if hidden := r.Attempts - len(r.History); len(list) > 0 && hidden > 1 {
		list = append(list, fmt.Sprintf("%d more", hidden-1))
	}
	return list
}

func jobLogsCommand(c *console) *cobra.Command {
	type logDoc struct {
		Task  string `json:"task"`
		Index int    `json:"index"`
		Peer  string `json:"peer"`
		Log   string `json:"log"`
		Error string `json:"error,omitempty"`
	}
	return &cobra.Command{
		Use:   "logs ID",
		Short: "Show what the tasks of a job wrote to standard error",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				job, err := cl.Job(ctx, args[0])
				if err != nil {
					return jobError(args[0], err)
				}
				docs := []logDoc{}
				for _, r := range job.Results {
					if r.Log != "" || r.Error != "" {
						docs = append(docs, logDoc{r.Task, r.Index, r.Peer, r.Log, r.Error})
					}
				}
				return c.print(docs, func(out io.Writer) {
					for _, d := range docs {
						for _, line := range lines(d.Log) {
							fmt.Fprintf(out, "%d %s: %s\n", d.Index, shortID(d.Peer), line)
						}
						if d.Error != "" {
							fmt.Fprintf(out, "%d %s: %s %s\n", d.Index, shortID(d.Peer), c.style(out, red, "error"), d.Error)
						}
					}
				})
			})
		},
	}
}

func jobCancelCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "End a job: drop the tasks that wait, stop those that run",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if err := cl.CancelJob(ctx, args[0]); err != nil {
					return jobError(args[0], err)
				}
				doc := struct {
					Job string `json:"job"`
				}{args[0]}
				return c.print(doc, func(out io.Writer) { fmt.Fprintf(out, "job %s is cancelled\n", args[0]) })
			})
		},
	}
}

func jobGetCommand(c *console) *cobra.Command {
	var task int
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Wait for a job to end and write the outputs of its tasks, in order",
		Long: `Wait for a job to end and write the outputs of its tasks in the order of their
inputs: the bytes as they are, and nothing else.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if task < -1 {
				return usage("peer job get", "--task must be the number of a task, or -1 for all, not %d", task)
			}
			return c.withPatientClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				job, err := c.follow(ctx, cl, args[0], nil)
				if err != nil {
					return jobError(args[0], err)
				}
				results, err := resultsOf(job, task)
				if err != nil {
					return err
				}
				if c.json {
					return firstError(c.print(job, nil), outcome(job))
				}
				for _, r := range results {
					if _, err := c.out.Write(r.Output); err != nil {
						return err
					}
				}
				return outcome(job)
			})
		},
	}
	cmd.Flags().IntVar(&task, "task", -1, "write the output of one task; -1 is all")
	return cmd
}

// resultsOf returns the result of one task of an ended job, or of all for -1.
func resultsOf(job client.Job, task int) ([]client.TaskResult, error) {
	if task < 0 {
		return job.Results, nil
	}
	for i, r := range job.Results {
		if r.Index == task {
			return job.Results[i : i+1], nil
		}
	}
	text := fmt.Sprintf("job %s has no task %d, its tasks are 0 to %d", job.ID, task, job.Tasks-1)
	if n := len(job.Results); n == 0 {
		text = fmt.Sprintf("job %s has no results: %s", job.ID, cmp.Or(job.Why, job.State))
	} else if task < job.Tasks {
		text = fmt.Sprintf("task %d of job %s has no result of its own: it was a part of one of tasks 0 to %d, which divided itself", task, job.ID, n-1)
	}
	return nil, &client.Error{Code: client.CodeNotFound, Message: text, Fix: "peer job show " + job.ID}
}

// ownerOf says who has a durable job; nothing of another.
func ownerOf(names peerNames, job client.Job) string {
	if !job.Durable {
		return ""
	}
	return fmt.Sprintf("%s, the %s to have this durable job", names.name(job.Owner), ordinal(job.Epoch))
}

// ordinal writes a number as 1st, 2nd, 3rd, 4th.
func ordinal(n uint64) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

// jobError says which job an error is about.
func jobError(id string, err error) error {
	if e := client.AsError(err); e.Code == client.CodeNotFound {
		return &client.Error{Code: e.Code, Message: fmt.Sprintf("there is no job %q at this peer, and no durable one", id), Fix: "peer job ls"}
	}
	return err
}
