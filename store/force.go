package store

import (
	"hash/fnv"
	"slices"
)

// The epochs of a chain lie in ranges of 2^forceShift: a force goes on in the next
// range, above any epoch that those who are gone may have reached. Within it the
// survivors draw a place, so that two forces that know nothing of each other do not
// meet in one epoch. Epochs stay below 2^32, as ballots of registers want it.
const (
	forceShift = 24
	forcePlace = 23 // bits of the place: half of the range is left to follow
	maxForces  = 1<<(32-forceShift) - 1
)

// Forces returns how often the chain up to c was continued by force.
func (c Config) Forces() int { return int(min(c.Epoch>>forceShift, maxForces)) }

// Force returns the configuration by which a shard goes on with those of c's
// members that are among survivors, where no majority is left to decide. The first
// of them, in the order of Members, becomes the only voter; it must hold what each
// of them holds. The others, in Next, synchronise from it. ok is false if there is
// nobody to go on with, or if that was done too often.
//
// It is the same for everybody who has the same survivors in mind.
func (c Config) Force(survivors []Voter) (d Config, ok bool) {
	var left []Voter
	for _, v := range c.Members() {
		if len(left) < MaxVoters && slices.Contains(survivors, v) {
			left = append(left, v)
		}
	}
	return c.goOn(left)
}

// Reopen returns the configuration by which a shard begins anew where none of c's
// members is left: its voter is the first of some peers, who has nothing, and the others
// synchronise from it. ok is false if there is nobody to go on with, or if that was done
// too often.
//
// It follows c by the operator's word alone, as nobody is left to vote. Two peers
// that have others in mind get different epochs, of which the higher one goes on.
func (c Config) Reopen(voters []Voter) (d Config, ok bool) {
	if slices.ContainsFunc(voters, c.IsMember) {
		return Config{}, false
	}
	return c.goOn(voters)
}

// goOn returns the configuration of the next range of epochs in which the first of some
// peers is the only voter.
func (c Config) goOn(left []Voter) (d Config, ok bool) {
	if len(left) == 0 || c.Epoch>>forceShift >= maxForces {
		return Config{}, false
	}
	h := fnv.New64a()
	_, _ = h.Write(Config{Epoch: c.Epoch, Voters: left}.AppendTo(nil))
	d = Config{
		Epoch:  (c.Epoch>>forceShift+1)<<forceShift | h.Sum64()>>(64-forcePlace),
		Voters: left[:1:1], Horizon: c.Horizon, Raised: c.Raised,
	}
	if len(left) > 1 {
		d.Next = left
	}
	return d, d.Check() == nil
}

// forces reports whether d is what some survivors go on with after c.
func (c Config) forces(d Config) bool {
	if d.Epoch>>forceShift != c.Epoch>>forceShift+1 {
		return false
	}
	f, ok := c.Force(d.Members())
	return ok && f.Equal(d)
}

// salvage plans for a shard that has lost a majority of its voters for good. The
// operator says of whom: as long as one member that is not live is not marked, it
// may come back, and the shard waits. The first live member acts; where none is left,
// the first peer that the ring proposes.
func (s *Situation) salvage(c Config) (plan Plan, ok bool) {
	if s.quorumLive(c.Voters) {
		return Plan{}, false
	}
	var left []Voter
	for _, v := range c.Members() {
		switch {
		case s.live(v):
			left = append(left, v)
		case !s.Forced.Has(v):
			return Plan{}, false
		}
	}
	if len(left) == 0 {
		return s.reopen(c)
	}
	if left[0] != s.Self {
		return Plan{}, false
	}
	value, ok := c.Force(left)
	return Plan{Action: Salvage, Value: value, Await: left[1:], Why: "the operator forces it: no majority will come back"}, ok
}

// reopen plans for a shard none of whose members will come back, by the operator's
// word on each.
func (s *Situation) reopen(c Config) (plan Plan, ok bool) {
	var fresh []Voter
	for _, v := range s.Proposal {
		if len(fresh) < s.N && s.live(v) && !s.Leaving.Has(v) {
			fresh = append(fresh, v)
		}
	}
	if c.Epoch == 0 || len(fresh) == 0 || fresh[0] != s.Self {
		return Plan{}, false
	}
	value, ok := c.Reopen(fresh)
	return Plan{Action: Reopen, Value: value, Why: "the operator forces it: no voter is left"}, ok
}
