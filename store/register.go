package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFork reports two different configurations of one shard and epoch. The
// protocol makes that impossible: who sees it has a bug in front of him, or an
// operator who forced both parts of a split ring.
var ErrFork = errors.New("two configurations of one epoch")

// Ballot numbers an attempt at deciding a configuration. The zero Ballot is
// lower than all others and stands for "none".
type Ballot struct {
	Counter  uint64
	Proposer uint64 // the proposer's incarnation
}

// Compare returns -1, 0 or +1.
func (a Ballot) Compare(b Ballot) int {
	if c := cmp.Compare(a.Counter, b.Counter); c != 0 {
		return c
	}
	return cmp.Compare(a.Proposer, b.Proposer)
}

// IsZero reports whether a stands for "none".
func (a Ballot) IsZero() bool { return a == Ballot{} }

// State is what one peer keeps of one shard: the newest decided configuration
// that it knows, and its acceptor's state for the epoch after that. The zero
// State knows nothing.
//
// State must be on stable storage before an answer that follows from it leaves
// the peer; doc.go lists the caller's duties. Methods that change it say so.
type State struct {
	Config   Config
	Promised Ballot
	Accepted Ballot // zero: no value accepted
	Value    Config // the value accepted to follow Config

	// Closed is a clock: the peer accepts no write at or below it any more, in
	// view of a horizon up to there.
	Closed uint64
	// Clean is the epoch up to which the peer's records are good for every horizon
	// that was raised.
	Clean uint64
}

// Proposal asks an acceptor to prepare (Value is the zero Config) or to accept
// Value as the successor of Base.
type Proposal struct {
	Base   Config // decided, so an acceptor that is behind learns it here
	Ballot Ballot
	Value  Config
}

// Vote is an acceptor's answer to a Proposal.
type Vote struct {
	// Status is StatusOK; StatusOutbid, with the ballot that won in Promised;
	// StatusReferral, with a configuration newer than the base in Config; or
	// StatusNotMember.
	Status   Status
	Promised Ballot
	Accepted Ballot // on a prepare: what had been accepted, and its value
	Value    Config
	Config   Config
}

// Pending reports whether a successor of Config was accepted here and its fate
// is unknown. The replica serves on: doc.go says why it may.
func (s *State) Pending() bool { return !s.Accepted.IsZero() }

// Learn takes in a decided configuration. An old one changes nothing.
func (s *State) Learn(c Config) (changed bool, err error) {
	if c.Epoch == 0 || c.Epoch < s.Config.Epoch {
		return false, nil
	}
	if c.Epoch == s.Config.Epoch {
		if !c.Equal(s.Config) {
			return false, fmt.Errorf("epoch %d: %w", c.Epoch, ErrFork)
		}
		return false, nil
	}
	if err := c.Check(); err != nil {
		return false, fmt.Errorf("learn configuration: %w", err)
	}
	*s = State{Config: c, Closed: s.Closed, Clean: s.Clean}
	return true, nil
}

// Prepare answers phase 1. When changed, s must be synced before the vote
// leaves. An error means that the proposal is malformed and changed nothing
// but, perhaps, what was learned of its base.
func (s *State) Prepare(self Voter, p Proposal) (v Vote, changed bool, err error) {
	v, changed, err = s.open(self, p)
	if err != nil || v.Status != StatusOK {
		return v, changed, err
	}
	// An equal ballot is refused: a proposer that restarted and forgot its
	// counter must not be promised what its former self may have used.
	if p.Ballot.Compare(s.Promised) <= 0 {
		return Vote{Status: StatusOutbid, Promised: s.Promised}, changed, nil
	}
	s.Promised = p.Ballot
	return Vote{Status: StatusOK, Promised: s.Promised, Accepted: s.Accepted, Value: s.Value}, true, nil
}

// Accept answers phase 2, under the same rules as Prepare.
func (s *State) Accept(self Voter, p Proposal) (v Vote, changed bool, err error) {
	if err := p.Base.CheckNext(p.Value); err != nil {
		return Vote{}, false, fmt.Errorf("accept configuration: %w", err)
	}
	v, changed, err = s.open(self, p)
	if err != nil || v.Status != StatusOK {
		return v, changed, err
	}
	// Who accepted what the operator forces accepts nothing else: its ballots are
	// counted among the survivors, and a majority need not meet those.
	if p.Ballot.Compare(s.Promised) < 0 || s.Config.forces(s.Value) && !s.Config.forces(p.Value) {
		return Vote{Status: StatusOutbid, Promised: s.Promised}, changed, nil
	}
	if p.Ballot == s.Accepted { // a repetition
		if !p.Value.Equal(s.Value) {
			return Vote{}, changed, fmt.Errorf("accept configuration: ballot %v carries two values", p.Ballot)
		}
		return Vote{Status: StatusOK, Promised: s.Promised}, changed, nil
	}
	s.Promised, s.Accepted, s.Value = p.Ballot, p.Ballot, p.Value
	return Vote{Status: StatusOK, Promised: s.Promised}, true, nil
}

