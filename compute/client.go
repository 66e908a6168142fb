package compute

import (
	"slices"
	"strings"
)

// client is what this peer, as a holder, owes to one owner: the tasks it holds,
// reports of them, and results, each kept until the owner acknowledges it. It
// lives while there is any of that.
type client struct {
	owner   *peer
	n       int // tasks in hand, copies given away, results not acknowledged
	list    []*held
	cursor  int     // where in list the next renewal goes on
	downAt  instant // when the driver said that the owner is gone; never if it is heard
	started instant
	renewed instant // when a list of what is held last went out
	renewAt instant

	fresh   []*held // came in lately; the owner is not told yet
	freshAt instant
	reports []report

	results []outcome // not sent yet
	bytes   int       // of results
	urgent  bool      // one of them divides a task: its parts are bound here until the owner knows
	since   instant
	flights []flight
}

// report is a Hold message that the owner has not answered.
type report struct {
	seq   uint64
	at    instant // of the next repeat
	tries int
	tasks []*held
}

// flight is a Result message that the owner has not answered.
type flight struct {
	seq      uint64
	at       instant
	tries    int
	outcomes []outcome
}

// renewPutOff is how many renewals in a row results may stand in for.
const renewPutOff = 4

// renewOthers bounds the tasks beside those that run that one renewal names.
const renewOthers = 256

type outcome struct {
	held   *held
	result Result
}

func (s *Scheduler) clientOf(p *peer) *client {
	if p.client == nil {
		p.client = &client{owner: p, started: s.now, downAt: never, renewed: s.now, renewAt: s.now + s.cfg.Renew}
		i, _ := s.holder.searchClient(p)
		s.holder.clients = slices.Insert(s.holder.clients, i, p.client)
	}
	return p.client
}

func (h *holder) searchClient(p *peer) (int, bool) {
	return slices.BinarySearchFunc(h.clients, p, func(c *client, p *peer) int {
		return strings.Compare(string(c.owner.id), string(p.id))
	})
}

// hold takes a foreign task into hand. Unless its owner gave it, which a nil
// arrival says, the owner is told.
func (s *Scheduler) hold(c *client, t Task, a *arrival) {
	h := &held{task: t, client: c, arrival: a}
	c.n++
	c.list = append(c.list, h)
	s.holder.bytes += int64(t.size())
	s.enqueue(h, true)
	if a != nil {
		s.reportLater(c, h)
	}
}

func (s *Scheduler) reportLater(c *client, h *held) {
	if len(c.fresh) == 0 {
		c.freshAt = s.now
	}
	c.fresh = append(c.fresh, h)
}

// known notes that the owner knows where a task is: the victim that it came
// from may forget it.
func (s *Scheduler) known(h *held) {
	a := h.arrival
	if a == nil {
		return
	}
	h.arrival = nil
	if a.left--; a.left == 0 {
		s.acknowledge(a)
	}
}

// release ends this peer's duty for a foreign task.
func (s *Scheduler) release(h *held) {
	s.known(h)
	h.state, h.provisional = heldGone, false
	s.holder.bytes -= int64(h.task.size())
	c := h.client
	c.n--
	if c.n == 0 {
		c.owner.client = nil
		i, _ := s.holder.searchClient(c.owner)
		s.holder.clients = slices.Delete(s.holder.clients, i, i+1)
		return
	}
	if len(c.list) > 2*c.n+64 {
		c.list = slices.DeleteFunc(c.list, func(h *held) bool { return h.state == heldGone })
		c.cursor = 0
	}
}

// post queues the result of a foreign task for its owner.
func (s *Scheduler) post(h *held, r *Result) {
	c := h.client
	if len(c.results) == 0 {
		c.since = s.now
	}
	c.results = append(c.results, outcome{h, *r})
	c.bytes += r.size()
	c.urgent = c.urgent || len(r.Fork) > 0
	s.holder.outbox += int64(r.size())
}

// flush sends results and reports that have waited for company long enough. A
// peer that has run out of work has nothing to wait for.
func (s *Scheduler) flush() {
	hungry := !s.holder.queue.runnable()
	for _, c := range s.holder.clients {
		full := c.bytes >= s.cfg.MessageBytes/4 || len(c.results) >= 256
		if len(c.results) > 0 && (hungry || full || c.urgent || s.now >= c.since+s.cfg.Flush) {
			s.sendResults(c)
		}
		if len(c.fresh) > 0 && s.now >= c.freshAt+s.cfg.Locate {
			s.sendReport(c)
		}
	}
}

