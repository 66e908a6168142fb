package compute

import (
	"math/bits"
	"slices"
	"time"
)

const (
	// stragglerTimes is how many times as long as nearly all of its siblings a
	// task must run to get a backup; nearly all are lateShare of them.
	stragglerTimes = 2
	lateShare      = 0.95
	// minSiblings is how many tasks of the job must be done to tell what is usual. While
	// they are fewer, a straggler must run for fewTimes as long as the longest of them.
	minSiblings = 5
	fewTimes    = 4
	// backupShare bounds the backups of a job under way: one, and one more for each so
	// many of its tasks.
	backupShare = 16
)

// spans counts durations by their order, in four steps for each doubling, which is as
// exact as telling stragglers needs.
type spans struct {
	n      int
	counts [4 * 64]uint32
}

func spanOf(d time.Duration) int {
	v := uint64(max(d, 1))
	order := bits.Len64(v) - 1
	if order < 2 {
		return 4 * order
	}
	return 4*order + int(v>>(order-2)&3)
}

// spanEnd returns the first duration beyond a step.
func spanEnd(i int) time.Duration {
	order := i / 4
	if order < 2 {
		return 2 << order
	}
	return time.Duration(min(uint64(i%4+5)<<(order-2), uint64(never)))
}

func (p *spans) add(d time.Duration) {
	p.n++
	p.counts[spanOf(d)]++
}

// quantile returns a duration that the given share of those counted do not
// exceed, at most a quarter too large.
func (p *spans) quantile(share float64) time.Duration {
	seen := 0
	for i, c := range p.counts {
		if seen += int(c); seen > 0 && float64(seen) >= share*float64(p.n) {
			return spanEnd(i)
		}
	}
	return 0
}

// watchStragglers plans a look at a job whose last tasks are under way.
func (s *Scheduler) watchStragglers(j *job) {
	if s.owner.lagAt == never && s.lastTasks(j) {
		s.owner.lagAt = s.now + s.cfg.Straggler/2
	}
}

// lastTasks reports whether no task of a job waits here any more, and enough is
// known of those that are done.
func (s *Scheduler) lastTasks(j *job) bool {
	return j.verify == 0 && j.count[TaskQueued] == 0 && j.count[TaskRunning]+j.count[TaskAway] > 0 &&
		j.times.n > 0 && j.underWay < 1+len(j.tasks)/backupShare
}

// expireStragglers looks for tasks that run for much longer than their siblings
// did, and gives each of them one backup: a copy for an idle worker of another peer.
func (s *Scheduler) expireStragglers() {
	if s.now < s.owner.lagAt {
		return
	}
	s.owner.lagAt = never
	if s.draining {
		return
	}
	for _, j := range slices.Clone(s.owner.order) {
		if j.left > 0 && s.lastTasks(j) {
			s.backUp(j)
			s.watchStragglers(j)
		}
	}
}

// backUp makes backups for the stragglers of a job.
func (s *Scheduler) backUp(j *job) {
	limit := max(s.cfg.Straggler, stragglerTimes*j.times.quantile(lateShare))
	if j.times.n < minSiblings {
		limit = max(s.cfg.Straggler, fewTimes*j.times.quantile(1))
	}
	var late []*owned
	j.each(func(o *owned) {
		runs := o.state == TaskRunning || o.state == TaskAway && o.running
		if runs && o.of == nil && o.tries == 0 && s.now-o.since >= limit && s.someoneElse(o) {
			late = append(late, o)
		}
	})
	for _, o := range late {
		if !s.lastTasks(j) {
			return
		}
		j.backups++
		j.underWay++
		s.addCopy(o, spare, true)
		s.changed(j)
	}
}

// someoneElse reports whether a peer beside the one that has a task could run it.
func (s *Scheduler) someoneElse(o *owned) bool {
	capability := o.task.Code.Cap()
	if o.at != nil && s.holder.slots > 0 && s.holder.queue.has(capability) {
		return true
	}
	return slices.ContainsFunc(s.peers.all, func(p *peer) bool { return p != o.at && p.can(capability) })
}

// overtake settles a task with what its backup put out: it was first.
func (s *Scheduler) overtake(o, c *owned) {
	s.withdraw(o)
	o.job.backupsWon++
	o.job.byPeer[c.result.Peer]++
	o.result = c.result
	o.result.Task, o.result.Attempt = o.task.ID, o.task.Attempt
	s.finish(o, TaskDone)
}
