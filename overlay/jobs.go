package overlay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/wasm"
	"github.com/chorus-net/chorus/overlay/client"
)

// Submit starts a job of one task for each input and returns its ID at once.
// The tasks run wherever a peer is idle; this peer keeps their state, and runs
// anew what a peer that died had taken. A job whose function no peer has waits
// until one does, and its state says so.
func (n *Node) Submit(ctx context.Context, spec JobSpec) (string, error) {
	if n.guest != nil {
		return n.guest.submit(ctx, spec)
	}
	id, err := n.submitAs(ctx, spec, "")
	if err != nil {
		return "", err
	}
	return id.String(), nil
}

// submitAs starts a job on behalf of a guest of the ring, or of this peer ("").
func (n *Node) submitAs(ctx context.Context, spec JobSpec, by chord.PeerID) (id compute.ID, err error) {
	s := compute.Spec{Inputs: spec.Inputs, Limits: compute.Limits{Time: spec.Time, Memory: spec.Memory, Grant: spec.Grant}, Priority: int8(spec.Priority), Verify: spec.Verify, MaxErrors: 1 + spec.Retries}
	if spec.Deadline > 0 {
		s.Deadline = time.Now().Add(spec.Deadline)
	}
	switch {
	case int(s.Priority) != spec.Priority:
		return id, usage("submit: priority %d, want %d to %d", spec.Priority, -compute.MaxPriority, compute.MaxPriority)
	case spec.Grant != "" && spec.Code.Func != "":
		return id, usage("submit: a namespace is granted to modules only; a function of Go uses the peer that runs it")
	case spec.Each != "" && len(spec.Inputs) > 0:
		return id, usage("submit: both inputs and a prefix of keys are given")
	case spec.Verify < 0 || spec.Verify > compute.MaxVerify:
		return id, usage("submit: verified by %d peers, want up to %d", spec.Verify, compute.MaxVerify)
	case spec.Retries < 0 || spec.Retries > compute.MaxRetries:
		return id, usage("submit: %d retries, want up to %d", spec.Retries, compute.MaxRetries)
	case spec.Deadline < 0:
		return id, usage("submit: negative deadline %s", spec.Deadline)
	case spec.Code.Func != "" && (len(spec.Code.Module) > 0 || spec.Code.Hash != ""):
		return id, usage("submit: both a function and a module are named")
	case len(spec.Code.Module) > 0 || spec.Code.Hash != "":
		if err := checkGrant(spec.Grant); err != nil {
			return id, err
		}
		code, err := n.moduleCode(ctx, spec.Code)
		if err != nil {
			return id, err
		}
		s.Code = code
	default:
		name, err := compute.FuncName(spec.Code.Func)
		if err != nil {
			return id, usage("submit: %w", err)
		}
		s.Code.Func = name
	}
	if spec.Each != "" {
		if s.Inputs, err = n.eachKey(ctx, spec.Each); err != nil {
			return id, err
		}
	}
	keys := spec.Keys || spec.Each != ""
	if spec.Durable {
		return n.submitDurable(ctx, s, keys, by)
	}
	if keys {
		s.Near = n.nearKeys(ctx, s.Inputs)
	}
	if id, err = n.tasks.submit(ctx, s); err != nil {
		return id, submitError(err)
	}
	return id, nil
}

func submitError(err error) error {
	switch {
	case errors.Is(err, compute.ErrQueueFull):
		return &client.Error{Code: client.CodeOverloaded, Message: "submit: " + err.Error(), Fix: "peer job ls (wait for one to end), or submit fewer tasks at a time"}
	case errors.Is(err, compute.ErrTooLarge):
		return &client.Error{Code: client.CodeValueTooLarge, Message: "submit: " + err.Error(), Fix: "store the input under a key and let the task read it"}
	case errors.Is(err, compute.ErrBadSpec):
		return usage("submit: %w", err)
	case errors.Is(err, compute.ErrDraining):
		return ErrClosed
	}
	return err
}

// Wait returns a job, with its results, once it has ended, well or not.
func (n *Node) Wait(ctx context.Context, id string) (Job, error) {
	if n.guest != nil {
		return n.guest.wait(ctx, id)
	}
	job, err := parseJob(id)
	if err != nil {
		return Job{}, err
	}
	switch err := n.tasks.wait(ctx, job); {
	case errors.Is(err, ErrNotFound):
		return n.waitDurable(ctx, job)
	case err != nil:
		return Job{}, err
	}
	return n.Job(id)
}

// Job returns the state of a job that was submitted here, or of a durable one
// anywhere, with the results so far.
func (n *Node) Job(id string) (Job, error) {
	if n.guest != nil {
		return n.guest.job(id)
	}
	want, err := parseJob(id)
	if err != nil {
		return Job{}, err
	}
	var (
		st    compute.JobStatus
		known bool
		list  []compute.TaskStatus
	)
	err = n.tasks.look(n.ctx, func(core scheduler) {
		if st, known = core.Job(want); known {
			list = core.Tasks(want, 0, st.Tasks)
		}
	})
	if err != nil {
		return Job{}, err
	}
	if !known {
		return n.durableView(n.ctx, want, true)
	}
	j := n.jobOf(st)
	for i := range list {
		j.Results = append(j.Results, n.resultOf(&list[i]))
	}
	return j, nil
}

