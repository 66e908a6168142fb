package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func jobTimelineCommand(c *console) *cobra.Command {
	var trace, page string
	cmd := &cobra.Command{
		Use:   "timeline ID",
		Short: "Write which worker ran what when, as a trace and as a page",
		Long: `Write which worker of which peer ran which attempt when: as a file that
chrome://tracing and ui.perfetto.dev read, and as one HTML page that needs nothing else.
Arrows lead from the queue of the peer that has the job to where a stolen task ran. Backups of
slow tasks, and the copies that several peers run to verify a task, are named as such.

Times of a peer's runs are by that peer's clock. Attempts that were lost with their peer
have no time and are counted only; so are the parts into which tasks divided themselves.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				job, err := cl.Job(ctx, args[0])
				if err != nil {
					return jobError(args[0], err)
				}
				self, err := cl.Status(ctx)
				if err != nil {
					return err
				}
				l := newTimeline(job, self.ID, namesOf(ctx, cl))
				return c.writeTimeline(l, cmp.Or(trace, "job-"+job.ID+".json"), cmp.Or(page, "job-"+job.ID+".html"))
			})
		},
	}
	cmd.Flags().StringVar(&trace, "trace", "", "write the trace to `F`; default: job-ID.json")
	cmd.Flags().StringVar(&page, "html", "", "write the page to `F`; default: job-ID.html")
	return cmd
}

// timeline is what is known of when a job's attempts ran.
type timeline struct {
	Job   string
	Code  string
	Rows  []timelineRow // a queue, or a worker, of a peer, in the order of names
	Runs  []timelineRun // in the order of their starts
	Lost  int           // attempts without a time
	Start time.Time     // of the first run
	End   time.Time
}

// timelineRow is a worker of a peer; worker -1 is the queue of the peer that has the
// job.
type timelineRow struct {
	peer   string // ID
	Name   string // of the peer
	Worker int
}

// timelineRun is an attempt that ran.
type timelineRun struct {
	Row     int // in Rows
	Task    int
	Attempt int
	Copy    string // "backup", or which copy of a task that several peers run; "": the task itself
	Outcome string
	Error   string
	Start   time.Time
	Took    time.Duration
	Left    time.Time // when it was stolen from the queue; zero: it was not
}

const queueRow = -1

// newTimeline gathers the attempts at the tasks of a job that the peer with an ID has.
func newTimeline(job client.Job, owner string, names peerNames) *timeline {
	l := &timeline{Job: job.ID, Code: job.Code}
	stolen := false
	for _, r := range job.Results {
		for i, a := range r.History {
			if a.Started.IsZero() {
				l.Lost++
				continue
			}
			stolen = stolen || !a.Left.IsZero()
			l.Runs = append(l.Runs, timelineRun{
				Row: l.row(a.Peer, names, a.Worker), Task: r.Index, Attempt: i + 1, Copy: copyOf(job, a), Outcome: a.Outcome, Error: a.Error,
				Start: a.Started, Took: time.Duration(a.MS * float64(time.Millisecond)), Left: a.Left,
			})
		}
	}
	if stolen {
		l.row(owner, names, queueRow)
	}
	l.sort()
	for i, r := range l.Runs {
		if end := r.Start.Add(r.Took); i == 0 || end.After(l.End) {
			l.End = end
		}
		for _, at := range []time.Time{r.Start, r.Left} {
			if !at.IsZero() && (l.Start.IsZero() || at.Before(l.Start)) {
				l.Start = at
			}
		}
	}
	return l
}

// row returns the index of a row, which it adds if there is none.
func (l *timeline) row(peer string, names peerNames, worker int) int {
	want := timelineRow{peer, names.name(peer), worker}
	if i := slices.Index(l.Rows, want); i >= 0 {
		return i
	}
	l.Rows = append(l.Rows, want)
	return len(l.Rows) - 1
}

// sort puts the rows and the runs in their order.
func (l *timeline) sort() {
	was := slices.Clone(l.Rows)
	slices.SortFunc(l.Rows, func(a, b timelineRow) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.peer, b.peer), cmp.Compare(a.Worker, b.Worker))
	})
	now := make([]int, len(was))
	for i, r := range was {
		now[i] = slices.Index(l.Rows, r)
	}
	for i := range l.Runs {
		l.Runs[i].Row = now[l.Runs[i].Row]
	}
	slices.SortStableFunc(l.Runs, func(a, b timelineRun) int { return a.Start.Compare(b.Start) })
}

// queue returns the index of the row of the queue, -1 if nothing was stolen.
func (l *timeline) queue() int {
	return slices.IndexFunc(l.Rows, func(r timelineRow) bool { return r.Worker == queueRow })
}

// name names the run's task, and which copy of it that is.
func (r *timelineRun) name() string {
	name := fmt.Sprintf("task %d", r.Task)
	if r.Copy != "" {
		name += " (" + r.Copy + ")"
	}
	return name
}

func (r timelineRow) label() string {
	if r.Worker == queueRow {
		return r.Name + " queue"
	}
	return fmt.Sprintf("%s worker %d", r.Name, r.Worker)
}

// traceEvent is an event of Chrome's trace format ("Trace Event Format", 2016). Times
// are in microseconds.
type traceEvent struct {
	Name  string         `json:"name"`
	Cat   string         `json:"cat,omitempty"`
	Phase string         `json:"ph"`
	TS    int64          `json:"ts"`
	Dur   int64          `json:"dur,omitempty"`
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	ID    int            `json:"id,omitempty"`
	Bind  string         `json:"bp,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// trace returns the timeline in Chrome's format: a process a peer, a thread a worker,
// and a flow for each steal.
func (l *timeline) trace() []traceEvent {
	events := []traceEvent{}
	pids := make(map[string]int)
	at := func(row int) (pid, tid int) { return pids[l.Rows[row].peer], l.Rows[row].Worker + 1 }
	for i, r := range l.Rows {
		if pids[r.peer] == 0 {
			pids[r.peer] = len(pids) + 1
			events = append(events, traceEvent{Name: "process_name", Phase: "M", PID: pids[r.peer], Args: map[string]any{"name": r.Name}})
		}
		pid, tid := at(i)
		events = append(events, traceEvent{Name: "thread_name", Phase: "M", PID: pid, TID: tid, Args: map[string]any{"name": r.label()}})
	}
	for i, r := range l.Runs {
		pid, tid := at(r.Row)
		run := traceEvent{
			Name: r.name(), Cat: r.Outcome, Phase: "X", PID: pid, TID: tid,
			TS: r.Start.UnixMicro(), Dur: max(r.Took.Microseconds(), 1), Args: map[string]any{"attempt": r.Attempt, "outcome": r.Outcome},
		}
		if r.Error != "" {
			run.Args["error"] = r.Error
		}
		if r.Copy != "" {
			run.Args["copy"] = r.Copy
		}
		events = append(events, run)
		if r.Left.IsZero() {
			continue
		}
		qpid, qtid := at(l.queue())
		events = append(events,
			traceEvent{Name: "given", Cat: "steal", Phase: "X", PID: qpid, TID: qtid, TS: r.Left.UnixMicro(), Dur: 1},
			traceEvent{Name: "steal", Cat: "steal", Phase: "s", PID: qpid, TID: qtid, TS: r.Left.UnixMicro(), ID: i + 1},
			traceEvent{Name: "steal", Cat: "steal", Phase: "f", Bind: "e", PID: pid, TID: tid, TS: r.Start.UnixMicro(), ID: i + 1})
	}
	return events
}

// writeTimeline writes both files and says what is in them.
func (c *console) writeTimeline(l *timeline, trace, page string) error {
	doc := struct {
		Job    string `json:"job"`
		Trace  string `json:"trace"`
		HTML   string `json:"html"`
		Runs   int    `json:"runs"`
		Steals int    `json:"steals"`
		Lost   int    `json:"lost"`
	}{l.Job, trace, page, len(l.Runs), 0, l.Lost}
	for _, r := range l.Runs {
		if !r.Left.IsZero() {
			doc.Steals++
		}
	}
	b, err := json.Marshal(map[string]any{"displayTimeUnit": "ms", "traceEvents": l.trace()})
	if err != nil {
		return err
	}
	html, err := l.page()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path string
		b    []byte
	}{{trace, b}, {page, html}} {
		if err := os.WriteFile(f.path, f.b, 0o644); err != nil {
			return noWrite(f.path, err)
		}
	}
	return c.print(doc, func(out io.Writer) {
		fmt.Fprintf(out, "%s (%d stolen) on %s, %d without a time\n", count(doc.Runs, "run"), doc.Steals, count(len(l.Rows), "row"), doc.Lost)
		fmt.Fprintf(out, "%s: open it in a browser\n%s: load it into ui.perfetto.dev or chrome://tracing\n", page, trace)
	})
}
