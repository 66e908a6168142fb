package compute

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// owner is the part of a scheduler that keeps the state of the jobs submitted
// at this peer.
type owner struct {
	jobs    map[ID]*job
	order   []*job // by time of submission
	done    []*job // finished, oldest first
	tasks   map[ID]*owned
	left    int   // unfinished tasks
	bytes   int64 // inputs of unfinished tasks
	history int64 // bytes of results of finished jobs
	counter uint64
	leaseAt instant // no lease runs out before
	namedAt instant // when to look for tasks that holders do not name
	endAt   instant // no deadline passes before
	lagAt   instant // when to look for stragglers
}

func newOwner() owner {
	return owner{jobs: make(map[ID]*job), tasks: make(map[ID]*owned), leaseAt: never, endAt: never, lagAt: never}
}

type job struct {
	id         ID
	code       Code
	maxErrors  int
	tasks      []owned
	spawned    int // tasks into which others were divided
	left       int
	count      [taskStates]int
	folded     [taskStates]int // parts that are forgotten since they were joined
	copied     [taskStates]int // copies that are not forgotten; no other count has them
	verify     uint8           // copies of each task, 0: none
	near       int             // tasks that were done at a peer that they name
	times      spans           // that runs took whose results count
	backups    int             // copies of stragglers
	underWay   int             // of those
	backupsWon int             // of those, the ones that were first
	byPeer     map[chord.PeerID]int
	bytes      int64 // of results
	submitted  time.Time
	deadline   time.Time // zero: none
	finished   time.Time
	cancelled  bool
	expired    bool // ended by its deadline
	touched    bool // listed in Output.Changed already
}

// owned is the owner's record of a task. While it is not final, exactly one
// attempt is current, and at says who has it.
type owned struct {
	job      *job
	task     Task // as the current attempt left this peer
	state    TaskState
	at       *peer   // nil: this peer
	running  bool    // at a peer that said so
	since    instant // when it was first known to run
	named    instant // when its holder was last known to have it
	errors   int
	crashes  int
	lost     int
	attempts []Attempt // ended ones
	parent   *owned    // the task that it is a part of; nil: the job's own
	of       *owned    // the task that it is a copy of; nil: of none
	copies   []*owned  // of it, the first ones first
	tries    int       // attempts of copies so far
	votes    []Vote    // of the copies, once they are counted
	parts    []owned   // that it was divided into
	open     int       // parts that are not final
	forker   *peer     // who divided it; nil: this peer
	division [8]byte   // in which way
	result   Result    // of the attempt that settled it
	left     time.Time // when a thief took the current attempt from here; zero: none did
}

// settled reports whether no attempt at the task is current: it is final, or it
// waits for its parts.
func (o *owned) settled() bool { return o.state.Final() || o.state == TaskForked }

// MaxRetries bounds how often a task runs again after errors of its code: so often it can
// avoid every peer that it failed at.
const MaxRetries = MaxAvoid

// Spec describes a job: one task for each input.
type Spec struct {
	Code   Code
	Inputs [][]byte
	Limits Limits
	// Near, if not nil, has for each input the peers, at most MaxNear, that should run its
	// task; see [Task].
	Near [][]chord.PeerID
	// MaxErrors is how often the code may return an error before a task fails, or a
	// copy of it if Verify is set: up to MaxRetries + 1; zero means Config.MaxErrors.
	MaxErrors int
	// Priority of the job's tasks where they wait beside others; see [Task].
	Priority int8
	// Verify, if not 0, has each task run by so many different peers, at most
	// MaxVerify, and takes what more than half of them answer.
	Verify int
	// Deadline is when the job ends although tasks are left, by the clock that
	// Submit is called with; zero: never.
	Deadline time.Time
}

func (s *Spec) near(i int) []chord.PeerID {
	if i < len(s.Near) {
		return s.Near[i]
	}
	return nil
}

