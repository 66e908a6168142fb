package compute

import (
	"errors"
	"fmt"
	"slices"
)

// check states the invariants of a scheduler. Tests call it after every step.
func (s *Scheduler) check() error {
	for _, f := range []func() error{s.checkOwner, s.checkHolder, s.checkQueue, s.checkPeers, s.checkTimers} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// checkOwner: a task of mine is in exactly one state, and the counts add up.
func (s *Scheduler) checkOwner() error {
	w := &s.owner
	left, known, history := 0, 0, int64(0)
	bytes := int64(0)
	away := make(map[*peer]int)
	for _, j := range w.order {
		if w.jobs[j.id] != j {
			return fmt.Errorf("job %s is not indexed", j.id.Short())
		}
		var count, copied [taskStates]int
		var wrong error
		j.each(func(o *owned) {
			known++
			if o.at != nil {
				away[o.at]++
			}
			if o.of != nil {
				copied[o.state]++
			} else {
				count[o.state]++
				if !o.state.Final() {
					bytes += int64(o.task.size())
				}
			}
			if err := s.checkTask(o); err != nil && wrong == nil {
				wrong = fmt.Errorf("task %s attempt %d, %s: %w", o.task.ID.Short(), o.task.Attempt, o.state, err)
			}
		})
		if wrong != nil {
			return wrong
		}
		if count != j.count || copied != j.copied {
			return fmt.Errorf("job %s: counted %v and %v copies, has %v and %v", j.id.Short(), count, copied, j.count, j.copied)
		}
		unfinished := count[TaskQueued] + count[TaskRunning] + count[TaskAway] + count[TaskForked]
		if j.left != unfinished {
			return fmt.Errorf("job %s: left %d, counted %d", j.id.Short(), j.left, unfinished)
		}
		if (j.left == 0) != slices.Contains(w.done, j) {
			return fmt.Errorf("job %s: %d left, finished %v", j.id.Short(), j.left, j.left != 0)
		}
		if j.left == 0 {
			history += j.bytes
		}
		left += j.left
	}
	switch {
	case left != w.left || left > s.cfg.MaxTasks:
		return fmt.Errorf("%d tasks left, counted %d", w.left, left)
	case bytes != w.bytes:
		return fmt.Errorf("%d bytes of own tasks, counted %d", w.bytes, bytes)
	case known != len(w.tasks):
		return fmt.Errorf("%d tasks indexed, counted %d", len(w.tasks), known)
	case history != w.history:
		return fmt.Errorf("history of %d bytes, counted %d", w.history, history)
	}
	for _, p := range s.peers.all {
		if p.away != away[p] {
			return fmt.Errorf("peer %s: %d tasks away, counted %d", p.id, p.away, away[p])
		}
		delete(away, p)
	}
	if len(away) > 0 {
		return fmt.Errorf("tasks are at %d peers that are forgotten", len(away))
	}
	return nil
}

func (s *Scheduler) checkTask(o *owned) error {
	h := s.holder.held[o.task.ID]
	open := 0
	for i := range o.parts {
		if !o.parts[i].state.Final() {
			open++
		}
	}
	copies := 0
	for _, c := range o.copies {
		if !c.state.Final() {
			copies++
		}
	}
	verified := o.job.verify > 0 && o.of == nil
	switch {
	case s.owner.tasks[o.task.ID] != o:
		return errors.New("not indexed")
	case verified && (o.state == TaskForked) != (copies > 0) || verified && len(o.parts) > 0:
		return fmt.Errorf("%d of %d copies left, %d parts", copies, len(o.copies), len(o.parts))
	case o.of != nil && (!o.task.Apart || o.state == TaskForked || o.of.state.Final() || len(o.parts)+len(o.copies) > 0):
		return fmt.Errorf("a copy of a task that is %s", o.of.state)
	case o.open != open || !verified && (o.state == TaskForked) != (open > 0):
		return fmt.Errorf("%d of %d parts left, counted %d", open, len(o.parts), o.open)
	case o.state == TaskForked && h != nil:
		return errors.New("held, although its parts are not done")
	case o.state.Final() && h != nil:
		return fmt.Errorf("still held")
	case (o.state == TaskAway) != (o.at != nil):
		return fmt.Errorf("at %v", o.at)
	case o.state == TaskAway && h != nil:
		return fmt.Errorf("also held here")
	case o.state == TaskQueued && (h == nil || h.state != heldQueued):
		return fmt.Errorf("not in the queue")
	case o.state == TaskRunning && (h == nil || h.state != heldRunning):
		return fmt.Errorf("not running")
	case h != nil && (h.task.Attempt != o.task.Attempt || h.client != nil):
		return fmt.Errorf("held as attempt %d", h.task.Attempt)
	}
	return nil
}

// checkHolder: what is in hand is queued or running, once, and each foreign
// task is accounted for at its owner's client.
func (s *Scheduler) checkHolder() error {
	queued, running, foreign := 0, 0, 0
	for id, h := range s.holder.held {
		switch {
		case h.task.ID != id:
			return fmt.Errorf("held %s under %s", h.task.ID.Short(), id.Short())
		case h.state == heldQueued:
			queued++
		case h.state == heldRunning:
			running++
			if s.holder.running[run{id, h.task.Attempt}] != h {
				return fmt.Errorf("held %s runs on no worker", id.Short())
			}
		default:
			return fmt.Errorf("held %s in state %d", id.Short(), h.state)
		}
		if h.client != nil {
			foreign++
		} else if s.owner.tasks[id] == nil {
			return fmt.Errorf("held %s is of no job here", id.Short())
		}
	}
	switch {
	case queued != s.holder.queue.n:
		return fmt.Errorf("%d queued, the queue has %d", queued, s.holder.queue.n)
	case foreign != s.holder.foreign:
		return fmt.Errorf("%d foreign tasks, counted %d", s.holder.foreign, foreign)
	case len(s.holder.running) > s.holder.slots || running > len(s.holder.running):
		return fmt.Errorf("%d runs on %d workers", len(s.holder.running), s.holder.slots)
	}
	return s.checkClients()
}

func (s *Scheduler) checkClients() error {
	bytes, outbox := int64(0), int64(0)
	copies := make(map[*held]bool)
	for _, t := range s.victim.transfers {
		for _, h := range t.copies {
			copies[h] = true
		}
	}
	for i, c := range s.holder.clients {
		if i > 0 && s.holder.clients[i-1].owner.id >= c.owner.id || c.owner.client != c {
			return fmt.Errorf("client %s is out of place", c.owner.id)
		}
		n, ran := 0, 0
		for _, h := range c.list {
			switch h.state {
			case heldGone:
				continue
			case heldGiven:
				if !copies[h] {
					return fmt.Errorf("copy of %s is in no transfer", h.task.ID.Short())
				}
				delete(copies, h)
			case heldRan:
				if h.parked != nil {
					outbox += int64(h.parked.size())
					break
				}
				ran++
			case heldQueued, heldRunning:
				if s.holder.held[h.task.ID] != h {
					return fmt.Errorf("%s is listed but not held", h.task.ID.Short())
				}
			}
			n++
			bytes += int64(h.task.size())
		}
		results := 0
		for _, o := range c.results {
			results++
			outbox += int64(o.result.size())
		}
		for _, f := range c.flights {
			for _, o := range f.outcomes {
				results++
				outbox += int64(o.result.size())
			}
		}
		if n != c.n || n == 0 || ran != results {
			return fmt.Errorf("client %s: n %d, counted %d; %d ran, %d results", c.owner.id, c.n, n, ran, results)
		}
	}
	switch {
	case len(copies) > 0:
		return fmt.Errorf("%d copies in transfers belong to no client", len(copies))
	case bytes != s.holder.bytes:
		return fmt.Errorf("%d bytes of foreign tasks, counted %d", s.holder.bytes, bytes)
	case outbox != s.holder.outbox:
		return fmt.Errorf("outbox of %d bytes, counted %d", s.holder.outbox, outbox)
	}
	return nil
}

// checkQueue: lanes are sorted, their counts are true, and both ends of a deque wait.
func (s *Scheduler) checkQueue() error {
	q := &s.holder.queue
	n := len(q.shelf)
	for i, l := range q.lanes {
		if i > 0 && q.lanes[i-1].compare(l.laneKey) >= 0 {
			return fmt.Errorf("lane %s is out of place", l.capability)
		}
		live, bound, joins, weight := 0, 0, 0, uint64(0)
		var last int64
		for k := range l.deque.len {
			e := l.deque.at(k)
			if !e.live() {
				continue
			}
			if live > 0 && e.pos <= last {
				return fmt.Errorf("lane %s: positions do not grow", l.capability)
			}
			if e.held.lane() != l.laneKey {
				return fmt.Errorf("lane %v has a task of lane %v", l.laneKey, e.held.lane())
			}
			live, last = live+1, e.pos
			weight += e.held.task.weight()
			if e.held.provisional {
				bound++
			}
			if e.held.task.Join {
				joins++
			}
		}
		if live != l.n || bound != l.bound || joins != l.joins || weight != l.weight || l.here != (!l.barred && q.has(l.capability)) {
			return fmt.Errorf("lane %s: n %d, counted %d; bound %d, counted %d; joins %d, counted %d; weight %d, counted %d", l.capability, l.n, live, l.bound, bound, l.joins, joins, l.weight, weight)
		}
		if d := &l.deque; d.len > 0 && (!d.at(0).live() || !d.at(d.len-1).live()) {
			return fmt.Errorf("lane %s: dead entry at an end", l.capability)
		}
		n += live
	}
	if n != q.n {
		return fmt.Errorf("queue of %d, counted %d", q.n, n)
	}
	return nil
}

// checkPeers: the table is sorted and bounded, and its counts are true.
func (s *Scheduler) checkPeers() error {
	given := make(map[*peer]int)
	for _, t := range s.victim.transfers {
		given[t.to]++
	}
	sleepers := 0
	for i, p := range s.peers.all {
		if i > 0 && s.peers.all[i-1].id >= p.id || s.peers.byID[p.id] != p {
			return fmt.Errorf("peer %s is out of place", p.id)
		}
		if p.given != given[p] {
			return fmt.Errorf("peer %s: %d transfers, counted %d", p.id, p.given, given[p])
		}
		delete(given, p)
		if p.sleeper.asleep {
			sleepers++
		}
		if p.client != nil && !slices.Contains(s.holder.clients, p.client) {
			return fmt.Errorf("peer %s: client is not listed", p.id)
		}
	}
	switch {
	case len(given) > 0:
		return fmt.Errorf("transfers to %d peers that are forgotten", len(given))
	case sleepers != len(s.victim.sleepers):
		return fmt.Errorf("%d sleepers, counted %d", len(s.victim.sleepers), sleepers)
	case len(s.peers.all) > s.cfg.MaxPeers || len(s.peers.byID) != len(s.peers.all):
		return fmt.Errorf("%d peers, %d indexed", len(s.peers.all), len(s.peers.byID))
	case len(s.victim.transfers) > maxTransfers+s.cfg.MaxQueue || len(s.thief.arrivals) > maxArrivals:
		return fmt.Errorf("%d transfers, %d arrivals", len(s.victim.transfers), len(s.thief.arrivals))
	}
	return nil
}

// checkTimers: no timer stays in the past, or a driver would spin.
func (s *Scheduler) checkTimers() error {
	if s.due <= s.now {
		return fmt.Errorf("timer at %s, now %s: thief %s victim %s shelf %s client %s lease %s gossip %s", s.due, s.now,
			s.thiefTimer(), s.victimTimer(), s.shelfTimer(), s.clientTimer(), s.leaseTimer(), s.gossipTimer())
	}
	return nil
}
