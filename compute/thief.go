package compute

import (
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// thief is the part of a scheduler that looks for work when there is none here.
type thief struct {
	active     bool // one steal is in flight
	seq        uint64
	victim     chord.PeerID
	at         instant // when it counts as failed
	fails      int     // in a row
	unanswered bool    // one of the tries before was not answered, and did not count

	asleep    bool // silent until woken
	refreshAt instant
	regAt     instant      // earliest repeat of a registration
	hint      chord.PeerID // who is said to have work
	hintAt    instant

	arrivals map[arrivalKey]*arrival
	order    []arrivalKey // oldest first
}

// arrivalKey names a transfer at the thief. Numbers grow from the victim's
// session, so they do not repeat after a restart.
type arrivalKey struct {
	from chord.PeerID
	seq  uint64
}

// arrival remembers a transfer, to answer repeats and to acknowledge it once
// the owners of all its tasks know where they are.
type arrival struct {
	arrivalKey
	left    int // tasks whose owners do not know yet
	refused []Ref
}

const (
	maxArrivals = 4096
	// maxAge is when a load is too old to count; it halves every loadHalf.
	maxAge   = 10 * time.Second
	loadHalf = 2 * time.Second
	maxRegs  = 3 // registrations sent without an answer
	// vainPause is how long a peer that found nothing for it in a queue does not
	// come back for what that queue's peer cannot run.
	vainPause = 2 * time.Second
)

func newThief() thief { return thief{regAt: never, arrivals: make(map[arrivalKey]*arrival)} }

// rouse ends a sleep, so that the next look finds out what has changed.
func (t *thief) rouse() { t.asleep, t.fails = false, 0 }

// hungry reports whether a worker is free and nothing here is for it.
func (s *Scheduler) hungry() bool {
	return s.freeSlots() > 0 && len(s.can) > 0 && !s.holder.queue.runnable()
}

// seek looks for work: where the peer was told that there is some, at the more
// loaded of two known peers, and after a few failures not at all: then it
// registers on its lifelines and sleeps.
func (s *Scheduler) seek() {
	t := &s.thief
	if t.active || !s.hungry() {
		return
	}
	if t.hint != "" && s.now >= t.hintAt {
		p := s.peers.get(t.hint)
		t.hint = ""
		if p != nil {
			s.steal(p)
			return
		}
	}
	if t.asleep {
		return
	}
	if t.fails < s.cfg.Tries {
		if p := s.pick(); p != nil {
			s.steal(p)
			return
		}
	}
	t.asleep, t.fails, t.unanswered = true, 0, false
	t.refreshAt = s.now + s.jitter(s.cfg.Refresh)
	s.register()
}

// pick draws two peers that seem to have work for this one and returns the
// more loaded, or the nearer where that is about the same. If no peer seems to
// have any, it returns one whose load is unknown.
func (s *Scheduler) pick() *peer {
	var loaded, unknown []*peer
	for _, p := range s.peers.all {
		switch {
		case s.score(p) > 0:
			loaded = append(loaded, p)
		case p.known && (p.load.Seq == 0 || s.now-p.loadAt > maxAge):
			unknown = append(unknown, p)
		}
	}
	if len(loaded) == 0 {
		if len(unknown) == 0 {
			return nil
		}
		return unknown[s.rng.IntN(len(unknown))]
	}
	i := s.rng.IntN(len(loaded))
	if len(loaded) == 1 {
		return loaded[0]
	}
	j := s.rng.IntN(len(loaded) - 1)
	if j >= i {
		j++
	}
	a, b := loaded[i], loaded[j]
	switch x, y := s.score(a), s.score(b); {
	case x > y+y/4 || y <= x+x/4 && a.rtt < b.rtt:
		return a
	case y > x+x/4 || b.rtt < a.rtt:
		return b
	case x >= y:
		return a
	default:
		return b
	}
}

// score is the number of tasks for this peer that another is thought to have
// queued, halved for each loadHalf of the news' age.
func (s *Scheduler) score(p *peer) int {
	age := s.now - p.loadAt
	if p.load.Seq == 0 || age > maxAge {
		return 0
	}
	n := 0
	for _, l := range p.load.Lanes {
		if _, ok := slices.BinarySearch(s.can, l.Cap); ok {
			n += int(l.Queued)
		}
	}
	return n >> (age / loadHalf)
}

// steal asks a peer for half of its queue.
func (s *Scheduler) steal(p *peer) {
	t := &s.thief
	t.active, t.seq, t.victim = true, s.nextSeq(), p.id
	t.at = s.now + max(s.cfg.StealTimeout, 4*p.rtt)
	p.reg = registration{}
	s.stats.Steals++
	room := max(s.cfg.MaxQueue-s.holder.foreign, 0)
	bytes := max(min(s.cfg.MaxSteal, s.cfg.MaxBytes-s.holder.bytes), 0)
	s.send(p, Message{Kind: KindSteal, Seq: t.seq, Load: s.load(), Funcs: s.can, Room: uint32(room), RoomBytes: uint64(bytes)})
}

// stealUnanswered ends a steal from a peer that is gone, or silent. What that says of
// others is nothing, so one more try is free.
func (s *Scheduler) stealUnanswered() {
	free := !s.thief.unanswered
	s.stealFailed()
	if free {
		s.thief.unanswered = true
		s.thief.fails--
	}
}

func (s *Scheduler) stealFailed() {
	s.thief.active = false
	s.thief.fails++
	s.stats.StealsFailed++
}

// onGive handles tasks, or the lack of them, from a victim.
func (s *Scheduler) onGive(p *peer, m *Message) {
	t := &s.thief
	if m.Re != 0 && t.active && t.seq == m.Re {
		if len(m.Tasks) == 0 {
			p.vainUntil = s.now + vainPause
			s.stealFailed()
		} else {
			t.active, t.asleep, t.fails, t.unanswered = false, false, 0, false
		}
	}
	s.learnLoad(p, &m.Load)
	if m.Seq == 0 {
		return
	}
	key := arrivalKey{p.id, m.Seq}
	a := t.arrivals[key]
	switch {
	case a != nil:
		s.send(p, Message{Kind: KindTaken, Seq: m.Seq, Pending: a.left > 0, Refs: a.refused})
	case len(m.Tasks) == 0:
		s.send(p, Message{Kind: KindTaken, Seq: m.Seq, Unknown: true})
	default:
		t.rouse() // some come unasked
		s.receive(p, key, m.Tasks)
	}
}

// receive takes the tasks of a new transfer into the queue, in their order.
func (s *Scheduler) receive(p *peer, key arrivalKey, tasks []Task) {
	a := &arrival{arrivalKey: key}
	s.remember(a)
	a.left = 1 // until all tasks are counted
	for i := range tasks {
		if t := &tasks[i]; !s.accept(p, t, a) {
			a.refused = append(a.refused, t.ref())
		}
	}
	a.left--
	switch {
	case a.left == 0:
		s.acknowledge(a)
	case len(a.refused) > 0:
		s.send(p, Message{Kind: KindTaken, Seq: a.seq, Pending: true, Refs: a.refused})
	}
}

// accept takes one task in and reports whether it did; a task that this peer
// holds already, or that came home too late, is taken and forgotten.
func (s *Scheduler) accept(p *peer, t *Task, a *arrival) bool {
	if s.draining {
		return false
	}
	if t.Owner == s.cfg.Self {
		s.ownCameHome(t)
		return true
	}
	if s.owner.tasks[t.ID] != nil {
		return false // mine, whatever it says
	}
	if h := s.holder.held[t.ID]; h != nil {
		if h.task.Owner != t.Owner {
			return false // somebody lies
		}
		if h.provisional {
			return false // of a division that is another peer's if this is true
		}
		if h.task.Attempt > t.Attempt || h.task.Attempt == t.Attempt && h.task.Hop >= t.Hop {
			return true
		}
		if h.task.Attempt == t.Attempt {
			h.task.Hop = t.Hop
			s.reportLater(h.client, h)
			return true
		}
		s.unhold(h)
		s.release(h)
	}
	i, can := slices.BinarySearch(s.can, t.Code.Cap())
	_, busy := s.holder.running[run{t.ID, t.Attempt}]
	owner, err := s.meet(t.Owner)
	switch {
	case !can, busy, err != nil, t.Apart && slices.Contains(t.Avoid, s.cfg.Self), s.holder.foreign >= s.cfg.MaxQueue, s.holder.bytes > s.cfg.MaxBytes:
		return false
	}
	if t.Code.Func != "" {
		t.Code.Func = s.can[i] // the same word, but not a part of the message
	}
	s.stats.StolenIn++
	if t.Owner == p.id {
		a = nil
	} else {
		a.left++
	}
	s.hold(s.clientOf(owner), *t, a)
	return true
}

// remember keeps a transfer to answer repeats; the oldest settled one makes room.
func (s *Scheduler) remember(a *arrival) {
	t := &s.thief
	t.arrivals[a.arrivalKey] = a
	t.order = append(t.order, a.arrivalKey)
	if len(t.order) > maxArrivals {
		delete(t.arrivals, t.order[0])
		t.order = t.order[1:]
	}
}

// acknowledge tells the victim of a transfer that it may forget it.
func (s *Scheduler) acknowledge(a *arrival) {
	if p := s.peers.get(a.from); p != nil {
		s.send(p, Message{Kind: KindTaken, Seq: a.seq, Refs: a.refused})
	}
}

// thiefLost stops waiting for a peer that is gone.
func (s *Scheduler) thiefLost(p *peer) {
	if s.thief.active && s.thief.victim == p.id {
		s.stealUnanswered()
	}
	if s.thief.hint == p.id {
		s.thief.hint = ""
	}
}

// onWake handles the news that a lifeline has work: steal there, or say that
// there is no need.
func (s *Scheduler) onWake(p *peer, m *Message) {
	t := &s.thief
	s.stats.Woken++
	s.learnLoad(p, &m.Load)
	s.registered(p)
	if s.hungry() {
		t.rouse()
		t.hint, t.hintAt = p.id, s.now
		return
	}
	p.reg = registration{}
	t.asleep = false
	s.send(p, Message{Kind: KindLoad, Load: s.load(), Funcs: s.can, Busy: true})
}

// register asks lifelines that do not know yet to be woken.
func (s *Scheduler) register() {
	for _, p := range s.peers.all {
		if p.lifeline && p.reg.state == regNone {
			s.sendRegister(p, 1)
		}
	}
}

func (s *Scheduler) sendRegister(p *peer, tries int) {
	p.reg = registration{state: regSent, at: s.now + s.backoff(tries-1), tries: tries}
	s.thief.regAt = min(s.thief.regAt, p.reg.at)
	s.send(p, Message{Kind: KindLoad, Load: s.load(), Funcs: s.can, Register: true})
}

// registered notes that a lifeline knows of the sleeper.
func (s *Scheduler) registered(p *peer) {
	if p.reg.state == regSent {
		p.reg.state = regDone
	}
}

func (s *Scheduler) expireThief() {
	t := &s.thief
	if t.active && s.now >= t.at {
		s.stealUnanswered()
	}
	if t.asleep && s.now >= t.refreshAt {
		t.refreshAt = s.now + s.jitter(s.cfg.Refresh)
		if s.hungry() {
			for _, p := range s.peers.all {
				p.reg = registration{}
			}
			s.register()
		}
	}
	if s.now < t.regAt {
		return
	}
	t.regAt = never
	for _, p := range s.peers.all {
		if p.reg.state != regSent {
			continue
		}
		switch {
		case s.now < p.reg.at:
			t.regAt = min(t.regAt, p.reg.at)
		case p.reg.tries >= maxRegs || !t.asleep:
			p.reg.state = regDone
		default:
			s.sendRegister(p, p.reg.tries+1)
		}
	}
}

func (s *Scheduler) thiefTimer() instant {
	t := &s.thief
	next := t.regAt
	if t.active {
		next = min(next, t.at)
	}
	if t.asleep && len(s.gossip.known) > 0 {
		next = min(next, t.refreshAt)
	}
	if t.hint != "" && t.hintAt > s.now {
		next = min(next, t.hintAt)
	}
	return next
}

// jitter varies a period by a tenth, so that peers do not fall into step.
func (s *Scheduler) jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(s.rng.Int64N(int64(d/5)+1))
}