// Errors of Submit and of calls that name a job. They are wrapped with the reason.
var (
	ErrBadSpec   = errors.New("bad job")
	ErrTooLarge  = errors.New("input too large")
	ErrQueueFull = errors.New("queue full")
	ErrNoJob     = errors.New("no such job")
	ErrDraining  = errors.New("peer is stopping")
)

// Submit starts a job and returns its ID. Inputs are kept, not copied. Errors
// wrap ErrBadSpec, ErrTooLarge, ErrQueueFull or ErrDraining.
func (s *Scheduler) Submit(now time.Time, spec Spec) (ID, Output, error) {
	s.advance(now)
	bytes, err := s.admit(&spec)
	if err != nil {
		return ID{}, s.settle(), err
	}
	s.trimHistory()
	j := s.newJob(now, &spec)
	s.owner.left += len(j.tasks)
	s.owner.bytes += bytes
	hands := make([]held, len(j.tasks))
	var placed []*held
	for i := range j.tasks {
		o := &j.tasks[i]
		s.owner.tasks[o.task.ID] = o
		if j.verify > 0 {
			s.setState(o, TaskForked, nil)
			s.nextCopy(o)
			continue
		}
		hands[i].task = o.task
		if len(o.task.Near) > 0 {
			placed = append(placed, &hands[i])
			continue
		}
		s.enqueue(&hands[i], false)
	}
	if len(placed) > 0 {
		s.place(placed)
	}
	s.changed(j)
	s.watchDeadline(j)
	s.expireJobs()
	return j.id, s.settle(), nil
}

// admit checks a job against the limits and returns the bytes of its inputs.
func (s *Scheduler) admit(spec *Spec) (int64, error) {
	if s.draining {
		return 0, fmt.Errorf("%w: it takes no jobs", ErrDraining)
	}
	if len(spec.Inputs) == 0 {
		return 0, fmt.Errorf("%w: no inputs, so no tasks", ErrBadSpec)
	}
	if err := spec.Code.validate(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBadSpec, err)
	}
	if spec.MaxErrors < 0 || spec.MaxErrors > MaxRetries+1 {
		return 0, fmt.Errorf("%w: a task may fail %d times, the limit is %d", ErrBadSpec, spec.MaxErrors, MaxRetries+1)
	}
	if err := spec.Limits.validate(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBadSpec, err)
	}
	if spec.Priority < -MaxPriority || spec.Priority > MaxPriority {
		return 0, fmt.Errorf("%w: priority %d, want %d to %d", ErrBadSpec, spec.Priority, -MaxPriority, MaxPriority)
	}
	if spec.Verify < 0 || spec.Verify > MaxVerify {
		return 0, fmt.Errorf("%w: verified by %d peers, the limit is %d", ErrBadSpec, spec.Verify, MaxVerify)
	}
	var bytes int64
	for i, in := range spec.Inputs {
		if len(in) > s.cfg.MaxInput {
			return 0, fmt.Errorf("%w: input %d has %s, the limit is %s", ErrTooLarge, i, bytesOf(len(in)), bytesOf(s.cfg.MaxInput))
		}
		bytes += int64(taskOverhead + len(in) + sizeOfPeers(spec.near(i)))
	}
	if spec.Near != nil && len(spec.Near) != len(spec.Inputs) {
		return 0, fmt.Errorf("%w: peers near %d inputs of %d", ErrBadSpec, len(spec.Near), len(spec.Inputs))
	}
	for _, near := range spec.Near {
		if len(near) > MaxNear || slices.ContainsFunc(near, func(p chord.PeerID) bool { return len(p) > MaxPeerID }) {
			return 0, fmt.Errorf("%w: %d peers near, the limit is %d", ErrBadSpec, len(near), MaxNear)
		}
	}
	if n := len(spec.Inputs); s.owner.left+n > s.cfg.MaxTasks {
		return 0, fmt.Errorf("%w: %d tasks wait or run and %d more would pass the limit of %d", ErrQueueFull, s.owner.left, n, s.cfg.MaxTasks)
	}
	if s.owner.bytes+bytes > s.cfg.MaxBytes {
		return 0, fmt.Errorf("%w: inputs of unfinished tasks take %s and %s more would pass the limit of %s",
			ErrQueueFull, bytesOf(s.owner.bytes), bytesOf(bytes), bytesOf(s.cfg.MaxBytes))
	}
	return bytes, nil
}

