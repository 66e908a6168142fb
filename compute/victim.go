package compute

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// victim is the part of a scheduler that gives tasks to thieves, wakes
// sleepers, and remembers transfers until they are safe.
type victim struct {
	transfers []*transfer // by number
	surplus   bool        // something was queued since the last look at sleepers
	sleepers  []*peer     // in the order in which they registered
	wakeAt    instant
}

// transfer is a group of tasks on its way to a thief. Copies of foreign tasks
// are kept until the thief says that their owners know.
type transfer struct {
	seq     uint64
	to      *peer
	own     []run
	copies  []*held
	pending bool // the thief has it, the owners do not know yet
	heard   instant
	at      instant
	tries   int
}

const (
	maxTransfers = 256 // under way at once; beyond it thieves are sent away
	maxSkip      = 64  // tasks that a thief cannot take, looked at in one steal
	wakePatience = 500 * time.Millisecond
	maxWakes     = 3 // wake-ups without an answer, then a sleeper is forgotten
)

// onSteal gives a thief half of the queued tasks that it can run.
func (s *Scheduler) onSteal(p *peer, m *Message) {
	s.stats.StealsIn++
	p.funcs = m.Funcs
	s.learnLoad(p, &m.Load)
	s.forgetSleeper(p)
	var tasks []*held
	if len(s.victim.transfers) < maxTransfers {
		tasks = s.choose(p, int(m.Room), int64(min(m.RoomBytes, uint64(s.cfg.MaxSteal))))
	}
	if len(tasks) == 0 {
		s.send(p, Message{Kind: KindGive, Re: m.Seq, Load: s.load()})
		return
	}
	for _, h := range tasks {
		s.holder.queue.remove(h)
	}
	for len(tasks) > 0 {
		n := s.fits(tasks)
		s.give(p, tasks[:n], m.Seq)
		tasks = tasks[n:]
	}
}

// cursor goes through a lane from the steal end.
type cursor struct {
	lane  *lane
	next  int  // index in the deque, going down
	left  int  // tasks that may go
	joins bool // stay
}

// skips reports whether the task at the cursor is none to give.
func (c *cursor) skips() bool {
	e := c.lane.deque.at(c.next)
	return !e.live() || c.joins && e.held.task.Join
}

// haul is what a thief may yet have of the tasks of a priority: half of their number,
// and half of their weight, of which the last may take a little more.
type haul struct {
	tasks  int
	weight int64
}

func (h *haul) full() bool { return h.tasks <= 0 || h.weight <= 0 }

func (h *haul) take(t *Task) {
	h.tasks--
	h.weight -= int64(t.weight())
}

// stealable lists the lanes with tasks that a thief can run, and counts those tasks: all,
// those that may go, and of each priority half.
func (s *Scheduler) stealable(p *peer) (lanes []cursor, n, free int, half [MaxPriority - spare + 1]haul) {
	for _, l := range s.holder.queue.lanes {
		if l.n > 0 && p.can(l.capability) {
			stay, joins := s.stay(l, p.rtt)
			some := l.n
			if joins {
				some -= l.joins
			}
			n += some
			free += l.n - stay
			half[l.priority-spare].tasks += some
			half[l.priority-spare].weight += int64(l.weight)
			lanes = append(lanes, cursor{l, l.deque.len - 1, l.n - stay, joins})
		}
	}
	for i := range half {
		half[i] = haul{(half[i].tasks + 1) / 2, (half[i].weight + 1) / 2}
	}
	return lanes, n, free, half
}

// choose picks tasks for a thief from the steal end: half of what it can run, of
// each priority, the highest first; less what this peer would start within a round
// trip, within the thief's room.
func (s *Scheduler) choose(p *peer, room int, roomBytes int64) []*held {
	q := &s.holder.queue
	lanes, n, free, half := s.stealable(p)
	var chosen []*held
	for _, h := range q.shelf[:min(len(q.shelf), maxSkip)] {
		if p.can(h.task.Code.Cap()) && s.maySend(h, p.id) {
			chosen = append(chosen, h)
		}
	}
	n += len(chosen)
	want := min((n+1)/2, free+len(chosen), room)
	chosen = chosen[:min(want, len(chosen))]
	var size int64
	for skipped := 0; len(chosen) < want && skipped < maxSkip; {
		var best *cursor
		for i := range lanes {
			c := &lanes[i]
			for c.next >= 0 && c.skips() {
				c.next--
			}
			if c.next < 0 || c.left <= 0 || half[c.lane.priority-spare].full() {
				continue
			}
			if best == nil || c.lane.priority > best.lane.priority ||
				c.lane.priority == best.lane.priority && c.lane.deque.at(c.next).pos > best.lane.deque.at(best.next).pos {
				best = c
			}
		}
		if best == nil {
			break
		}
		h := best.lane.deque.at(best.next).held
		best.next--
		if !s.maySend(h, p.id) {
			skipped++
			continue
		}
		if size += int64(h.task.size()); size > roomBytes && len(chosen) > 0 {
			break
		}
		best.left--
		half[best.lane.priority-spare].take(&h.task)
		chosen = append(chosen, h)
	}
	return chosen
}