// Jobs returns the jobs that were submitted here, newest first, and then the durable
// ones whose state this peer keeps, without their results.
func (n *Node) Jobs() []Job {
	if n.guest != nil {
		return n.guest.list()
	}
	var all []compute.JobStatus
	if err := n.tasks.look(n.ctx, func(core scheduler) { all = core.Jobs() }); err != nil {
		return nil
	}
	jobs := make([]Job, 0, len(all))
	for _, st := range slices.Backward(all) {
		if !n.durables.hidden(st.ID) {
			jobs = append(jobs, n.jobOf(st))
		}
	}
	return append(jobs, n.durableJobs()...)
}

// CancelJob ends a job: tasks that wait are dropped, running ones stopped. A job
// that has ended stays as it is.
func (n *Node) CancelJob(id string) error {
	if n.guest != nil {
		return n.guest.cancel(id)
	}
	want, err := parseJob(id)
	if err != nil {
		return err
	}
	var refused error
	err = n.tasks.act(n.ctx, func(core scheduler, now time.Time) (out compute.Output) {
		out, refused = core.Cancel(now, want)
		return out
	})
	if err == nil && errors.Is(refused, compute.ErrNoJob) {
		return n.cancelDurable(n.ctx, want)
	}
	return errors.Join(err, refused)
}

func parseJob(id string) (compute.ID, error) {
	job, err := compute.ParseID(id)
	if err != nil {
		return compute.ID{}, usage("job %q: %w", id, err)
	}
	return job, nil
}

func errNoJob(id compute.ID) error {
	return &client.Error{
		Code: client.CodeNotFound, Message: "job " + id.String() + ": no such job at this peer",
		Fix: "peer job ls",
	}
}

// jobOf returns a job as people see it.
func (n *Node) jobOf(st compute.JobStatus) Job {
	j := Job{
		ID: st.ID.String(), Code: st.Code.String(), State: string(st.State), Why: st.Why, Able: st.Able,
		Tasks: st.Tasks, Done: st.Done, Failed: st.Failed, ByPeer: make(map[string]int, len(st.ByPeer)),
		Priority: int(st.Priority), Deadline: st.Deadline, Verify: st.Verify, Near: st.Near, Backups: st.Backups, Overtook: st.Overtook,
	}
	for _, c := range st.ByPeer {
		j.ByPeer[n.label(c.Peer)] = c.Tasks
	}
	return j
}

// historyOf returns attempts as people see them.
func (n *Node) historyOf(attempts []compute.Attempt) (history []client.Attempt) {
	for _, a := range attempts {
		history = append(history, client.Attempt{
			Peer: n.label(a.Peer), Outcome: string(a.Outcome), Error: a.Err, MS: float64(a.Elapsed.Microseconds()) / 1e3,
			Started: a.Started, Left: a.Left, Worker: int(a.Worker), Copy: a.Copy,
		})
	}
	return history
}

// resultOf returns a task as people see it.
func (n *Node) resultOf(t *compute.TaskStatus) client.TaskResult {
	r := client.TaskResult{Task: t.ID.String(), Index: int(t.Index), State: t.State.String(), Attempts: t.Tries}
	if t.Peer != "" {
		r.Peer = n.label(t.Peer)
	}
	r.History = n.historyOf(t.Attempts)
	r.Votes = n.votesOf(t.Votes)
	if t.Result != nil {
		r.Output, r.Error, r.Log = t.Result.Output, t.Result.Err, string(t.Result.Log)
		r.MS = float64(t.Result.Elapsed.Microseconds()) / 1e3
	}
	return r
}

// votesOf returns votes as people see them.
func (n *Node) votesOf(votes []compute.Vote) []client.Vote {
	var list []client.Vote
	for _, v := range votes {
		vote := client.Vote{Answer: v.Answer, Agrees: v.Agrees}
		if v.Peer != "" {
			vote.Peer = n.label(v.Peer)
		}
		list = append(list, vote)
	}
	return list
}

// moduleCode returns the code of a WebAssembly module that a job names.
func (n *Node) moduleCode(ctx context.Context, code Code) (compute.Code, error) {
	if !lent.Load() {
		return compute.Code{}, &client.Error{
			Code:    client.CodeNotAvailable,
			Message: "submit: this program does not lend itself as the sandbox of WebAssembly tasks",
			Fix:     "call overlay.Init() first in the program's main function",
		}
	}
	if code.Hash == "" {
		return n.storeModule(ctx, code.Module)
	}
	b, err := hex.DecodeString(code.Hash)
	switch {
	case err != nil || len(b) != sha256.Size:
		return compute.Code{}, usage("submit: hash %.80q: want 64 hex digits, the SHA-256 of a module", code.Hash)
	case len(code.Module) > 0:
		return compute.Code{}, usage("submit: both a module and the hash of one are given")
	}
	found, err := n.modules.find(ctx, [sha256.Size]byte(b))
	if errors.Is(err, ErrNotFound) {
		return compute.Code{}, &client.Error{
			Code: client.CodeNotFound, Message: fmt.Sprintf("submit: module %s: the ring does not have it", code.Hash),
			Fix: "peer submit FILE.wasm, which stores the module",
		}
	}
	return found, err
}

// storeModule checks a WebAssembly module and keeps it in the ring, so that any
// peer can fetch it by its hash.
func (n *Node) storeModule(ctx context.Context, module []byte) (compute.Code, error) {
	if err := wasm.Check(module); err != nil {
		return compute.Code{}, &client.Error{
			Code: client.CodeNotWasm, Message: fmt.Sprintf("submit: %v", err),
			Fix: "GOOS=wasip1 GOARCH=wasm go build -o task.wasm . (or another compiler for WASI preview 1)",
		}
	}
	return n.modules.put(ctx, module)
}