func (s *Scheduler) sendResults(c *client) {
	refs := s.runningFor(c.owner.id)
	for len(c.results) > 0 {
		n, bytes := 0, 0
		for n < len(c.results) && n < MaxMessageTasks {
			bytes += c.results[n].result.size()
			if n > 0 && bytes > s.cfg.MessageBytes {
				break
			}
			n++
		}
		f := flight{seq: s.nextSeq(), at: s.now + s.backoff(0), outcomes: c.results[:n:n]}
		c.results = c.results[n:]
		c.flights = append(c.flights, f)
		s.sendFlight(c, &f, refs)
	}
	c.results, c.bytes, c.urgent = nil, 0, false
	// Results renew the lease too; the list is put off, but not for ever.
	c.renewAt = min(s.now+s.cfg.Renew, c.renewed+renewPutOff*s.cfg.Renew)
}

func (s *Scheduler) sendFlight(c *client, f *flight, refs []Ref) {
	m := Message{Kind: KindResult, Seq: f.seq, Refs: refs, Results: make([]Result, len(f.outcomes))}
	for i := range f.outcomes {
		m.Results[i] = f.outcomes[i].result
	}
	s.send(c.owner, m)
}

// sendReport tells the owner of tasks that came in. Those that left again or
// have run meanwhile need no report.
func (s *Scheduler) sendReport(c *client) {
	fresh := slices.DeleteFunc(c.fresh, func(h *held) bool {
		return h.state != heldQueued && h.state != heldRunning
	})
	c.fresh = nil
	for len(fresh) > 0 {
		n := min(len(fresh), MaxMessageRefs)
		r := report{seq: s.nextSeq(), at: s.now + s.backoff(0), tasks: fresh[:n:n]}
		fresh = fresh[n:]
		c.reports = append(c.reports, r)
		s.sendHold(c, r.seq, r.tasks)
	}
}

func (s *Scheduler) sendHold(c *client, seq uint64, tasks []*held) {
	m := Message{Kind: KindHold, Seq: seq, Refs: make([]Ref, 0, len(tasks))}
	for _, h := range tasks {
		if h.state != heldQueued && h.state != heldRunning {
			continue
		}
		ref := h.task.ref()
		ref.Running = h.state == heldRunning
		m.Refs = append(m.Refs, ref)
	}
	s.send(c.owner, m)
}

// renew tells the owner that its tasks are still held: what runs, and the
// next few of the others, so that over time the owner sees all.
func (s *Scheduler) renew(c *client) {
	refs := s.runningFor(c.owner.id)
	for range min(renewOthers, len(c.list)) {
		if c.cursor >= len(c.list) {
			c.cursor = 0
		}
		if h := c.list[c.cursor]; h.state == heldQueued && !h.provisional {
			refs = append(refs, h.task.ref())
		}
		c.cursor++
	}
	c.renewed, c.renewAt = s.now, s.now+s.cfg.Renew
	s.send(c.owner, Message{Kind: KindHold, Seq: s.nextSeq(), Refs: refs})
}

// onHeld handles the owner's answer to a Hold or a Return.
func (s *Scheduler) onHeld(p *peer, m *Message) {
	c := p.client
	if c == nil {
		return
	}
	if i := slices.IndexFunc(c.reports, func(r report) bool { return r.seq == m.Seq }); i >= 0 {
		tasks := c.reports[i].tasks
		c.reports = slices.Delete(c.reports, i, i+1)
		for _, h := range tasks {
			s.known(h)
		}
	}
	s.drop(c, m.Refs)
}

// drop forgets attempts that the owner has no use for.
func (s *Scheduler) drop(c *client, refs []Ref) {
	for _, r := range refs {
		h := s.holder.held[r.Task]
		if h == nil || h.client != c || h.task.Attempt != r.Attempt || h.task.Hop != r.Hop {
			continue
		}
		s.stats.Dropped++
		s.unhold(h)
		s.release(h)
	}
}

