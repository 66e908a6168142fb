package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
)

const (
	// durableLife is how long the inputs and results of a job are kept after it was
	// submitted.
	durableLife = 7 * 24 * time.Hour
	// durableBytes bounds what goes into one record of inputs or results, unless one
	// alone is larger.
	durableBytes = 256 << 10
	// maxDurableBlob bounds one input, or one output with its error and log.
	maxDurableBlob = store.MaxValue - 4<<10
	// durableGather is how long an owner waits for more results before it commits.
	durableGather = 20 * time.Millisecond
	// durableStuck is how long an owner that cannot commit results says that it works at a
	// job: others may reach a quorum.
	durableStuck = 10 * time.Second
)

// durableJob is a durable job that this peer owns. One goroutine works at it.
type durableJob struct {
	n       *Node
	id      compute.ID
	spec    wire.DurableSpec
	inputs  [][]byte // of all tasks
	machine *compute.Durable
	wake    chan struct{} // holds a token when there may be something to do

	// The scheduler's job that works for it, and which of its tasks is which. The
	// goroutine of the job changes them, under the lock.
	mu      sync.Mutex
	ledger  compute.Ledger // the machine's
	task    compute.ID
	indexes []uint32

	results atomic.Int64  // since when there are some that are not committed, as time.Time.UnixNano; 0: there are none
	version atomic.Uint64 // of the register, as the machine knows it
	newest  atomic.Uint64 // as others told
}

func newDurableJob(n *Node, id compute.ID, spec wire.DurableSpec, inputs [][]byte) *durableJob {
	return &durableJob{n: n, id: id, spec: spec, inputs: inputs, machine: compute.NewDurable(n.self.Peer), wake: make(chan struct{}, 1)}
}

// stuck reports whether this peer cannot commit what it has.
func (j *durableJob) stuck() bool {
	since := j.results.Load()
	return since != 0 && time.Since(time.Unix(0, since)) > durableStuck
}

func (j *durableJob) nudge() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// heard takes in a version of the register that somebody knows.
func (j *durableJob) heard(version uint64) {
	if version > j.newest.Load() {
		j.newest.Store(version)
		j.nudge()
	}
}

// submitDurable starts a durable job and returns its ID when its register says that
// this peer owns it: from then on it outlives this peer. Keys says that its inputs are
// keys.
func (n *Node) submitDurable(ctx context.Context, spec compute.Spec, keys bool, by chord.PeerID) (compute.ID, error) {
	if len(spec.Inputs) > compute.MaxDurable {
		return compute.ID{}, usage("submit: a durable job has at most %d tasks, not %d", compute.MaxDurable, len(spec.Inputs))
	}
	for i, in := range spec.Inputs {
		if len(in) > maxDurableBlob {
			return compute.ID{}, submitError(fmt.Errorf("%w: input %d of a durable job has %d bytes, the limit is %d", compute.ErrTooLarge, i, len(in), maxDurableBlob))
		}
	}
	var id compute.ID
	rand.Read(id[:]) // it does not fail
	j := newDurableJob(n, id, wire.DurableSpec{
		Code: spec.Code, Limits: spec.Limits, Tasks: len(spec.Inputs), Submitted: time.Now(),
		Priority: spec.Priority, Verify: spec.Verify, Retries: spec.MaxErrors - 1, Keys: keys, Deadline: spec.Deadline, Submitter: by,
	}, spec.Inputs)
	step, err := j.machine.Open(spec.Code, len(spec.Inputs))
	if err != nil {
		return id, submitError(err)
	}
	if err := j.store(ctx); err != nil {
		return id, fmt.Errorf("store durable job: %w", err)
	}
	if err := j.start(ctx); err != nil {
		return id, submitError(err)
	}
	if step, err = j.settle(ctx, step); err == nil && step.Kind != compute.DurableIdle {
		err = errors.New("its register is in use")
	}
	if err != nil {
		j.stop()
		return id, fmt.Errorf("open durable job: %w", err)
	}
	return id, n.durables.own(j)
}

// store puts what the job is into the store.
func (j *durableJob) store(ctx context.Context) error {
	for at := 0; at < len(j.inputs); j.spec.Inputs++ {
		end, size := at, 0
		for end < len(j.inputs) && (end == at || size+len(j.inputs[end]) <= durableBytes) {
			size += len(j.inputs[end]) + 8
			end++
		}
		if err := j.put(ctx, fmt.Sprintf("in/%d", j.spec.Inputs), wire.AppendDurableInputs(nil, j.inputs[at:end])); err != nil {
			return err
		}
		at = end
	}
	return j.put(ctx, "spec", wire.AppendDurableSpec(nil, &j.spec))
}

