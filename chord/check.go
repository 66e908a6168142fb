package chord

import (
	"fmt"
	"slices"
)

// check states the invariants of a Ring's state. Tests call it after every
// step.
func (r *Ring) check() error {
	for _, s := range r.slots {
		if err := r.checkSlot(s); err != nil {
			return fmt.Errorf("position %s: %w", s.ID.Short(), err)
		}
	}
	if err := r.checkTable(); err != nil {
		return fmt.Errorf("table: %w", err)
	}
	waiting := make(map[*member]int)
	for req, q := range r.requests {
		if q.req != req {
			return fmt.Errorf("request %d filed as %d", q.req, req)
		}
		if q.late && q.counted != nil {
			return fmt.Errorf("request %d is late and counted", req)
		}
		waiting[q.counted]++
	}
	for id, m := range r.table.members {
		if m.waiting != waiting[m] {
			return fmt.Errorf("%d requests to %q, %d counted", waiting[m], id, m.waiting)
		}
	}
	if filed := len(r.timers); filed < len(r.requests) {
		return fmt.Errorf("%d requests, %d timers", len(r.requests), filed)
	}
	for id, l := range r.lookups {
		if len(l.asked) > max(maxAsked, maxWary) || len(l.asked) == 0 && l.lateAt.IsZero() && !l.news && r.phase == phaseMember {
			return fmt.Errorf("lookup %d waits for %d answers", id, len(l.asked))
		}
	}
	if len(r.out) != 0 {
		return fmt.Errorf("%d messages not flushed", len(r.out))
	}
	if len(r.items) > maxItems || len(r.carried) > maxCarried {
		return fmt.Errorf("%d events to pass on, %d passed on", len(r.items), len(r.carried))
	}
	if len(r.rumours) > maxRumours || len(r.lookups) > maxLookups+MaxIndexes+1 || len(r.table.departed) > maxDeparted {
		return fmt.Errorf("%d rumours, %d lookups, %d departed", len(r.rumours), len(r.lookups), len(r.table.departed))
	}
	return nil
}

func (r *Ring) checkSlot(s *slot) error {
	if r.phase != phaseMember {
		return nil
	}
	last := s.ID
	for i, p := range s.list {
		switch {
		case !between(last, p.ID, s.ID):
			return fmt.Errorf("entry %d is out of order", i)
		case p.ID != Position(p.Peer, p.Index):
			return fmt.Errorf("entry %d is at a false position", i)
		case p.Peer == r.self.ID:
		case !r.table.holds(p):
			return fmt.Errorf("entry %d is in no known record", i)
		}
		last = p.ID
	}
	if cut := r.cut(s.list); len(cut) != len(s.list) {
		return fmt.Errorf("%d entries name enough peers, %d kept", len(cut), len(s.list))
	}
	for _, o := range r.slots {
		if o != s && between(s.ID, o.ID, last) && !slices.Contains(s.list, o.Place) {
			return fmt.Errorf("skips own position %s", o.ID.Short())
		}
	}
	if s.digest != 0 && s.digestAt == r.stamp() && s.digest != r.computeDigest(s) {
		return fmt.Errorf("the digest is that of another state")
	}
	if s.last.serial != 0 && s.copiedAt == r.stamp() && !slices.Equal(s.list, r.normal(s, append([]Place{s.head()}, s.last.list...))) {
		return fmt.Errorf("the successor's list would be copied otherwise now")
	}
	if s.pred != nil && s.pred.ID == s.ID {
		return fmt.Errorf("precedes itself")
	}
	if s.pred != nil && s.pred.Peer != r.self.ID && !r.table.holds(*s.pred) {
		return fmt.Errorf("predecessor is in no known record")
	}
	return nil
}

func (r *Ring) checkTable() error {
	t := r.table
	index, count, digest := 0, 0, uint64(0)
	if r.phase == phaseLeft {
		return nil
	}
	if r.phase == phaseMember {
		index, digest = len(r.slots), r.self.digest()
	}
	if stranger != (contact{}) {
		return fmt.Errorf("strangers were talked to: %+v", stranger)
	}
	for id, m := range t.members {
		if m.peer.ID != id || id == r.self.ID {
			return fmt.Errorf("%q filed as %q", m.peer.ID, id)
		}
		if m.admitted {
			index += len(m.peer.places)
			count++
			digest ^= m.peer.digest()
			if !slices.Contains(t.filed[m.peer.part], m) {
				return fmt.Errorf("%q is not filed in part %d", id, m.peer.part)
			}
		} else if t.watched[id] != m {
			return fmt.Errorf("nobody checks the hearsay of %q", id)
		}
	}
	for id, m := range t.watched {
		if t.members[id] != m {
			return fmt.Errorf("%q is watched and unknown", id)
		}
	}
	if err := t.index.check(); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := t.roll.check(); err != nil {
		return fmt.Errorf("roll: %w", err)
	}
	if index != t.index.count || count != t.count || digest != t.digest {
		return fmt.Errorf("index of %d, count %d, digest %x; want %d, %d, %x", t.index.count, t.count, t.digest, index, count, digest)
	}
	return nil
}
