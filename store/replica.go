package store

import "time"

// Use says what a request wants of a replica.
type Use uint8

const (
	// UseData is a read, scan or write: a part of a quorum operation.
	UseData Use = iota
	// UseSync hands over what is held. The fence does not concern it: all that
	// was acknowledged under former epochs is there.
	UseSync
)

// Admit decides whether the replica self, in state s, serves a request that
// names an epoch and is meant for an incarnation: StatusOK, StatusReferral
// (answer with s.Config), StatusBehind, StatusNotMember or StatusMoving.
//
// Learners, the members of Next alone, serve like voters. Writes must be
// admitted and queued for commit in one step with respect to changes of s;
// doc.go says why.
func (s *State) Admit(self Voter, incarnation, epoch uint64, use Use) Status {
	switch {
	case epoch > s.Config.Epoch || s.Config.Epoch == 0:
		return StatusBehind
	case epoch < s.Config.Epoch:
		return StatusReferral
	case incarnation != self.Incarnation || !s.Config.IsMember(self):
		return StatusNotMember
	case use == UseData && s.Pending():
		return StatusMoving
	}
	return StatusOK
}

// Judge decides what an admitted write of version v does at a replica that
// holds version held (zero: none): StatusOK with store set, or not set if v is
// held already; StatusSuperseded if a newer one is; StatusSkewed if v is more
// than skew ahead of the replica's clock. A repair, which passes on what was
// accepted elsewhere, is not judged by the clock.
func Judge(held, v Version, now time.Time, skew time.Duration, repair bool) (status Status, store bool) {
	if c := held.Compare(v); c > 0 {
		return StatusSuperseded, false
	} else if c == 0 {
		return StatusOK, false
	}
	if !repair && v.Time().Sub(now) > skew {
		return StatusSkewed, false
	}
	return StatusOK, true
}
