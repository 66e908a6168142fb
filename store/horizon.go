package store

import (
	"errors"
	"slices"
	"time"
)

// HorizonRequest asks a voter, in the course of a Raise, to accept no write at
// or below a clock any more; or, with Confirm, to make sure that it holds all
// that From holds, and to remember that.
type HorizonRequest struct {
	Target
	Horizon uint64
	Confirm bool
	From    Voter // Confirm: who collected
}

// HorizonReply answers a HorizonRequest: StatusOK once that is on stable
// storage, StatusSkewed if the horizon lies in the voter's future, or a refusal
// by epoch.
type HorizonReply struct {
	Status Status
	Config Config // StatusReferral
}

// ClockAt returns the clock of the versions that were issued at t and not later.
func ClockAt(t time.Time) uint64 { return wall(t) | (1<<16 - 1) }

// Settled returns the clock at and below which the replica accepts no write but
// by pulls.
func (s *State) Settled() uint64 { return max(s.Closed, s.Config.Horizon) }

// Close takes in that a horizon is to be raised: see HorizonRequest. The writes
// that were admitted before must be committed when the voter answers.
func (s *State) Close(self Voter, epoch, horizon uint64, now time.Time) (status Status, changed bool) {
	switch {
	case epoch > s.Config.Epoch || s.Config.Epoch == 0:
		return StatusBehind, false
	case epoch < s.Config.Epoch:
		return StatusReferral, false
	case !s.Config.Stable() || !s.Config.IsVoter(self):
		return StatusNotMember, false
	case horizon > ClockAt(now):
		return StatusSkewed, false
	}
	changed = horizon > s.Closed
	s.Closed = max(s.Closed, horizon)
	return StatusOK, changed
}

// Confirm takes in that the voter holds everything that is to be settled by a
// horizon at the epoch after this one. It must have closed by it, and pulled
// under this epoch.
func (s *State) Confirm(self Voter, epoch, horizon uint64) (status Status, changed bool) {
	if epoch != s.Config.Epoch || !s.Config.Stable() || !s.Config.IsVoter(self) || s.Closed < horizon || s.Unclean(self) > 0 {
		return StatusNotMember, false
	}
	changed = s.Clean <= epoch
	s.Clean = epoch + 1
	return StatusOK, changed
}

// Unclean returns the clock up to which the peer must drop the records that it
// holds before it serves by the configuration, or 0. Such a peer was no voter
// when the horizon was raised to there. It holds, perhaps, what others have
// deleted and forgotten since; what counts of it, it gets from them.
func (s *State) Unclean(self Voter) uint64 {
	if s.Config.IsMember(self) && s.Config.Raised > s.Clean {
		return s.Config.Horizon
	}
	return 0
}

// Cleaned tells that the records of Unclean are dropped.
func (s *State) Cleaned() { s.Clean = max(s.Clean, s.Config.Raised) }

// Dead reports whether a replica need not keep an entry: its key was deleted, or
// has expired at now, and a horizon settled it.
func (e Entry) Dead(horizon uint64, now time.Time) bool {
	gone := e.Deleted || e.Expires > 0 && e.Expires <= now.UnixMilli()
	return gone && e.Version.Clock <= horizon
}

// Raise is the machine by which a shard's leader raises the horizon, under a
// stable configuration all of whose voters are live. One phase after the other,
// each of which all voters must have done:
//
//	close    they accept no write at or below the new horizon any more
//	collect  the leader pulls from each: it holds all that any of them holds
//	confirm  each pulls from the leader, and remembers it
//	propose  the configuration with the horizon is put to the vote
//
// It may be given up at any time.
type Raise struct {
	self    Voter
	base    Config
	horizon uint64
	phase   RaisePhase
	left    []Voter
}

// RaisePhase is what a Raise does.
type RaisePhase uint8

// The phases.
const (
	RaiseClose   RaisePhase = iota // send a HorizonRequest to those of Left
	RaiseCollect                   // pull from those of Left
	RaiseConfirm                   // send a HorizonRequest with Confirm to those of Left
	RaisePropose                   // run a Proposer for Value
)

// NewRaise returns a raise of c's horizon by self, one of its voters.
func NewRaise(self Voter, c Config, horizon uint64) (*Raise, error) {
	if !c.Stable() || !c.IsVoter(self) || horizon <= c.Horizon {
		return nil, errors.New("horizon cannot be raised")
	}
	return &Raise{self: self, base: c, horizon: horizon, left: slices.Clone(c.Voters)}, nil
}

// Next returns the phase and the voters that have yet to do it.
func (r *Raise) Next() (phase RaisePhase, left []Voter) { return r.phase, slices.Clone(r.left) }

// Done tells that a voter did what the phase asks for.
func (r *Raise) Done(v Voter) {
	r.left = slices.DeleteFunc(r.left, func(w Voter) bool { return w == v })
	for len(r.left) == 0 && r.phase < RaisePropose {
		r.phase++
		switch r.phase {
		case RaiseCollect:
			r.left = slices.DeleteFunc(slices.Clone(r.base.Voters), func(w Voter) bool { return w == r.self })
		case RaiseConfirm:
			r.left = slices.Clone(r.base.Voters)
		default:
		}
	}
}

// Request returns the request of the phase, but for its Target.
func (r *Raise) Request() HorizonRequest {
	return HorizonRequest{Horizon: r.horizon, Confirm: r.phase == RaiseConfirm, From: r.self}
}

// Base returns the configuration whose horizon is raised.
func (r *Raise) Base() Config { return r.base }

// Value returns the configuration to propose.
func (r *Raise) Value() Config { return r.base.Raise(r.horizon) }

// Blockers returns the voters because of whom no horizon can be raised: those
// that are not live. They come back, are replaced, or are forgotten by the
// operator.
func (s *Situation) Blockers() []Voter {
	return slices.DeleteFunc(slices.Clone(s.State.Config.Voters), s.live)
}

// MayRaise reports whether it is self's turn to raise the horizon: it leads a
// shard that is in place, with all voters live.
func (s *Situation) MayRaise() bool {
	c := s.State.Config
	return c.Stable() && c.IsVoter(s.Self) && s.leads() && !s.State.Pending() && len(s.Blockers()) == 0 && s.Next().Action == Rest
}