func (s *Scheduler) newJob(now time.Time, spec *Spec) *job {
	s.owner.counter++
	j := &job{
		id:        jobID(s.cfg.Self, s.cfg.Session, s.owner.counter, s.rng.Uint64()),
		code:      spec.Code,
		maxErrors: spec.MaxErrors,
		verify:    uint8(spec.Verify),
		tasks:     make([]owned, len(spec.Inputs)),
		left:      len(spec.Inputs),
		byPeer:    make(map[chord.PeerID]int),
		submitted: now,
		deadline:  spec.Deadline,
	}
	if j.maxErrors == 0 {
		j.maxErrors = s.cfg.MaxErrors
	}
	for i, in := range spec.Inputs {
		j.tasks[i] = owned{job: j, state: TaskQueued, task: Task{
			ID: TaskID(j.id, ID{}, uint32(i)), Job: j.id, Index: uint32(i),
			Code: spec.Code, Input: in, Limits: spec.Limits, Owner: s.cfg.Self, Attempt: 1,
			Priority: spec.Priority, Near: spec.near(i),
		}}
	}
	j.count[TaskQueued] = len(j.tasks)
	s.owner.jobs[j.id] = j
	s.owner.order = append(s.owner.order, j)
	return j
}

// jobID makes an ID that nobody else has and nobody can foresee.
func jobID(self chord.PeerID, session, n, nonce uint64) ID {
	b := binary.BigEndian.AppendUint64(nil, session)
	b = binary.BigEndian.AppendUint64(b, n)
	b = binary.BigEndian.AppendUint64(b, nonce)
	h := sha256.Sum256(append(b, self...))
	return ID(h[:16])
}

// Cancel ends a job: what has not finished is cancelled, here and elsewhere.
// A job that is final already stays as it is.
func (s *Scheduler) Cancel(now time.Time, id ID) (Output, error) {
	s.advance(now)
	j := s.owner.jobs[id]
	if j == nil {
		return s.settle(), fmt.Errorf("cancel %s: %w", id, ErrNoJob)
	}
	if j.left == 0 {
		return s.settle(), nil
	}
	j.cancelled = true
	s.endJob(j, "")
	return s.settle(), nil
}

// endJob cancels what is left of a job, here and elsewhere; why, if not empty, is
// the error of those tasks.
func (s *Scheduler) endJob(j *job, why string) {
	var away []*peer
	var open []*owned
	j.each(func(o *owned) {
		if o.state.Final() {
			return
		}
		open = append(open, o)
		if o.at != nil && !slices.Contains(away, o.at) {
			away = append(away, o.at)
		}
	})
	s.cancelAll(open, why)
	for _, p := range away {
		s.send(p, Message{Kind: KindCancel, Job: j.id})
	}
}

// changed lists a job in the output, once.
func (s *Scheduler) changed(j *job) {
	if !j.touched {
		j.touched = true
		s.out.Changed = append(s.out.Changed, j.id)
	}
}

// setState moves a task from one state to another and keeps the counts.
func (s *Scheduler) setState(o *owned, state TaskState, at *peer) {
	count := &o.job.count
	if o.of != nil {
		count = &o.job.copied
	}
	count[o.state]--
	count[state]++
	o.state = state
	o.running, o.since = false, s.now
	s.setAt(o, at)
	s.changed(o.job)
	s.watchStragglers(o.job)
}

func (s *Scheduler) setAt(o *owned, at *peer) {
	if o.at == at {
		return
	}
	if o.at != nil {
		o.at.away--
	}
	o.at = at
	if at == nil {
		return
	}
	if at.away == 0 {
		at.heard = s.now // the lease begins
	}
	at.away++
	o.named = s.now
	s.owner.leaseAt = min(s.owner.leaseAt, s.now+s.cfg.Lease)
}

