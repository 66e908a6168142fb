package chord

import "time"

// spare is how much slower maintenance goes in a ring that is not small.
const spare = 6

// toldRounds is how many rounds a slot leaves out when its successor has told it
// something, and so lives and knows it.
const toldRounds = 3

// reviveTurn is the number of rounds of a large ring without tables in which one
// departed peer is asked whether it is back: one answer is enough for a whole part.
const reviveTurn = 4

// small reports whether the ring is so small that everybody hears of everything
// at once.
func (r *Ring) small() bool {
	if now := r.stamp(); r.smallAt != now || r.smallOf != r.table.count {
		r.smallAt, r.smallOf = now, r.table.count
		r.isSmall = r.table.count <= r.cfg.SmallRing && int(r.size()) <= r.cfg.SmallRing+1
	}
	return r.isSmall
}

// pace returns how long a period of a small ring is in this one.
func (r *Ring) pace(d time.Duration) time.Duration {
	if r.small() {
		return d
	}
	return spare * d
}

// touch notes that the peer's ring state changed: in a small ring a round of
// stabilisation follows soon.
func (r *Ring) touch() {
	r.revision++
	r.urgent = true
}

// hasten lets a slot ask its successor soon: it is a new one.
func (r *Ring) hasten(s *slot) {
	s.hasty, s.quiet = true, 0
	r.urgent = true
}

// round is one round of maintenance. Every own position asks its successor, in
// one message a peer, and the table and fingers get their turn; between two rounds
// of that kind only the slots that have hurry.
func (r *Ring) round() {
	r.lastRound = r.now
	all := !r.now.Before(r.roundAt)
	for i := len(r.slots) - 1; i >= 0; i-- {
		s := r.slots[i]
		if s.hasty || all && (s.spared == 0 || r.small() || r.reuniting()) && !r.resting(s) {
			s.hasty, s.taken = false, r.turnOf(s)
			r.stabilise(s)
			if !all && !r.small() {
				s.spared = max(1, s.spared)
			}
		}
		if all {
			s.quiet++
			s.spared = max(0, s.spared-1)
			r.remind(s)
		}
	}
	if all {
		r.stats.Rounds++
		r.account()
		r.forgetNews()
		r.filled = r.filled || r.wide() && r.small()
		r.gossipPartner()
		if r.small() || r.wide() || r.stats.Rounds%reviveTurn == 0 {
			r.revive()
		}
		r.fixFinger()
		r.prune()
		r.vetting.prune(r.now)
		r.period = max(r.period, r.pace(r.cfg.Stabilise))
		jitter := time.Duration(r.rng.Int64N(int64(r.period)/8 + 1))
		r.roundAt = r.now.Add(r.period - jitter)
		r.period = min(r.period*3/2, r.pace(r.cfg.Calm))
	}
	r.stabiliseAt = r.roundAt
}

// hurry brings the next round forward if something has changed.
func (r *Ring) hurry() {
	if !r.urgent || r.phase != phaseMember {
		return
	}
	r.urgent = false
	hasty := false
	for _, s := range r.slots {
		hasty = hasty || s.hasty
	}
	soon := r.lastRound.Add(minRound)
	if soon.Before(r.now) {
		soon = r.now
	}
	if r.small() {
		r.period = r.cfg.Stabilise
		r.roundAt = sooner(r.roundAt, soon)
	}
	if hasty || r.small() {
		r.stabiliseAt = sooner(r.stabiliseAt, soon)
	}
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// duty reports whether the peer is right before or behind one of our
// positions: then it is ours to notice when it dies.
func (r *Ring) duty(id PeerID) bool {
	for _, s := range r.slots {
		if s.head().Peer == id || s.pred != nil && s.pred.Peer == id {
			return true
		}
	}
	return false
}
