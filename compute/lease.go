package compute

import (
	"fmt"
	"slices"
	"time"
)

// ownerLost runs again what a peer had, except attempts that may still reach it.
func (s *Scheduler) ownerLost(p *peer, why string, except map[run]bool) {
	if p.away == 0 {
		return
	}
	s.loseAll(func(o *owned) string {
		if o.at == p && !except[run{o.task.ID, o.task.Attempt}] {
			return why
		}
		return ""
	})
}

// loseAll runs again the tasks away for whose loss there is a reason.
func (s *Scheduler) loseAll(lost func(*owned) (why string)) {
	for _, j := range slices.Clone(s.owner.order) {
		if j.count[TaskAway]+j.copied[TaskAway] == 0 {
			continue
		}
		var gone []*owned
		var whys []string
		j.each(func(o *owned) {
			if o.state != TaskAway {
				return
			}
			if why := lost(o); why != "" {
				gone, whys = append(gone, o), append(whys, why)
			}
		})
		for i, o := range gone {
			if o.state == TaskAway { // it may have ended with another one
				s.loseAttempt(o, whys[i])
			}
		}
	}
}

// loseAttempt runs a task again whose holder has lost it. If it ran there, that counts
// towards the limit for tasks that take peers down.
func (s *Scheduler) loseAttempt(o *owned, why string) {
	p := o.at
	s.stats.Lost++
	o.result = Result{Task: o.task.ID, Attempt: o.task.Attempt, Peer: p.id, Err: why, Crashed: true}
	if o.running {
		o.lost++
	}
	s.endAttempt(o, p.id, OutcomeLost, &o.result)
	if o.lost >= s.cfg.MaxLost {
		o.result.Err = fmt.Sprintf("lost %d times with the peer that ran it: %s", o.lost, why)
		s.finish(o, TaskFailed)
		return
	}
	if why == hoarded {
		s.send(p, Message{Kind: KindCancel, Refs: []Ref{o.task.ref()}})
		s.again(o, p.id)
		return
	}
	s.again(o, "")
}

// expireLeases presumes peers lost that have own tasks and are silent.
func (s *Scheduler) expireLeases() {
	if s.now < s.owner.leaseAt {
		return
	}
	s.expireUnnamed()
	s.owner.leaseAt = never
	for _, p := range s.peers.all {
		if p.away == 0 {
			continue
		}
		if end := p.heard + s.cfg.Lease; s.now < end {
			s.owner.leaseAt = min(s.owner.leaseAt, end)
			continue
		}
		s.lost(p, "silent for "+s.cfg.Lease.Round(time.Millisecond).String())
	}
}

// Why an attempt is lost whose holder is heard of.
const (
	unnamed = "its holder does not name it any more"
	hoarded = "its holder keeps it for longer than it may"
)

// ModuleExtra comes on top of the time limit of a task that runs a module, for fetching and
// compiling it.
const ModuleExtra = 2 * time.Minute

// expireUnnamed presumes tasks lost that their holders, although they are heard of,
// do not name any more. A holder names what it runs each time, and of the rest renewOthers
// at a time; it may put that off for renewPutOff times. So are those lost that it names for
// too long: a holder that never answers may not keep a job from its end.
func (s *Scheduler) expireUnnamed() {
	if s.now < s.owner.namedAt {
		return
	}
	s.owner.namedAt = s.now + s.cfg.Unnamed/4
	room := s.freeSlots() + len(s.victim.sleepers)
	s.loseAll(func(o *owned) string {
		rounds := time.Duration(o.at.away / renewOthers)
		switch patience := s.cfg.Unnamed + 2*rounds*renewPutOff*s.cfg.Renew; {
		case s.now-o.named > patience:
			return unnamed
		case o.running && s.now-o.since > s.overdue(&o.task):
			o.at.hoards = true
			return hoarded
		case !o.running && s.now-o.since > patience && room > 0 && s.someoneFree(o):
			room--
			return hoarded
		}
		return ""
	})
}

// someoneFree reports whether a worker has nothing to do that could run a task: one of this
// peer, or of a peer that waits for word of it.
func (s *Scheduler) someoneFree(o *owned) bool {
	capability := o.task.Code.Cap()
	return s.hungry() && s.holder.queue.has(capability) ||
		slices.ContainsFunc(s.victim.sleepers, func(p *peer) bool { return p != o.at && p.can(capability) })
}

// overdue returns after what time a run elsewhere has ended if its peer is honest: that stops
// it at its limit.
func (s *Scheduler) overdue(t *Task) time.Duration {
	limit := t.Limits.Time
	if limit == 0 {
		limit = s.cfg.MaxTime
	}
	if t.Code.Func == "" {
		limit += ModuleExtra
	}
	return limit + limit/4 + s.cfg.Lease
}

func (s *Scheduler) leaseTimer() instant { return s.owner.leaseAt }
