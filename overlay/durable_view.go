package overlay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// durableView returns a durable job as its register says it stands, with the results
// that are committed if they are wanted.
func (n *Node) durableView(ctx context.Context, id compute.ID, results bool) (Job, error) {
	version, value, err := n.readDurable(ctx, id)
	if err != nil {
		return Job{}, fmt.Errorf("job %s: %w", id, err)
	}
	if version == 0 {
		return Job{}, errNoJob(id)
	}
	ledger, err := compute.DecodeLedger(value)
	if err != nil {
		return Job{}, fmt.Errorf("job %s: %w", id, err)
	}
	j := n.durableJobOf(id, &ledger)
	if !results {
		return j, nil
	}
	rec, err := n.lookUp(ctx, durableSpace, id.String()+"/spec", store.LevelQuorum)
	switch {
	case errors.Is(err, ErrNotFound):
		j.Why = "its inputs and results were kept for a week, and are gone"
		return j, nil
	case err != nil:
		return j, err
	}
	spec, err := wire.ParseDurableSpec(rec.Value)
	if err != nil {
		return j, fmt.Errorf("job %s: %w", id, err)
	}
	j.Verify, j.Priority, j.Deadline = spec.Verify, int(spec.Priority), spec.Deadline
	return j, n.fillDurable(ctx, &j, id, &ledger)
}

// durableJobOf returns what a ledger says.
func (n *Node) durableJobOf(id compute.ID, l *compute.Ledger) Job {
	j := Job{
		ID: id.String(), Code: l.Code, Durable: true, Owner: n.label(l.Owner), Epoch: l.Epoch, State: "running",
		Tasks: int(l.Tasks), Done: l.Done() - int(l.Failed), Failed: int(l.Failed), ByPeer: make(map[string]int),
	}
	switch {
	case l.State == compute.LedgerCancelled:
		j.State = "cancelled"
	case l.State == compute.LedgerDone && l.Failed > 0:
		j.State = "failed"
	case l.State == compute.LedgerDone:
		j.State = "done"
	}
	return j
}

// fillDurable reads the results that a ledger lists, and the states of the other
// tasks where this peer owns the job.
func (n *Node) fillDurable(ctx context.Context, j *Job, id compute.ID, l *compute.Ledger) error {
	state := "queued"
	if l.State == compute.LedgerCancelled {
		state = "cancelled"
	}
	j.Results = make([]client.TaskResult, l.Tasks)
	for i := range j.Results {
		j.Results[i] = client.TaskResult{Task: compute.TaskID(id, compute.ID{}, uint32(i)).String(), Index: i, State: state}
	}
	if l.State == compute.LedgerRunning {
		if err := n.fillLive(ctx, j, id); err != nil {
			return err
		}
	}
	for _, b := range l.Batches {
		rec, err := n.lookUp(ctx, durableSpace, id.String()+"/"+batchName(b.Epoch, b.Seq), store.LevelQuorum)
		if err != nil {
			return fmt.Errorf("results of job %s: %w", id, err)
		}
		results, err := wire.ParseDurableResults(rec.Value)
		if err != nil {
			return fmt.Errorf("results of job %s: %w", id, err)
		}
		for _, r := range results {
			if r.Index < l.Tasks {
				n.fillResult(j, &r)
			}
		}
	}
	return nil
}

func (n *Node) fillResult(j *Job, r *wire.DurableResult) {
	t := &j.Results[r.Index]
	t.State, t.Peer, t.Attempts = "done", n.label(r.Peer), r.Attempts
	t.Votes = n.votesOf(r.Votes)
	t.Output, t.Error, t.Log, t.MS = r.Output, r.Err, string(r.Log), float64(r.Elapsed.Microseconds())/1e3
	outcome := compute.OutcomeOK
	if r.Err != "" {
		t.State, outcome = "failed", compute.OutcomeError
	} else {
		j.ByPeer[t.Peer]++
	}
	if j.State == "failed" && compute.Late(r.Err) {
		j.State, j.Why = "expired", r.Err
	}
	ended := client.Attempt{
		Peer: t.Peer, Outcome: string(outcome), Error: r.Err, MS: t.MS, Started: r.Started, Worker: int(r.Worker),
	}
	if r.Backup {
		j.Backups++
	}
	if r.Overtook {
		j.Overtook++
		ended.Copy = 1
	}
	if t.History = n.historyOf(r.History); len(t.History) == 0 {
		t.History = []client.Attempt{ended}
	}
}

// fillLive fills in where tasks are that this peer, as the owner, has under way.
func (n *Node) fillLive(ctx context.Context, job *Job, id compute.ID) error {
	j, _ := n.durables.find(id)
	if j == nil {
		return nil
	}
	task, indexes := j.under()
	return n.tasks.look(ctx, func(core scheduler) {
		if st, ok := core.Job(task); ok && st.State == compute.JobWaiting {
			job.State, job.Why, job.Able = string(st.State), st.Why, st.Able
		}
		for i, st := range core.Tasks(task, 0, len(indexes)) {
			r := n.resultOf(&st)
			r.Task, r.Index, r.Output = job.Results[indexes[i]].Task, int(indexes[i]), nil
			if st.State.Final() {
				r.State = "running" // its result is not committed yet
			}
			job.Results[indexes[i]] = r
		}
	})
}

// durableJobs returns the durable jobs that are known here, as their registers said
// last.
func (n *Node) durableJobs() []Job {
	var jobs []Job
	for _, id := range n.durables.ids() {
		j, h := n.durables.find(id)
		if j == nil {
			jobs = append(jobs, n.durableJobOf(id, &h.ledger))
			continue
		}
		ledger := j.known()
		jobs = append(jobs, n.durableJobOf(id, &ledger))
	}
	return jobs
}

// waitDurable returns when a job is final.
func (n *Node) waitDurable(ctx context.Context, id compute.ID) (Job, error) {
	for pause := durableRetries; ; pause = min(2*pause, time.Second) {
		j, err := n.durableView(ctx, id, false)
		switch {
		case err != nil:
			return j, err
		case j.Ended():
			return n.durableView(ctx, id, true)
		case !sleep(ctx, pause):
			return j, ctx.Err()
		case n.ctx.Err() != nil:
			return j, ErrClosed
		}
	}
}
