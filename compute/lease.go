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
	s.loseAll(why, func(o *owned) bool { return o.at == p && !except[run{o.task.ID, o.task.Attempt}] })
}

// loseAll runs again the tasks away for which lost holds.
func (s *Scheduler) loseAll(why string, lost func(*owned) bool) {
	for _, j := range slices.Clone(s.owner.order) {
		if j.count[TaskAway]+j.copied[TaskAway] == 0 {
			continue
		}
		var gone []*owned
		j.each(func(o *owned) {
			if o.state == TaskAway && lost(o) {
				gone = append(gone, o)
			}
		})
		for _, o := range gone {
			if o.state == TaskAway { // it may have ended with another one
				s.loseAttempt(o, why)
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

// expireUnnamed presumes tasks lost that their holders, although they are heard of,
// do not name any more. A holder names what it runs each time, and of the rest renewOthers
// at a time; it may put that off for renewPutOff times.
func (s *Scheduler) expireUnnamed() {
	if s.now < s.owner.namedAt {
		return
	}
	s.owner.namedAt = s.now + s.cfg.Unnamed/4
	s.loseAll("its holder does not name it any more", func(o *owned) bool {
		rounds := time.Duration(o.at.away / renewOthers)
		return s.now-o.named > s.cfg.Unnamed+2*rounds*renewPutOff*s.cfg.Renew
	})
}

func (s *Scheduler) leaseTimer() instant { return s.owner.leaseAt }
