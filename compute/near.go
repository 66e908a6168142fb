package compute

import (
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// MaxNear bounds the peers that a task names as near.
const MaxNear = 8

// nearGrain is by how many tasks a worker a peer may be busier than twice the least
// busy one, and still be given tasks that name it.
const nearGrain = 4

// seat is a peer that tasks may be placed at.
type seat struct {
	slots  int
	had    int // tasks that wait or run there, as far as is known
	placed []*held
}

// busy is how many tasks each worker has before it, with what is placed there.
func (t *seat) busy() int { return (t.had + len(t.placed)) / t.slots }

// place sends own tasks that name peers to those: each to the least busy of them, unless
// even that one is much busier than others are. The rest waits here. From then on they
// are tasks like others: who is idle steals them.
func (s *Scheduler) place(hands []*held) {
	capability := hands[0].task.Code.Cap()
	seats := s.seats(capability)
	least := -1
	for _, t := range seats {
		if least < 0 || t.busy() < least {
			least = t.busy()
		}
	}
	for _, h := range hands {
		var best *seat
		for _, id := range h.task.Near {
			t := seats[id]
			if t != nil && t.had/t.slots <= 2*least+nearGrain && (best == nil || t.busy() < best.busy()) {
				best = t
			}
		}
		if best == nil {
			s.enqueue(h, false)
			continue
		}
		best.placed = append(best.placed, h)
	}
	for _, p := range s.peers.all {
		if t := seats[p.id]; t != nil {
			s.giveAll(p, t.placed)
		}
	}
	if t := seats[s.cfg.Self]; t != nil {
		for _, h := range t.placed {
			s.enqueue(h, false)
		}
	}
}

// seats lists the peers that can run tasks that need a capability, this one included.
func (s *Scheduler) seats(capability string) map[chord.PeerID]*seat {
	seats := make(map[chord.PeerID]*seat)
	for _, p := range s.peers.all {
		if p.session == 0 || !p.can(capability) {
			continue
		}
		t := &seat{slots: max(int(p.load.Slots), 1)}
		if p.load.Seq > 0 && s.now-p.loadAt <= maxAge {
			t.had = p.load.queued() + int(p.load.Running)
		}
		seats[p.id] = t
	}
	if s.holder.slots > 0 && s.holder.queue.has(capability) {
		seats[s.cfg.Self] = &seat{slots: s.holder.slots, had: s.holder.queue.n + len(s.holder.running)}
	}
	return seats
}

// giveAll gives a peer tasks that it has not asked for, in as many transfers as that
// takes. What would be too many of those under way waits here.
func (s *Scheduler) giveAll(p *peer, hands []*held) {
	for len(hands) > 0 && len(s.victim.transfers) < maxTransfers/2 {
		n := s.fits(hands)
		s.give(p, hands[:n], 0)
		hands = hands[n:]
	}
	for _, h := range hands {
		s.enqueue(h, false)
	}
}

// fits returns how many tasks go into one message, at least one.
func (s *Scheduler) fits(hands []*held) int {
	n, bytes := 0, 0
	for n < len(hands) && n < MaxMessageTasks {
		bytes += hands[n].task.size()
		if n > 0 && bytes > s.cfg.MessageBytes {
			break
		}
		n++
	}
	return n
}

// isNear reports whether a peer is one of those that a task names.
func (t *Task) isNear(p chord.PeerID) bool { return slices.Contains(t.Near, p) }
