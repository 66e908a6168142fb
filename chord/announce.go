package chord

import (
	"fmt"
	"slices"
	"time"
)

// Announce replaces this peer's own record by a newer one of the same
// incarnation and positions: its addresses or its weight have changed. A record
// that is none of that is Output.Refused, and changes nothing.
func (r *Ring) Announce(now time.Time, self Peer) Output {
	r.begin(now)
	if err := r.announce(self); err != nil {
		r.result.Refused = fmt.Errorf("announce: %w", err)
	}
	return r.finish()
}

// Refresh asks peers of the ring how they see it now. Those who are no
// neighbours seldom talk, and what Agreement tells of them may be old.
func (r *Ring) Refresh(now time.Time, ids []PeerID) Output {
	r.begin(now)
	if r.phase == phaseMember {
		for _, id := range ids[:min(len(ids), maxProbes)] {
			if m := r.table.members[id]; m != nil && m.waiting == 0 {
				r.ask(id)
			}
		}
	}
	return r.finish()
}

func (r *Ring) announce(self Peer) error {
	if err := self.validate(); err != nil {
		return err
	}
	old := r.self
	if self.ID != old.ID || self.Incarnation != old.Incarnation || !slices.Equal(self.Indexes, old.Indexes) || self.Seq <= old.Seq {
		return fmt.Errorf("%w: not a newer record of this peer and its positions", ErrMessage)
	}
	member := r.phase == phaseMember
	if member {
		r.table.strike(old)
	}
	r.self = completed(self)
	r.table.version++
	if !member {
		return nil
	}
	r.table.enter(r.self)
	r.fresh = true
	r.table.untold() // they know the old record
	r.spread(rumour{kind: rumourAlive, peer: self.ID, incarnation: self.Incarnation, seq: self.Seq})
	r.touch()
	return nil
}
