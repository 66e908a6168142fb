package chord

import (
	"math"
	"time"
)

// budget is what the peer may spend on membership events, and what they cost in
// this ring.
type budget struct {
	rate   float64   // bytes a second that table comparisons may take
	burst  float64   // bytes that may be saved up
	saved  float64   // bytes that may be spent now; below 0: owed
	at     time.Time // as of when
	checks float64   // departures that may be checked now
	chkAt  time.Time

	events float64 // estimated events a second in the ring
	listed int     // entries that were new in lists since
	since  time.Time

	over, under time.Duration // how long the cost has been above or below
}

const (
	recordCost   = 165 // bytes of an event that is a record
	goneCost     = 25  // bytes of one that is a departure
	checksPerS   = 0.2
	maxChecks    = 4
	churnSpan    = 30 * time.Second // over which the rate of events is averaged
	narrowAfter  = time.Minute
	widenAfter   = 30 * time.Second
	compareShare = 8 // of the budget: what comparisons may take
)

// check takes one of the checks of departures, if there is one.
func (b *budget) check(now time.Time) bool {
	if !b.chkAt.IsZero() {
		b.checks = min(maxChecks, b.checks+checksPerS*now.Sub(b.chkAt).Seconds())
	}
	b.chkAt = now
	if b.checks < 1 {
		return false
	}
	b.checks--
	return true
}

// afford reports whether something may be spent.
func (b *budget) afford(now time.Time) bool {
	if !b.at.IsZero() {
		b.saved = min(b.burst, b.saved+b.rate*now.Sub(b.at).Seconds())
	}
	b.at = now
	return b.saved > 0
}

// spend takes bytes, which may be more than there are: the rest is owed.
func (b *budget) spend(bytes int) { b.saved -= float64(bytes) }

// spreading is what it costs a second to hear of all events, and filling what it
// costs to give newcomers a table.
func spreading(events float64) float64 { return events / 2 * (recordCost + goneCost) }
func filling(events float64) float64   { return events / 2 * recordCost }

// wide reports whether the peer keeps a table of all others.
func (r *Ring) wide() bool { return r.cfg.tabled() && !r.narrow }

// complete reports whether the table is to hold the whole ring.
func (r *Ring) complete() bool {
	return r.wide() && (r.filled || r.small()) && r.table.count < r.cfg.TableSize
}

// size estimates the number of peers: by the table, or by how dense the lists
// are.
func (r *Ring) size() float64 {
	if r.wide() && r.filled {
		return float64(r.table.count + 1)
	}
	if at := r.revision + 1; r.denseAt != at {
		r.denseAt, r.dense = at, r.density()
	}
	if r.dense == 0 {
		return float64(r.table.count + 1)
	}
	return r.dense
}

// leastSize returns how many peers there are at least, as far as one can tell: in a short
// list a few may stand close together by chance, in a ring of any size.
func (r *Ring) leastSize() float64 {
	size, known := r.size(), float64(r.table.count+1)
	n := 0
	for _, s := range r.slots {
		n += len(s.list)
	}
	if size <= known || n == 0 {
		return size
	}
	return max(known, size*(1-2/math.Sqrt(float64(n)))) // two standard deviations below
}

// density estimates the number of peers by how dense the lists are, 0 if they tell
// nothing.
func (r *Ring) density() float64 {
	places, span := 0, 0.0
	for _, s := range r.slots {
		if n := len(s.list); n > 0 {
			places += n
			span += Arc{From: s.ID, To: s.list[n-1].ID}.Fraction()
		}
	}
	if span == 0 {
		return 0
	}
	return float64(places) / span / float64(len(r.slots))
}

// believes reports whether the ring is so large that others are believed who is in
// it, until evidence speaks against it.
func (r *Ring) believes() bool { return r.size() > float64(r.cfg.VerifyPeers) }

// account estimates the rate of events from what changes in the own lists, and
// decides whether to keep a table. Everybody sees the same ring, so that others
// come to the same end; who keeps no table says so.
func (r *Ring) account() {
	b := &r.budget
	if b.since.IsZero() {
		b.since = r.now
		b.listed = 0
		return
	}
	dt := r.now.Sub(b.since)
	if n := r.listing(); n > 0 && dt > 0 && !r.reuniting() {
		seen := float64(b.listed) / dt.Seconds() * r.size() / float64(n)
		b.events += (seen - b.events) * min(1, dt.Seconds()/churnSpan.Seconds())
	}
	b.since, b.listed = r.now, 0

	cost := spreading(b.events) * 1.2 // with the messages that carry them
	limit := float64(r.cfg.Budget)
	b.rate, b.burst = limit/compareShare, 0
	if rest := limit - spreading(b.events) - filling(b.events); rest > 0 {
		b.rate = max(b.rate, rest)
		b.burst = max(1<<16, 2*recordCost*r.size())
	}
	least := r.leastSize()
	tooMuch := cost > limit && !r.small() || least > float64(r.cfg.TableSize)
	enough := (cost < limit*2/3 || r.small()) && least < float64(r.cfg.TableSize)*0.9
	b.over, b.under = tally(b.over, tooMuch, dt), tally(b.under, enough, dt)
	switch {
	case !r.cfg.tabled():
	case !r.narrow && b.over >= narrowAfter:
		r.narrow, r.filled = true, false
		r.items = nil
		r.table.changed = true
	case r.narrow && b.under >= widenAfter:
		r.narrow = false
		r.table.changed = true
	}
}

func tally(d time.Duration, goesOn bool, dt time.Duration) time.Duration {
	if !goesOn {
		return 0
	}
	return d + dt
}

// listing returns how many peers the own lists name.
func (r *Ring) listing() int {
	if at := r.revision + 1; r.listedAt != at {
		names := make(map[PeerID]bool)
		for _, s := range r.slots {
			for _, p := range s.list {
				names[p.Peer] = true
			}
		}
		r.listedAt, r.listedOf = at, len(names)
	}
	return r.listedOf
}
