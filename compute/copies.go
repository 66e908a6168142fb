package compute

import (
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// A task may run in several copies, each on another peer: to have its result
// verified (verify.go), or because the run under way takes suspiciously long
// (straggler.go). A copy is a task with attempts of its own; what it puts out is the
// task's that it is a copy of to use.

// MaxVerify bounds the copies of a task; each must know where the others are.
const MaxVerify = MaxAvoid + 1

// addCopy queues a further copy of a task, at the own end or at the steal end. Its
// number is part of its ID; parts have greater numbers.
func (s *Scheduler) addCopy(o *owned, priority int8, top bool) {
	t := o.task
	t.Index = uint32(len(o.copies))
	t.ID, t.Parent = TaskID(t.Job, o.task.ID, t.Index), o.task.ID
	t.Attempt, t.Hop, t.Priority, t.Apart = 1, 0, priority, true
	c := &owned{job: o.job, of: o, state: TaskQueued, task: t}
	c.task.Avoid = s.siblingsAt(c)
	o.copies = append(o.copies, c)
	o.tries++
	o.job.copied[TaskQueued]++
	s.owner.tasks[t.ID] = c
	s.enqueue(&held{task: c.task}, top)
}

// siblingsAt lists the peers that a copy must stay away from: those that have run
// another one, or have it.
func (s *Scheduler) siblingsAt(c *owned) []chord.PeerID {
	var at []chord.PeerID
	add := func(o *owned) {
		var p chord.PeerID
		switch {
		case o.state.Final():
			p = o.result.Peer
		case o.state == TaskRunning || o.state == TaskAway:
			p = s.whoHas(o)
		}
		if p != "" && !slices.Contains(at, p) && len(at) < MaxAvoid {
			at = append(at, p)
		}
	}
	if c.of.state != TaskForked {
		add(c.of)
	}
	for _, x := range c.of.copies {
		if x != c {
			add(x)
		}
	}
	return at
}

// copyEnded uses what became of a copy.
func (s *Scheduler) copyEnded(c *owned) {
	switch o := c.of; {
	case o.state.Final() || c.state == TaskCancelled:
	case o.job.verify > 0:
		s.count(o)
	case c.state == TaskDone:
		s.overtake(o, c)
	}
}

// copyForked handles a copy that divides its task instead of ending it. The parts of
// a backup become the task's, but made anew: those that its peer keeps are named after it.
func (s *Scheduler) copyForked(c *owned, r *Result) {
	o := c.of
	if o.job.verify > 0 {
		s.failFork(c, r, "a task that is verified may not be divided")
		return
	}
	s.withdraw(o)
	s.finish(c, TaskCancelled)
	if h := s.holder.held[o.task.ID]; h != nil {
		s.unhold(h)
	}
	o.task.Attempt++ // the attempt that it overtakes may have divided the task in another way
	o.task.Hop = 0
	d := *r
	d.Task, d.Attempt, d.Kept = o.task.ID, o.task.Attempt, false
	s.fork(o, nil, &d)
}

// withdraw takes the current attempt at a task back, from whoever has it.
func (s *Scheduler) withdraw(o *owned) {
	if o.state == TaskQueued {
		return
	}
	if o.at != nil {
		s.send(o.at, Message{Kind: KindCancel, Refs: []Ref{o.task.ref()}})
	}
	s.endAttempt(o, s.whoHas(o), OutcomeOvertaken, nil)
}