// ownStarted notes that a worker of this peer runs an own task.
func (s *Scheduler) ownStarted(h *held) {
	if o := s.owner.tasks[h.task.ID]; o != nil {
		s.setState(o, TaskRunning, nil)
		s.pinned(o)
	}
}

// pinned notes that a task runs where it is: it does not move any more.
func (s *Scheduler) pinned(o *owned) {
	if o.of != nil && o.job.verify > 0 {
		s.nextCopy(o.of)
	}
}

// ownGiven notes that a thief takes an own task.
func (s *Scheduler) ownGiven(h *held, p *peer) {
	o := s.owner.tasks[h.task.ID]
	o.task.Hop = h.task.Hop
	o.left = s.start.Add(s.now + s.stalled)
	s.setState(o, TaskAway, p)
}

// ownCameHome takes back an own task that this peer has stolen.
func (s *Scheduler) ownCameHome(t *Task) {
	o := s.owner.tasks[t.ID]
	if o == nil || o.settled() || o.task.Attempt != t.Attempt || t.Hop <= o.task.Hop || s.holder.held[t.ID] != nil {
		s.stats.Stale++
		return
	}
	s.stats.StolenIn++
	o.task.Hop = t.Hop
	s.setState(o, TaskQueued, nil)
	s.enqueue(&held{task: o.task}, true)
}

// onHold handles a holder's report: it has these tasks. What the owner knows
// better is to be dropped there.
func (s *Scheduler) onHold(p *peer, m *Message) {
	var drop []Ref
	for _, r := range m.Refs {
		if !s.locate(p, r) {
			drop = append(drop, Ref{Task: r.Task, Attempt: r.Attempt, Hop: r.Hop})
		}
	}
	s.send(p, Message{Kind: KindHeld, Seq: m.Seq, Refs: drop})
}

// locate notes where an attempt is and reports whether it is still wanted there.
func (s *Scheduler) locate(p *peer, r Ref) bool {
	o := s.owner.tasks[r.Task]
	if o == nil || o.settled() || o.task.Attempt != r.Attempt {
		return false
	}
	moved := r.Hop > o.task.Hop
	switch {
	case o.at == nil:
		return false // it is here: that attempt was never given away, or came home
	case int(r.Hop) > s.cfg.MaxHops+1:
		return false // the last one is for who takes it back; see reclaim
	case o.at == p && r.Hop >= o.task.Hop:
	case moved && !p.hoards:
		s.setState(o, TaskAway, p)
	default:
		return false
	}
	o.task.Hop, o.named = r.Hop, s.now
	if r.Running != o.running && (r.Running || moved) { // a run does not go back to the queue
		o.running, o.since = r.Running, s.now
		s.changed(o.job)
		if o.running {
			s.pinned(o)
		}
	}
	return true
}

// onReturn takes tasks back from a holder that stops.
func (s *Scheduler) onReturn(p *peer, m *Message) {
	for _, r := range m.Refs {
		if s.locate(p, r) {
			s.ownReturned(r.Task, r.Attempt, p, "returned by a stopping peer")
		}
	}
	s.send(p, Message{Kind: KindHeld, Seq: m.Seq, Refs: m.Refs})
}

// onResult handles outcomes from a holder. All are acknowledged, whether they
// still count or not.
func (s *Scheduler) onResult(p *peer, m *Message) {
	var refused []Ref
	for i := range m.Results {
		r := m.Results[i]
		r.Peer = p.id
		s.bound(&r)
		if !s.outcome(p, &r) && len(r.Fork) > 0 {
			refused = append(refused, Ref{Task: r.Task, Attempt: r.Attempt})
		}
	}
	for _, r := range m.Refs {
		s.locate(p, r)
	}
	s.send(p, Message{Kind: KindSettled, Seq: m.Seq, Refs: refused})
}