// onSettled handles the owner's acknowledgement of results.
func (s *Scheduler) onSettled(p *peer, m *Message) {
	c := p.client
	if c == nil {
		return
	}
	i := slices.IndexFunc(c.flights, func(f flight) bool { return f.seq == m.Seq })
	if i < 0 {
		return
	}
	f := c.flights[i]
	c.flights = slices.Delete(c.flights, i, i+1)
	for _, o := range f.outcomes {
		if refusedIn(m.Refs, &o.result) {
			s.dropParts(o.held)
		} else {
			s.partsTaken(o.held)
		}
	}
	s.ended(f.outcomes)
}

func (s *Scheduler) ended(outcomes []outcome) {
	for _, o := range outcomes {
		s.holder.outbox -= int64(o.result.size())
		s.release(o.held)
	}
}

// onCancel handles the owner's order to drop a job, or some attempts.
func (s *Scheduler) onCancel(p *peer, m *Message) {
	c := p.client
	if c == nil {
		return
	}
	if m.Job == (ID{}) {
		s.drop(c, m.Refs)
		return
	}
	for _, h := range slices.Clone(c.list) {
		if h.task.Job == m.Job && (h.state == heldQueued || h.state == heldRunning) {
			s.stats.Dropped++
			s.unhold(h)
			s.release(h)
		}
	}
}

// returnTasks gives queued foreign tasks back to their owners. They stay here
// until an owner's answer drops them.
func (s *Scheduler) returnTasks() {
	for _, c := range s.holder.clients {
		var refs []Ref
		for _, h := range c.list {
			if h.state == heldQueued && !h.provisional {
				refs = append(refs, h.task.ref())
			}
		}
		for len(refs) > 0 {
			n := min(len(refs), MaxMessageRefs)
			s.send(c.owner, Message{Kind: KindReturn, Seq: s.nextSeq(), Refs: refs[:n]})
			refs = refs[n:]
		}
		c.renewed, c.renewAt = s.now, s.now+s.cfg.Renew
	}
}

// expireClients repeats what owners have not answered, renews leases, and
// gives up on owners that have long been silent.
func (s *Scheduler) expireClients() {
	for _, c := range slices.Clone(s.holder.clients) {
		if s.now >= s.orphanAt(c) {
			s.abandon(c)
			continue
		}
		for i := range c.flights {
			if f := &c.flights[i]; s.now >= f.at {
				f.tries++
				f.at = s.now + s.backoff(f.tries)
				s.stats.Resent++
				s.sendFlight(c, f, nil)
			}
		}
		for i := range c.reports {
			if r := &c.reports[i]; s.now >= r.at {
				r.tries++
				r.at = s.now + s.backoff(r.tries)
				s.stats.Resent++
				s.sendHold(c, r.seq, r.tasks)
			}
		}
		if s.now >= c.renewAt {
			s.renew(c)
			if s.draining {
				s.returnTasks()
			}
		}
	}
}

// orphanAt returns when an owner counts as gone for good unless it is heard of.
func (s *Scheduler) orphanAt(c *client) instant {
	end := max(c.owner.heard, c.started) + s.cfg.Orphan
	if c.downAt != never {
		end = min(end, c.downAt+s.cfg.Lease)
	}
	return end
}

// abandon forgets all that is held for an owner. Should the owner be alive
// after all, the greater session tells it that its tasks are not here.
func (s *Scheduler) abandon(c *client) {
	for _, h := range slices.Clone(c.list) {
		switch h.state {
		case heldQueued, heldRunning:
			s.stats.Dropped++
			s.unhold(h)
			s.release(h)
		case heldGiven:
			s.victim.forget(h)
			s.release(h)
		case heldRan:
			if h.provisional {
				s.unpark(h)
				s.release(h)
			}
		case heldGone:
		}
		h.parts = nil
	}
	s.ended(c.results)
	for _, f := range c.flights {
		s.ended(f.outcomes)
	}
	s.bumps++
	c.owner.bump = s.bumps
}

// sessionFor returns the session that a peer is told.
func (s *Scheduler) sessionFor(p *peer) uint64 { return s.cfg.Session + p.bump }

func (s *Scheduler) clientTimer() instant {
	next := never
	for _, c := range s.holder.clients {
		next = min(next, c.renewAt, s.orphanAt(c))
		if len(c.results) > 0 {
			next = min(next, c.since+s.cfg.Flush)
		}
		if len(c.fresh) > 0 {
			next = min(next, c.freshAt+s.cfg.Locate)
		}
		for i := range c.flights {
			next = min(next, c.flights[i].at)
		}
		for i := range c.reports {
			next = min(next, c.reports[i].at)
		}
	}
	return next
}
