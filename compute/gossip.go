package compute

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// gossip spreads how busy this peer is, at most once every Config.Gossip, when
// that has changed by about a factor of two. While tasks wait here it is
// repeated ever more slowly; a peer where nothing waits says nothing.
type gossip struct {
	known   []*peer // the driver's set, sorted
	told    int     // magnitude of the queue when last told
	last    instant
	repeat  instant       // when to tell again although nothing has changed
	pause   time.Duration // before the repeat after that
	force   bool          // tell at the next occasion in any case
	started bool
	news    []Load // of others, to pass on
}

const (
	// smallRing is up to how many peers hear each other's loads directly;
	// beyond it news goes to a few and is passed on.
	smallRing = 8
	maxHops   = 3
	// largePause is by how much rounds are further apart where news is passed on:
	// something is always new then, and the model shows no gain from more.
	largePause = 4
	// firstRepeat is the first pause between repeats; it doubles up to Config.Refresh.
	firstRepeat = 2 * time.Second
	// hintSpread is over how long peers that hear of work for them spread their steals.
	hintSpread = 20 * time.Millisecond
)

func newGossip() gossip { return gossip{repeat: never} }

// load describes this peer.
func (s *Scheduler) load() Load {
	l := Load{Peer: s.cfg.Self, Seq: s.nextSeq(), Slots: uint32(s.holder.slots), Running: uint32(len(s.holder.running))}
	q := &s.holder.queue
	if q.n == 0 {
		return l
	}
	for _, a := range q.lanes {
		if stay, _ := s.stay(a, 0); a.n > stay {
			l.add(Lane{Cap: a.capability, Queued: uint32(a.n - stay), Starved: !a.here})
		}
	}
	for _, h := range q.shelf {
		l.add(Lane{Cap: h.task.Code.Cap(), Queued: 1, Starved: true})
	}
	slices.SortStableFunc(l.Lanes, func(a, b Lane) int { return cmp.Compare(b.Queued, a.Queued) })
	l.Lanes = l.Lanes[:min(len(l.Lanes), MaxLanes)]
	return l
}

// add counts tasks in the lane of their capability.
func (l *Load) add(more Lane) {
	for i := range l.Lanes {
		if a := &l.Lanes[i]; a.Cap == more.Cap {
			a.Queued += more.Queued
			a.Starved = a.Starved || more.Starved
			return
		}
	}
	l.Lanes = append(l.Lanes, more)
}

func (l *Load) queued() int {
	n := 0
	for _, a := range l.Lanes {
		n += int(a.Queued)
	}
	return n
}

// learnLoad notes a peer's load unless a newer one is known, and reports
// whether it was new.
func (s *Scheduler) learnLoad(p *peer, l *Load) bool {
	if l.Seq <= p.load.Seq || l.Peer != p.id {
		return false
	}
	p.load, p.loadAt = *l, s.now
	s.consider(p)
	return true
}

// consider plans a steal by a sleeping peer when another has tasks that wait for
// it in particular, because that one cannot run them. Where it has just found that
// they are not for it either, it waits a while.
func (s *Scheduler) consider(p *peer) {
	t := &s.thief
	if !t.asleep || t.hint != "" || s.now < p.vainUntil || !s.hungry() {
		return
	}
	for _, l := range p.load.Lanes {
		if _, ok := slices.BinarySearch(s.can, l.Cap); ok && l.Starved {
			t.hint, t.hintAt = p.id, s.now+time.Duration(s.rng.Int64N(int64(hintSpread)))
			return
		}
	}
}

// onLoad handles gossip, registrations and the answers to them.
func (s *Scheduler) onLoad(p *peer, m *Message) {
	p.funcs = m.Funcs
	s.registered(p)
	if s.learnLoad(p, &m.Load) {
		s.passOn(m.Load)
	}
	for _, l := range m.Loads {
		if l.Peer == s.cfg.Self || l.Peer == "" {
			continue
		}
		if q, err := s.meet(l.Peer); err == nil && s.learnLoad(q, &l) {
			s.passOn(l)
		}
	}
	switch {
	case m.Busy:
		s.forgetSleeper(p)
		s.victim.surplus = true // what it was woken for is there for another
	case m.Register:
		s.addSleeper(p)
	}
}

// passOn keeps news of a queue for the next round of gossip, in a ring too
// large for everybody to hear it directly.
func (s *Scheduler) passOn(l Load) {
	g := &s.gossip
	if len(g.known) <= smallRing || l.Hops >= maxHops || l.queued() == 0 {
		return
	}
	l.Hops++
	if i := slices.IndexFunc(g.news, func(x Load) bool { return x.Peer == l.Peer }); i >= 0 {
		g.news[i] = l
		return
	}
	if len(g.news) == MaxLoads {
		g.news = slices.Delete(g.news, 0, 1)
	}
	g.news = append(g.news, l)
}

// magnitude is what must change for gossip to be worth it: the order of the
// queue that others may take from.
func (s *Scheduler) magnitude() int {
	n := s.holder.queue.n
	for _, l := range s.holder.queue.lanes {
		n -= l.bound
		if s.keepsJoins(l, 0) {
			n -= l.joins
		}
	}
	return bits.Len(uint(n))
}

// gossipDue returns when the next round is to be sent, as things stand.
func (s *Scheduler) gossipDue() instant {
	g := &s.gossip
	if len(g.known) == 0 {
		return never
	}
	due := g.repeat
	if g.force || len(g.news) > 0 || s.magnitude() != g.told {
		due = s.now
	}
	if g.started && due != never {
		pause := s.cfg.Gossip
		if len(g.known) > smallRing {
			pause *= largePause
		}
		due = max(due, g.last+pause)
	}
	return due
}

func (s *Scheduler) gossipTimer() instant { return s.gossipDue() }

// spread sends a round of gossip if one is due.
func (s *Scheduler) spread() {
	g := &s.gossip
	if s.now < s.gossipDue() {
		return
	}
	to := g.known
	if len(to) > smallRing {
		to = s.sample(to, s.cfg.Fanout)
	}
	m := Message{Kind: KindLoad, Load: s.load(), Loads: g.news, Funcs: s.can}
	for _, p := range to {
		s.send(p, m)
	}
	if now := s.magnitude(); now != g.told || g.pause == 0 {
		g.told, g.pause = now, firstRepeat
	}
	g.last, g.started, g.force, g.news = s.now, true, false, nil
	g.repeat = never
	if g.told > 0 {
		g.repeat = s.now + s.jitter(g.pause)
		g.pause = min(2*g.pause, s.cfg.Refresh)
	}
}

// sample draws n distinct peers.
func (s *Scheduler) sample(from []*peer, n int) []*peer {
	picked := make([]*peer, 0, n)
	for _, i := range s.rng.Perm(len(from)) {
		if len(picked) == n {
			break
		}
		picked = append(picked, from[i])
	}
	return picked
}
