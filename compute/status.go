package compute

import (
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// TaskState is where a task stands, as its owner knows it.
type TaskState uint8

// The states. The last three are final.
const (
	TaskQueued    TaskState = iota // waits at the owner
	TaskRunning                    // runs at the owner
	TaskAway                       // waits or runs at another peer
	TaskForked                     // waits for the parts that it was divided into, or for copies that verify it
	TaskDone                       // succeeded
	TaskFailed                     // failed for good
	TaskCancelled                  // cancelled before it finished

	taskStates = int(TaskCancelled) + 1
)

// String returns the state's name in lower case.
func (t TaskState) String() string {
	return [...]string{"queued", "running", "away", "forked", "done", "failed", "cancelled"}[t]
}

// Final reports whether the task will not change any more.
func (t TaskState) Final() bool { return t >= TaskDone }

// Outcome is how an attempt ended.
type Outcome string

// The outcomes.
const (
	OutcomeOK        Outcome = "ok"
	OutcomeForked    Outcome = "forked"    // the code divided the task
	OutcomeError     Outcome = "error"     // the code returned an error
	OutcomeCrashed   Outcome = "crashed"   // the machinery failed
	OutcomeLost      Outcome = "lost"      // its peer went down or silent
	OutcomeReturned  Outcome = "returned"  // its peer did not want it
	OutcomeCancelled Outcome = "cancelled" // with its job
	OutcomeOvertaken Outcome = "overtaken" // another copy of the task was first
)

// Attempt is one try at a task that has ended.
type Attempt struct {
	N       uint32
	Peer    chord.PeerID
	Outcome Outcome
	Err     string
	Elapsed time.Duration
	Started time.Time // by the clock of Peer; zero: not known
	Worker  uint16    // of Peer, from 0
	Left    time.Time // when it was taken from the owner's queue by a thief; zero: it was not
	Copy    int       // of the task, from 1; 0: the task itself
}

// JobState sums up a job.
type JobState string

// The states of a job. A job waits when tasks are left and nothing can
// happen to any of them for now.
const (
	JobRunning   JobState = "running"
	JobWaiting   JobState = "waiting"
	JobDone      JobState = "done"
	JobFailed    JobState = "failed" // at least one task failed
	JobCancelled JobState = "cancelled"
	JobExpired   JobState = "expired" // its deadline passed before all tasks were done
)

// PeerCount is how many tasks of a job a peer did.
type PeerCount struct {
	Peer  chord.PeerID
	Tasks int
}

// JobStatus is a job at a glance. The counts add up to Tasks, those into which
// tasks were divided included.
type JobStatus struct {
	ID        ID
	Code      Code
	State     JobState
	Why       string // why it waits
	Able      int    // if it waits: peers known, this one included, that can run its tasks
	Tasks     int
	Queued    int
	Running   int // at this peer
	Away      int // waiting or running at other peers
	Forked    int // waiting for their parts, or for copies
	Done      int
	Failed    int
	Cancelled int
	ByPeer    []PeerCount // who did the tasks that are done, most first
	Verify    int         // peers that run each task, 0: one is enough
	Near      int         // tasks that were done at a peer that they name as near
	Backups   int         // copies of stragglers so far
	Overtook  int         // of those, the ones that were first
	Priority  int8
	Submitted time.Time
	Deadline  time.Time // zero: none
	Finished  time.Time // zero while unfinished
}

// TaskStatus is all that the owner knows of one task.
type TaskStatus struct {
	ID       ID
	Index    uint32
	State    TaskState
	Peer     chord.PeerID // who has it, or settled it
	Running  bool         // it was running when Peer last told
	Attempts []Attempt    // the first and the latest that ended
	Tries    int          // attempts so far, the current one and those of copies included
	Votes    []Vote       // of a task that was verified. Do not change them
	Result   *Result      // of the last attempt with an outcome; nil if none. Do not change it
}

// Job returns the state of a job that was submitted here and is not forgotten.
func (s *Scheduler) Job(id ID) (JobStatus, bool) {
	j := s.owner.jobs[id]
	if j == nil {
		return JobStatus{}, false
	}
	return s.status(j), true
}

// Jobs returns the jobs submitted here, oldest first.
func (s *Scheduler) Jobs() []JobStatus {
	jobs := make([]JobStatus, len(s.owner.order))
	for i, j := range s.owner.order {
		jobs[i] = s.status(j)
	}
	return jobs
}

// Tasks returns up to n tasks of a job, from an index onward; nil for a job
// that is not known here.
func (s *Scheduler) Tasks(id ID, from, n int) []TaskStatus {
	j := s.owner.jobs[id]
	if j == nil || from < 0 || from >= len(j.tasks) || n <= 0 {
		return nil
	}
	tasks := make([]TaskStatus, min(n, len(j.tasks)-from))
	for i := range tasks {
		tasks[i] = s.taskStatus(&j.tasks[from+i])
	}
	return tasks
}

func (s *Scheduler) status(j *job) JobStatus {
	st := JobStatus{
		ID: j.id, Code: j.code, State: JobRunning, Tasks: len(j.tasks) + j.spawned,
		Queued: j.count[TaskQueued], Running: j.count[TaskRunning], Away: j.count[TaskAway], Forked: j.count[TaskForked],
		Done: j.total(TaskDone), Failed: j.total(TaskFailed), Cancelled: j.total(TaskCancelled),
		ByPeer: j.byPeerSorted(), Priority: j.tasks[0].task.Priority,
		Verify: int(j.verify), Near: j.near, Backups: j.backups, Overtook: j.backupsWon,
		Submitted: j.submitted, Deadline: j.deadline, Finished: j.finished,
	}
	switch {
	case j.left == 0 && j.expired:
		st.State, st.Why = JobExpired, j.late()
	case j.left == 0 && j.cancelled:
		st.State = JobCancelled
	case j.left == 0 && st.Failed > 0:
		st.State = JobFailed
	case j.left == 0:
		st.State = JobDone
	case st.Queued+st.Forked == j.left && j.copied[TaskRunning]+j.copied[TaskAway] == 0:
		if why, able := s.why(j); why != "" {
			st.State, st.Why, st.Able = JobWaiting, why, able
		}
	}
	return st
}

// total counts the tasks that ended in one state.
func (j *job) total(state TaskState) int { return j.count[state] + j.folded[state] }

// why explains why no task of a job is under way, and counts the peers that could
// run one; "" if some soon will be.
func (s *Scheduler) why(j *job) (why string, able int) {
	capability := j.code.Cap()
	what := "the function " + capability
	if capability == CapWASM {
		what = "a sandbox for WebAssembly"
	}
	here := s.holder.queue.has(capability)
	others := 0
	for _, p := range s.peers.all {
		if p.can(capability) {
			others++
		}
	}
	able = others
	if here && s.holder.slots > 0 {
		able++
	}
	switch {
	case able > 0 && able < int(j.verify):
		return fmt.Sprintf("each task is for %d different peers, and %d known here have %s; it goes on when more of them join", j.verify, able, what), able
	case here && s.holder.slots > 0:
		return "", able
	case here:
		return fmt.Sprintf("this peer has no workers, and %s", s.whoCould(what, others)), able
	default:
		return s.whoCould(what, others), able
	}
}

func (s *Scheduler) whoCould(what string, others int) string {
	switch others {
	case 0:
		return fmt.Sprintf("none of the %d other peers known here has %s; the tasks start when one that has it joins", len(s.gossip.known), what)
	case 1:
		return fmt.Sprintf("the one peer known here that has %s is busy", what)
	default:
		return fmt.Sprintf("the %d peers known here that have %s are busy", others, what)
	}
}

func (s *Scheduler) taskStatus(o *owned) TaskStatus {
	st := TaskStatus{
		ID: o.task.ID, Index: o.task.Index, State: o.state, Peer: s.whoHas(o),
		Running: o.running || o.state == TaskRunning, Tries: int(o.task.Attempt) + o.tries, Votes: o.votes,
	}
	if o.job.verify > 0 {
		st.Tries = o.tries
		st.Running = slices.ContainsFunc(o.copies, func(c *owned) bool { return c.running || c.state == TaskRunning })
	}
	st.Attempts = append(st.Attempts, o.attempts...)
	if o.result.Attempt > 0 {
		st.Result = &o.result
		if o.state == TaskDone || o.state == TaskFailed {
			st.Peer = o.result.Peer
		}
	}
	return st
}

// Stats counts what happened since the scheduler was made, and says what is
// in hand now.
type Stats struct {
	Queued  int // tasks that wait here, of any owner
	Running int // workers in use
	Foreign int // of both, the tasks of other peers
	Jobs    int // unfinished jobs submitted here

	Done         uint64 // attempts run to their end here
	StolenIn     uint64 // tasks that came by a steal
	StolenOut    uint64
	Steals       uint64 // asked for by this peer
	StealsFailed uint64
	StealsIn     uint64 // asked of this peer
	Woken        uint64 // wake-ups received
	Reruns       uint64 // further attempts at own tasks
	Lost         uint64 // attempts at own tasks that were lost with their peer
	Stale        uint64 // results and tasks that came too late to count
	Unknown      uint64 // results for tasks that nobody here asked for
	Dropped      uint64 // foreign tasks that their owner had no more use for
	Resent       uint64 // repeats of messages that were not answered
	Refused      uint64 // messages that broke the protocol or came from an earlier life

	Sent     [KindReturn + 1]uint64 // messages by kind
	Received [KindReturn + 1]uint64
}

// Stats returns the counters.
func (s *Scheduler) Stats() Stats {
	st := s.stats
	st.Queued = s.holder.queue.n
	st.Running = len(s.holder.running)
	st.Foreign = s.holder.foreign
	st.Jobs = len(s.owner.order) - len(s.owner.done)
	return st
}