// open brings s up to the proposal's base and tells whether this peer is an
// acceptor of the base's successor.
func (s *State) open(self Voter, p Proposal) (v Vote, changed bool, err error) {
	if p.Ballot.IsZero() {
		return Vote{}, false, errors.New("proposal without a ballot")
	}
	if changed, err = s.Learn(p.Base); err != nil {
		return Vote{}, false, err
	}
	switch {
	case s.Config.Epoch == 0:
		return Vote{}, false, errors.New("proposal without a base")
	case s.Config.Epoch > p.Base.Epoch:
		return Vote{Status: StatusReferral, Config: s.Config}, changed, nil
	case !s.Config.IsMember(self): // one that is no voter is asked only by force
		return Vote{Status: StatusNotMember}, changed, nil
	}
	return Vote{Status: StatusOK}, changed, nil
}

// check states the invariants of an acceptor.
func (s *State) check() error {
	switch {
	case s.Config.Epoch == 0 && !s.Promised.IsZero():
		return errors.New("ballots without a configuration")
	case s.Accepted.Compare(s.Promised) > 0:
		return errors.New("accepted above the promise")
	case s.Accepted.IsZero() != (s.Value.Epoch == 0):
		return errors.New("accepted ballot and value do not go together")
	}
	if s.Config.Epoch > 0 {
		if err := s.Config.Check(); err != nil {
			return err
		}
	}
	if s.Pending() {
		return s.Config.CheckNext(s.Value)
	}
	return nil
}

// An encoded state: format byte, both ballots (4 times 8 bytes, big-endian),
// the configuration, the accepted value. In format 2 the clock up to which it is
// closed and the epoch up to which it is clean stand before the ballots (8 bytes
// each); format 1, without them, is written where both are zero.
const (
	stateFormat  = 1
	stateHorizon = 2
)

// AppendTo appends the encoding of s to b.
func (s *State) AppendTo(b []byte) []byte {
	if s.Closed|s.Clean == 0 {
		b = append(b, stateFormat)
	} else {
		b = append(b, stateHorizon)
		b = binary.BigEndian.AppendUint64(b, s.Closed)
		b = binary.BigEndian.AppendUint64(b, s.Clean)
	}
	for _, x := range [4]uint64{s.Promised.Counter, s.Promised.Proposer, s.Accepted.Counter, s.Accepted.Proposer} {
		b = binary.BigEndian.AppendUint64(b, x)
	}
	b = s.Config.AppendTo(b)
	return s.Value.AppendTo(b)
}

// DecodeState reads exactly one state. Nothing in it aliases b.
func DecodeState(b []byte) (State, error) {
	var s State
	if len(b) >= 17 && b[0] == stateHorizon {
		s.Closed, s.Clean = binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])
		if s.Closed|s.Clean == 0 {
			return State{}, fmt.Errorf("shard state horizon: %w", ErrCorrupt)
		}
		b = b[16:] // what follows is read behind a byte of format
	} else if len(b) > 0 && b[0] != stateFormat {
		return State{}, fmt.Errorf("shard state format: %w", ErrCorrupt)
	}
	if len(b) < 33 {
		return State{}, fmt.Errorf("shard state of %d bytes: %w", len(b), ErrCorrupt)
	}
	for i, x := range [4]*uint64{&s.Promised.Counter, &s.Promised.Proposer, &s.Accepted.Counter, &s.Accepted.Proposer} {
		*x = binary.BigEndian.Uint64(b[1+8*i:])
	}
	var err error
	rest := b[33:]
	if s.Config, rest, err = cutConfig(rest); err != nil {
		return State{}, err
	}
	if s.Value, err = DecodeConfig(rest); err != nil {
		return State{}, err
	}
	if err := s.check(); err != nil {
		return State{}, fmt.Errorf("shard state: %w: %w", err, ErrCorrupt)
	}
	return s, nil
}
