package compute

import (
	"cmp"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// maxAttempts bounds the ended attempts that are kept of a task: the first
// and the latest.
const maxAttempts = 16

// outcome applies the result of an attempt, run at p or here. Only the current
// attempt of an unfinished task counts; anything else changes nothing. It reports
// whether the result counts, now or when it came before.
func (s *Scheduler) outcome(p *peer, r *Result) bool {
	o := s.owner.tasks[r.Task]
	switch {
	case o == nil:
		s.stats.Unknown++
		return false
	case o.settled() || o.task.Attempt != r.Attempt:
		s.stats.Stale++
		return o.state == TaskForked && o.task.Attempt == r.Attempt && o.forker == p && len(r.Fork) > 0 && o.division == divisionOf(r)
	}
	if p != nil {
		s.learnCost(o.task.kind(), r.Elapsed)
	}
	switch {
	case o.of != nil && o.job.verify > 0 && o.answeredBy(r.Peer):
		s.endAttempt(o, r.Peer, OutcomeReturned, &Result{Err: "that peer has answered for another copy"})
		s.again(o, "")
		return false
	case o.of != nil && r.OK() && len(r.Fork) > 0:
		s.copyForked(o, r)
		return false
	case r.Crashed:
		o.crashes++
		s.endAttempt(o, r.Peer, OutcomeCrashed, r)
		o.result = *r
		if o.crashes >= s.cfg.MaxCrashes {
			s.finish(o, TaskFailed)
			break
		}
		s.again(o, r.Peer)
	case r.Err != "":
		o.errors++
		s.endAttempt(o, r.Peer, OutcomeError, r)
		o.result = *r
		if o.errors >= o.job.maxErrors {
			s.finish(o, TaskFailed)
			break
		}
		s.again(o, r.Peer)
	case len(r.Fork) > 0:
		if h := s.holder.held[o.task.ID]; h != nil {
			s.unhold(h)
		}
		s.fork(o, p, r)
		return o.state == TaskForked
	case o.job.bytes+int64(r.size()) > s.cfg.MaxJobOutput:
		r.Output, r.Err = nil, "results of the job pass the limit of "+bytesOf(s.cfg.MaxJobOutput)
		s.endAttempt(o, r.Peer, OutcomeError, r)
		o.result = *r
		s.finish(o, TaskFailed)
	default:
		s.endAttempt(o, r.Peer, OutcomeOK, r)
		o.result = *r
		o.job.times.add(r.Elapsed)
		if o.of == nil {
			o.job.byPeer[r.Peer]++
		}
		if o.task.isNear(r.Peer) && o.of == nil {
			o.job.near++
		}
		s.finish(o, TaskDone)
	}
	return true
}

// whoHas names the peer that the current attempt is thought to be at.
func (s *Scheduler) whoHas(o *owned) chord.PeerID {
	if o.at != nil {
		return o.at.id
	}
	return s.cfg.Self
}

// endAttempt records how the current attempt ended; that of a copy with the task that
// it is a copy of.
func (s *Scheduler) endAttempt(o *owned, at chord.PeerID, outcome Outcome, r *Result) {
	a := Attempt{N: o.task.Attempt, Peer: at, Outcome: outcome}
	if r != nil {
		a.Err, a.Elapsed, a.Started, a.Worker = r.Err, r.Elapsed, r.Started, r.Worker
	}
	a.Left, o.left = o.left, time.Time{}
	if o.of != nil {
		a.Copy = int(o.task.Index) + 1
		o = o.of
	}
	if len(o.attempts) == maxAttempts {
		o.attempts = slices.Delete(o.attempts, 1, 2)
	}
	o.attempts = append(o.attempts, a)
}

// again queues a task for its next attempt, away from the peer where it
// failed, if any.
func (s *Scheduler) again(o *owned, failedAt chord.PeerID) {
	if h := s.holder.held[o.task.ID]; h != nil {
		s.unhold(h)
	}
	o.task.Attempt++
	o.task.Hop = 0
	switch {
	case o.of != nil:
		o.of.tries++
		o.task.Avoid = s.siblingsAt(o)
	case failedAt != "" && !slices.Contains(o.task.Avoid, failedAt) && len(o.task.Avoid) < MaxAvoid:
		o.task.Avoid = append(slices.Clip(o.task.Avoid), failedAt)
	}
	s.setState(o, TaskQueued, nil)
	s.stats.Reruns++
	s.enqueue(&held{task: o.task}, true)
}

// finish makes a task final and, with the last one, its job.
func (s *Scheduler) finish(o *owned, state TaskState) {
	if h := s.holder.held[o.task.ID]; h != nil {
		s.unhold(h)
	}
	s.setState(o, state, nil)
	j := o.job
	j.bytes += int64(o.result.size())
	if o.of != nil {
		o.task.Input, o.task.Parts, o.task.Avoid = nil, nil, nil
		if j.verify == 0 {
			j.underWay--
		}
		s.copyEnded(o)
		return
	}
	s.owner.bytes -= int64(o.task.size())
	s.owner.left--
	o.task.Input, o.task.Parts, o.task.Avoid = nil, nil, nil
	j.left--
	if len(o.parts)+len(o.copies) > 0 {
		s.cancelParts(o)
	}
	if o.parent != nil {
		s.partEnded(o)
		return
	}
	if j.left > 0 {
		return
	}
	j.finished = s.start.Add(s.now + s.stalled)
	s.owner.history += j.bytes
	s.owner.done = append(s.owner.done, j)
	s.out.Finished = append(s.out.Finished, j.id)
}

// trimHistory forgets the jobs that finished longest ago, beyond the limits.
// It makes room for a new job, so that a driver can always read what has just
// finished. The latest one stays in any case.
func (s *Scheduler) trimHistory() {
	w := &s.owner
	for len(w.done) > 1 && (len(w.done) > s.cfg.MaxHistory || w.history > s.cfg.HistoryBytes) {
		s.forget(w.done[0])
	}
}

// Forget drops a finished job and its results. It reports whether there was
// such a job.
func (s *Scheduler) Forget(id ID) bool {
	j := s.owner.jobs[id]
	if j == nil || j.left > 0 {
		return false
	}
	s.forget(j)
	return true
}

func (s *Scheduler) forget(j *job) {
	w := &s.owner
	for i := range j.tasks {
		delete(w.tasks, j.tasks[i].task.ID)
	}
	delete(w.jobs, j.id)
	is := func(x *job) bool { return x == j }
	w.order = slices.DeleteFunc(w.order, is)
	w.done = slices.DeleteFunc(w.done, is)
	w.history -= j.bytes
}

// ownReturned queues an own task again that came back unharmed.
func (s *Scheduler) ownReturned(id ID, attempt uint32, from *peer, why string) {
	o := s.owner.tasks[id]
	if o == nil || o.settled() || o.task.Attempt != attempt || o.at != from {
		return
	}
	s.endAttempt(o, from.id, OutcomeReturned, &Result{Err: why})
	s.again(o, "")
}

// byPeerSorted lists how many tasks of a job each peer did, most first.
func (j *job) byPeerSorted() []PeerCount {
	counts := make([]PeerCount, 0, len(j.byPeer))
	for p, n := range j.byPeer {
		counts = append(counts, PeerCount{p, n})
	}
	slices.SortFunc(counts, func(a, b PeerCount) int {
		return cmp.Or(cmp.Compare(b.Tasks, a.Tasks), cmp.Compare(a.Peer, b.Peer))
	})
	return counts
}