// put writes a record of the job.
func (j *durableJob) put(ctx context.Context, name string, value []byte) error {
	key := j.id.String() + "/" + name
	_, err := j.n.write(ctx, "", store.Record{
		Namespace: durableSpace, Key: key, Position: store.Route(durableSpace, key),
		Value: value, Expires: j.spec.Submitted.Add(durableLife).UnixMilli(),
	}, store.LevelQuorum)
	return err
}

// batchName names the record of a batch of results.
func batchName(epoch, seq uint64) string { return fmt.Sprintf("out/%d.%d", epoch, seq) }

// claimDurable makes this peer the owner of a job that has none that works at it. It
// returns nil if there is nothing to do any more.
func (n *Node) claimDurable(ctx context.Context, id compute.ID) (*durableJob, error) {
	version, value, err := n.readDurable(ctx, id)
	if err != nil {
		return nil, err
	}
	spec, inputs, err := n.loadDurable(ctx, id)
	if errors.Is(err, ErrNotFound) {
		// It is older than its inputs are kept: nobody can finish it.
		return nil, n.cancelDurable(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	j := newDurableJob(n, id, spec, inputs)
	step, err := j.machine.Claim(version, value)
	if err == nil {
		step, err = j.settle(ctx, step)
	}
	if err != nil || step.Kind != compute.DurableIdle {
		return nil, err
	}
	return j, nil
}

// loadDurable reads what a job is.
func (n *Node) loadDurable(ctx context.Context, id compute.ID) (spec wire.DurableSpec, inputs [][]byte, err error) {
	rec, err := n.lookUp(ctx, durableSpace, id.String()+"/spec", store.LevelQuorum)
	if err == nil {
		spec, err = wire.ParseDurableSpec(rec.Value)
	}
	for i := 0; i < spec.Inputs && err == nil; i++ {
		var part [][]byte
		if rec, err = n.lookUp(ctx, durableSpace, fmt.Sprintf("%s/in/%d", id, i), store.LevelQuorum); err == nil {
			part, err = wire.ParseDurableInputs(rec.Value)
		}
		inputs = append(inputs, part...)
	}
	if err == nil && len(inputs) != spec.Tasks {
		err = fmt.Errorf("durable job of %d tasks has %d inputs", spec.Tasks, len(inputs))
	}
	return spec, inputs, err
}

// start hands the tasks that have no result to the scheduler.
func (j *durableJob) start(ctx context.Context) error {
	left := j.machine.Ledger().Left()
	spec := compute.Spec{
		Code: j.spec.Code, Limits: j.spec.Limits, Inputs: make([][]byte, len(left)),
		Priority: j.spec.Priority, Verify: j.spec.Verify, MaxErrors: 1 + j.spec.Retries, Deadline: j.spec.Deadline,
	}
	for i, index := range left {
		spec.Inputs[i] = j.inputs[index]
	}
	if j.spec.Keys {
		spec.Near = j.n.nearKeys(ctx, spec.Inputs)
	}
	task, err := j.n.tasks.submit(ctx, spec)
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.task, j.indexes = task, left
	j.mu.Unlock()
	j.n.durables.works(j, task)
	j.nudge()
	return nil
}

// known returns the ledger as the machine knows it.
func (j *durableJob) known() compute.Ledger {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ledger
}

// under returns by which of the scheduler's jobs it is worked at.
func (j *durableJob) under() (task compute.ID, indexes []uint32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.task, j.indexes
}

// stop takes the tasks back, and forgets them.
func (j *durableJob) stop() {
	var refused error
	err := j.n.tasks.act(j.n.ctx, func(core scheduler, now time.Time) (out compute.Output) {
		out, refused = core.Cancel(now, j.task)
		core.Forget(j.task)
		return out
	})
	if err = errors.Join(err, refused); err != nil && !errors.Is(err, compute.ErrNoJob) && j.n.ctx.Err() == nil {
		j.n.log.Error("take back the tasks of a durable job", "job", j.id.String(), "err", err)
	}
	j.n.durables.worked(j.task)
}

// run works at the job until it is final, or another peer's.
func (j *durableJob) run(ctx context.Context) {
	defer j.n.durables.drop(j)
	var step compute.DurableStep
	var err error
	for err == nil && step.Kind == compute.DurableIdle {
		step, err = j.work(ctx)
		if err != nil && ctx.Err() == nil {
			j.n.log.Warn("work at durable job", "job", j.id.String(), "err", err)
			if sleep(ctx, durablePoll) {
				err = nil
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	j.stop()
	if step.Kind == compute.DurableLost {
		j.n.log.Info("durable job is another peer's now", "job", j.id.String(), "owner", j.n.label(j.machine.Ledger().Owner))
	}
}

// work waits for something to do, and does it.
func (j *durableJob) work(ctx context.Context) (compute.DurableStep, error) {
	if j.task == (compute.ID{}) {
		if err := j.start(ctx); err != nil {
			return compute.DurableStep{}, err
		}
	}
	select {
	case <-j.wake:
	case <-ctx.Done():
		return compute.DurableStep{}, ctx.Err()
	}
	if j.newest.Load() > j.version.Load() {
		version, value, err := j.n.readDurable(ctx, j.id)
		if err != nil {
			j.nudge()
			return compute.DurableStep{}, err
		}
		step, err := j.machine.Read(version, value)
		j.version.Store(version)
		if err != nil || step.Kind != compute.DurableIdle {
			return step, err
		}
	}
	if !sleep(ctx, durableGather) {
		return compute.DurableStep{}, ctx.Err()
	}
	fresh, known, err := j.fresh(ctx)
	if err != nil {
		return compute.DurableStep{}, err
	}
	if !known { // the scheduler has no room for what ended: what was not read runs again
		j.n.durables.worked(j.task)
		j.mu.Lock()
		j.task = compute.ID{}
		j.mu.Unlock()
		j.nudge()
		return compute.DurableStep{}, nil
	}
	for len(fresh) > 0 {
		n, size := 0, 0
		for n < len(fresh) && (n == 0 || size+sizeOfResult(&fresh[n]) <= durableBytes) {
			size += sizeOfResult(&fresh[n])
			n++
		}
		step, err := j.commit(ctx, fresh[:n])
		if err != nil || step.Kind != compute.DurableIdle {
			j.nudge()
			return step, err
		}
		fresh = fresh[n:]
	}
	return compute.DurableStep{}, nil
}

func sizeOfResult(r *wire.DurableResult) int {
	size := 128 + len(r.Output) + len(r.Err) + len(r.Log)
	for _, a := range r.History {
		size += 128 + len(a.Err)
	}
	return size
}

// fresh returns the results that are not committed.
func (j *durableJob) fresh(ctx context.Context) (fresh []wire.DurableResult, known bool, err error) {
	left := j.machine.Ledger().Left()
	err = j.n.tasks.look(ctx, func(core scheduler) {
		_, known = core.Job(j.task)
		for i, st := range core.Tasks(j.task, 0, len(j.indexes)) {
			if _, open := slices.BinarySearch(left, j.indexes[i]); open && st.State.Final() {
				fresh = append(fresh, j.resultOf(j.indexes[i], &st))
			}
		}
	})
	return fresh, known, err
}

// resultOf returns the result of a task that is final.
func (j *durableJob) resultOf(index uint32, st *compute.TaskStatus) wire.DurableResult {
	r := wire.DurableResult{Index: index, Peer: st.Peer, Attempts: st.Tries, Votes: st.Votes}
	if st.Result != nil {
		r.Output, r.Err, r.Log, r.Elapsed = st.Result.Output, st.Result.Err, st.Result.Log, st.Result.Elapsed
		r.Started, r.Worker = st.Result.Started, st.Result.Worker
	}
	if st.State == compute.TaskCancelled && r.Err == "" {
		r.Err = "cancelled"
	}
	failed := r.Err != ""
	for _, a := range st.Attempts {
		failed = failed || a.Err != ""
		if a.Copy > 0 && j.spec.Verify == 0 {
			r.Backup, r.Overtook = true, r.Overtook || a.Outcome == compute.OutcomeOK || a.Outcome == compute.OutcomeForked
		}
	}
	if failed {
		r.History = slices.Clone(st.Attempts)
	}
	if sizeOfResult(&r) > maxDurableBlob {
		r.History = nil
	}
	if sizeOfResult(&r) > maxDurableBlob {
		r.Err = fmt.Sprintf("output of %d bytes and log of %d are more than the %d that a durable job keeps of a task", len(r.Output), len(r.Log), maxDurableBlob)
		r.Output, r.Log = nil, nil
	}
	return r
}

// commit stores results and has the register list them.
func (j *durableJob) commit(ctx context.Context, results []wire.DurableResult) (compute.DurableStep, error) {
	j.results.CompareAndSwap(0, time.Now().UnixNano())
	indexes, failed := make([]uint32, len(results)), 0
	for i := range results {
		if indexes[i] = results[i].Index; results[i].Err != "" {
			failed++
		}
	}
	if err := j.put(ctx, batchName(j.machine.Epoch(), j.machine.Next()), wire.AppendDurableResults(nil, results)); err != nil {
		return compute.DurableStep{}, err
	}
	step, err := j.machine.Commit(indexes, failed)
	if err != nil {
		return step, err
	}
	if step, err = j.settle(ctx, step); err == nil {
		j.results.Store(0)
	}
	return step, err
}

// settle does what the machine wants until it wants nothing more.
func (j *durableJob) settle(ctx context.Context, step compute.DurableStep) (compute.DurableStep, error) {
	step, err := j.n.settleDurable(ctx, j.id, j.machine, step)
	j.version.Store(j.machine.Version())
	j.mu.Lock()
	j.ledger = *j.machine.Ledger()
	j.mu.Unlock()
	return step, err
}