func (s *Scheduler) maySend(h *held, to chord.PeerID) bool {
	return int(h.task.Hop) < s.cfg.MaxHops && !h.provisional && !slices.Contains(h.task.Avoid, to)
}

// give sends tasks, already out of the queue, to a thief.
func (s *Scheduler) give(p *peer, tasks []*held, re uint64) {
	t := &transfer{seq: s.nextSeq(), to: p, heard: s.now}
	m := Message{Kind: KindGive, Seq: t.seq, Re: re, Tasks: make([]Task, len(tasks))}
	for i, h := range tasks {
		h.task.Hop++
		m.Tasks[i] = h.task
		s.letGo(h, heldGiven)
		if h.client == nil {
			t.own = append(t.own, run{h.task.ID, h.task.Attempt})
			s.ownGiven(h, p)
		} else {
			t.copies = append(t.copies, h)
		}
	}
	m.Load = s.load()
	t.at = s.now + s.transferPause(0)
	p.given++
	s.victim.transfers = append(s.victim.transfers, t)
	s.stats.StolenOut += uint64(len(tasks))
	s.send(p, m)
}

func (s *Scheduler) transferPause(tries int) time.Duration {
	return min(s.backoff(tries), s.cfg.Lease/3)
}

// onTaken handles a thief's word on a transfer.
func (s *Scheduler) onTaken(p *peer, m *Message) {
	i, ok := slices.BinarySearchFunc(s.victim.transfers, m.Seq, func(t *transfer, seq uint64) int {
		return cmp.Compare(t.seq, seq)
	})
	if !ok || s.victim.transfers[i].to != p {
		return
	}
	t := s.victim.transfers[i]
	t.heard = s.now
	if m.Unknown {
		s.closeTransfer(t)
		s.takeBack(t, "lost on the way")
		return
	}
	s.refused(t, m.Refs)
	if m.Pending {
		t.pending = true
		return
	}
	s.closeTransfer(t)
	for _, h := range t.copies {
		s.release(h)
	}
}

// refused takes back what the thief did not want.
func (s *Scheduler) refused(t *transfer, refs []Ref) {
	for _, r := range refs {
		if i := slices.Index(t.own, run{r.Task, r.Attempt}); i >= 0 {
			t.own = slices.Delete(t.own, i, i+1)
			s.ownReturned(r.Task, r.Attempt, t.to, "refused")
		}
		i := slices.IndexFunc(t.copies, func(h *held) bool {
			return h.task.ID == r.Task && h.task.Attempt == r.Attempt
		})
		if i >= 0 {
			h := t.copies[i]
			t.copies = slices.Delete(t.copies, i, i+1)
			s.reclaim(h)
		}
	}
}

// takeBack takes back a transfer that never arrived, or whose thief is silent.
func (s *Scheduler) takeBack(t *transfer, why string) {
	for _, r := range t.own {
		s.ownReturned(r.task, r.attempt, t.to, why)
	}
	for _, h := range t.copies {
		s.reclaim(h)
	}
}

// reclaim puts the copy of a foreign task that was given away back in the
// queue. Its hop goes past the thief's, so that the owner believes the newer report.
func (s *Scheduler) reclaim(h *held) {
	_, back := s.holder.held[h.task.ID]
	_, busy := s.holder.running[run{h.task.ID, h.task.Attempt}]
	if back || busy {
		// It came back another way; or it did, and the owner had it stopped here, which has not
		// come about yet. The owner misses it then, and has it run again.
		s.release(h)
		return
	}
	h.task.Hop++
	s.enqueue(h, true)
	s.reportLater(h.client, h)
}

func (s *Scheduler) closeTransfer(t *transfer) {
	t.to.given--
	s.victim.transfers = slices.DeleteFunc(s.victim.transfers, func(x *transfer) bool { return x == t })
}

// forget drops the copy of one task from the transfer that holds it.
func (v *victim) forget(h *held) {
	for _, t := range v.transfers {
		if i := slices.Index(t.copies, h); i >= 0 {
			t.copies = slices.Delete(t.copies, i, i+1)
			return
		}
	}
}

// onTheWay lists own attempts that a peer may yet receive.
func (v *victim) onTheWay(p *peer) map[run]bool {
	var runs map[run]bool
	for _, t := range v.transfers {
		if t.to != p {
			continue
		}
		for _, r := range t.own {
			if runs == nil {
				runs = make(map[run]bool)
			}
			runs[r] = true
		}
	}
	return runs
}

// victimLost takes back what was on its way to a peer that is gone. Own tasks
// among it are the owner's part to run again.
func (s *Scheduler) victimLost(p *peer) {
	if p.given == 0 {
		return
	}
	for _, t := range slices.Clone(s.victim.transfers) {
		if t.to == p {
			s.closeTransfer(t)
			t.own = nil
			s.takeBack(t, "")
		}
	}
}

