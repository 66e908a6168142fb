package compute

import "time"

// kind tells tasks apart by what they may be expected to take: those of one capability
// are alike, but that joining what parts put out is another thing than their work.
type kind struct {
	capability string
	join       bool
}

func (t *Task) kind() kind { return kind{t.Code.Cap(), t.Join} }

const (
	// stealCost is about what a steal takes where the network takes no time at all.
	stealCost = time.Millisecond
	// joinPatience is how long a cheap join may wait for a worker before it is worth a steal:
	// so long, or so many round trips.
	joinPatience, joinTrips = 100 * time.Millisecond, 20
)

// learnCost keeps a moving average of what tasks of a kind take.
func (s *Scheduler) learnCost(k kind, d time.Duration) {
	costs := s.holder.costs
	old, ok := costs[k]
	if !ok {
		if len(costs) >= 2*MaxFuncs {
			clear(costs)
		}
		costs[k] = max(d, 1)
		return
	}
	costs[k] = max(old+(d-old)/8, 1)
}

// stay returns how many queued tasks of a lane are not for a thief with that round
// trip, and whether all joins are among them.
func (s *Scheduler) stay(l *lane, rtt time.Duration) (n int, joins bool) {
	if joins = s.keepsJoins(l, rtt); joins {
		n = l.joins
	}
	return n + max(l.bound, s.keep(l, rtt, joins)), joins
}

// keep returns how many queued tasks of a lane, beside joins that stay, this peer would itself
// start while a steal goes on: stealing those does not pay. It starts none before a worker is
// free. Tasks that run for longer than former ones took show that these are no guide.
func (s *Scheduler) keep(l *lane, rtt time.Duration, joins bool) int {
	cost := s.holder.costs[kind{capability: l.capability}]
	if !l.here || cost == 0 {
		return 0
	}
	for _, h := range s.holder.running {
		if h.task.Code.Cap() == l.capability {
			cost = max(cost, s.now-h.began)
		}
	}
	many := int64(max(max(rtt, stealCost)-s.gap(), 0)) * int64(s.holder.slots) / int64(cost)
	return l.first(int(min(many, int64(l.n))), joins)
}

// first returns how many tasks at the own end come to as much work as so many of the
// lightest there. Joins are next to none; those that stay anyway are not counted.
func (l *lane) first(many int, joins bool) int {
	n, work, lightest := 0, uint64(0), uint64(0)
	for i := 0; i < min(l.deque.len, maxSkip) && n < many && work < uint64(many)*lightest+1; i++ {
		e := l.deque.at(i)
		switch {
		case !e.live():
			continue
		case e.held.task.Join:
			if !joins {
				n++
			}
			continue
		}
		n++
		w := e.held.task.weight()
		if work += w; lightest == 0 {
			lightest = w
		}
	}
	if n < maxSkip {
		return n
	}
	return many
}

// keepsJoins reports whether the joins in a lane stay here: as far as is known they
// are over sooner than a steal, and a worker will soon be free for them.
func (s *Scheduler) keepsJoins(l *lane, rtt time.Duration) bool {
	return l.joins > 0 && l.here && s.holder.costs[kind{l.capability, true}] <= max(rtt, stealCost) &&
		s.gap() <= max(joinPatience, joinTrips*rtt)
}

// gap returns how long it may be until a worker is free: a run takes what such tasks took
// before, and one that takes longer, as long again as it has.
func (s *Scheduler) gap() time.Duration {
	if len(s.holder.running) < s.holder.slots {
		return 0
	}
	gap := never
	for _, h := range s.holder.running {
		ran := s.now - h.began
		left := s.holder.costs[h.task.kind()] - ran
		if left < 0 {
			left = ran
		}
		gap = min(gap, left)
	}
	return gap
}
