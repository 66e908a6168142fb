package store

import "time"

// Admit decides whether the replica self, in state s, serves a request that
// names an epoch and is meant for an incarnation: StatusOK, StatusReferral
// (answer with s.Config), StatusBehind or StatusNotMember.
//
// Learners, the members of Next alone, serve like voters. Writes must be
// admitted and queued for commit in one step with respect to changes of s;
// doc.go says why.
func (s *State) Admit(self Voter, incarnation, epoch uint64) Status {
	switch {
	case epoch > s.Config.Epoch || s.Config.Epoch == 0:
		return StatusBehind
	case epoch < s.Config.Epoch:
		return StatusReferral
	case incarnation != self.Incarnation || !s.Config.IsMember(self):
		return StatusNotMember
	}
	return StatusOK
}

// Judge decides what an admitted write of version v does at a replica that
// holds version held (zero: none): StatusOK with store set, or not set if v is
// held already; StatusSuperseded if a newer one is; StatusSkewed if v is more
// than skew ahead of the replica's clock, by whatever way it comes.
func Judge(held, v Version, now time.Time, skew time.Duration) (status Status, store bool) {
	if c := held.Compare(v); c > 0 {
		return StatusSuperseded, false
	} else if c == 0 {
		return StatusOK, false
	}
	if v.Time().Sub(now) > skew {
		return StatusSkewed, false
	}
	return StatusOK, true
}
