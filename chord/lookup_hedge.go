package chord

import "time"

// minPatience is how long an answer is waited for at least before another peer
// is asked, too: the clocks and queues of a busy host vary that much.
const minPatience = 10 * time.Millisecond

// patience returns how long a lookup waits for the answer of a peer before it
// asks another one beside it: as long as nearly all of its answers take, or those of
// all peers if it is new. That is much less than the time-out, and evidence of
// nothing. Each further one is waited for twice as long, as it is not that one who
// is late. 0 means that the lookup waits until the time-out.
func (r *Ring) patience(l *lookup, id PeerID) time.Duration {
	if !l.checked() || r.cfg.Classic {
		return 0
	}
	usual := r.usual
	if m := r.table.members[id]; m != nil && m.rtt.smooth != 0 {
		usual = m.rtt
	}
	if usual.smooth == 0 {
		usual.smooth = r.cfg.FirstTimeout / 2
	}
	return max(usual.smooth+4*usual.vary, minPatience) << min(l.hedges, 8)
}

// blend takes a round trip to any peer. The weight of one is small, so that near
// peers that were heard lately do not make those far off late.
func (e *rtt) blend(d time.Duration) {
	if e.smooth == 0 {
		e.sample(d)
		return
	}
	const weight = 64
	e.vary += ((e.smooth - d).Abs() - e.vary) / weight
	e.smooth += (d - e.smooth) / weight
}

// delay sets when a lookup goes on though nothing came in; 0: it does not.
func (r *Ring) delay(l *lookup, d time.Duration) {
	l.lateAt = time.Time{}
	if d > 0 {
		l.lateAt = r.now.Add(d)
		r.hedges.push(timer{l.lateAt, l.id})
	}
}

// nextHedge returns when the next lookup goes on by itself; the zero time if
// none does.
func (r *Ring) nextHedge() time.Time {
	for len(r.hedges) > 0 {
		t := r.hedges[0]
		if l := r.lookups[t.req]; l != nil && l.lateAt.Equal(t.at) && r.now.Before(t.at) {
			return t.at
		}
		r.hedges.pop()
	}
	return time.Time{}
}