// expireVictim repeats transfers that were not acknowledged, and takes them
// back after a lease without a word about them.
func (s *Scheduler) expireVictim() {
	for _, t := range slices.Clone(s.victim.transfers) {
		switch {
		case s.now >= t.heard+s.cfg.Lease:
			s.closeTransfer(t)
			s.takeBack(t, "not acknowledged")
		case s.now >= t.at:
			t.tries++
			t.at = s.now + s.transferPause(t.tries)
			s.stats.Resent++
			m := Message{Kind: KindGive, Seq: t.seq, Load: s.load()}
			if !t.pending {
				m.Tasks = s.transferTasks(t)
			}
			s.send(t.to, m)
		}
	}
}

func (s *Scheduler) transferTasks(t *transfer) []Task {
	var tasks []Task
	for _, r := range t.own {
		if o := s.owner.tasks[r.task]; o != nil && o.at == t.to && o.task.Attempt == r.attempt {
			tasks = append(tasks, o.task)
		}
	}
	for _, h := range t.copies {
		tasks = append(tasks, h.task)
	}
	return tasks
}

func (s *Scheduler) victimTimer() instant {
	next := s.victim.wakeTimer()
	for _, t := range s.victim.transfers {
		next = min(next, t.at, t.heard+s.cfg.Lease)
	}
	return next
}

func (v *victim) wakeTimer() instant {
	if len(v.sleepers) > 0 && v.wakeAt > 0 {
		return v.wakeAt
	}
	return never
}

// addSleeper registers a peer that wants to be woken, and answers it.
func (s *Scheduler) addSleeper(p *peer) {
	s.forgetSleeper(p)
	s.victim.sleepers = append(s.victim.sleepers, p)
	p.sleeper = sleeper{asleep: true}
	if s.holder.queue.n > 0 && s.victim.wakeAt == 0 {
		s.victim.wakeAt = s.now + wakePatience
	}
	if s.offer(p) > 0 && s.wokenNow() < bits.Len(uint(s.holder.queue.n)) {
		s.wake(p)
		return
	}
	s.send(p, Message{Kind: KindLoad, Load: s.load(), Funcs: s.can})
}

func (s *Scheduler) forgetSleeper(p *peer) {
	if p.sleeper.asleep {
		i := slices.Index(s.victim.sleepers, p)
		s.victim.sleepers = slices.Delete(s.victim.sleepers, i, i+1)
	}
	p.sleeper = sleeper{}
}

// offer returns how many queued tasks a steal by that peer would find worth giving.
func (s *Scheduler) offer(p *peer) int {
	n := 0
	q := &s.holder.queue
	for _, l := range q.lanes {
		switch {
		case l.n == 0 || !p.can(l.capability):
		case l.barred:
			n += s.barredFor(l, p.id)
		default:
			stay, _ := s.stay(l, p.rtt)
			n += l.n - stay
		}
	}
	for _, h := range q.shelf[:min(len(q.shelf), maxSkip)] {
		if p.can(h.task.Code.Cap()) && s.maySend(h, p.id) {
			n++
		}
	}
	return n
}

// barredFor counts the tasks that this peer must not run and another may, among
// those that a steal would look at.
func (s *Scheduler) barredFor(l *lane, to chord.PeerID) int {
	n, looked := 0, 0
	for i := l.deque.len - 1; i >= 0 && looked < maxSkip; i-- {
		e := l.deque.at(i)
		if !e.live() {
			continue
		}
		looked++
		if s.maySend(e.held, to) {
			n++
		}
	}
	return n
}

// wokenNow counts wake-ups that may still bring a thief.
func (s *Scheduler) wokenNow() int {
	n := 0
	for _, p := range s.victim.sleepers {
		if p.sleeper.woken > 0 && s.now < p.sleeper.at+wakePatience {
			n++
		}
	}
	return n
}

func (s *Scheduler) wake(p *peer) {
	p.sleeper.woken++
	p.sleeper.at = s.now
	s.victim.wakeAt = s.now + wakePatience
	s.send(p, Message{Kind: KindWake, Load: s.load()})
}

// wakeSleepers tells registered peers of a surplus: a few at a time, the
// nearest first, since each takes half and wakes others in turn.
func (s *Scheduler) wakeSleepers() {
	v := &s.victim
	if len(v.sleepers) == 0 || !v.surplus && s.now < v.wakeTimer() {
		v.surplus = false
		return
	}
	v.surplus = false
	v.wakeAt = 0
	n := s.holder.queue.n
	if n == 0 {
		return
	}
	v.wakeAt = s.now + wakePatience
	few := bits.Len(uint(n)) - s.wokenNow()
	if few <= 0 {
		return
	}
	var ready []*peer
	for _, p := range slices.Clone(v.sleepers) { // some may be forgotten
		if p.sleeper.woken > 0 && s.now < p.sleeper.at+wakePatience {
			continue
		}
		if p.sleeper.woken >= maxWakes {
			s.forgetSleeper(p)
			continue
		}
		if s.offer(p) > 0 {
			ready = append(ready, p)
		}
	}
	slices.SortFunc(ready, func(a, b *peer) int {
		return cmp.Or(cmp.Compare(a.rtt, b.rtt), cmp.Compare(a.id, b.id))
	})
	for _, p := range ready[:min(len(ready), few)] {
		s.wake(p)
	}
}
