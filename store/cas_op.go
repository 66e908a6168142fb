package store

import "errors"

// Change is what a CAS does to a register, as plain data.
type Change struct {
	// Read leaves the register as it is; the other fields are then not used.
	Read bool
	// Expect is the version that the register must have; 0: never set.
	Expect uint64
	// Dot names the change, and no other ever: a repeated attempt knows its own
	// earlier one by it.
	Dot   Dot
	Value []byte // at most MaxRegister bytes
}

// Verdict is how a CAS that is Done went.
type Verdict uint8

const (
	// Applied: the change was made, or the register read.
	Applied Verdict = iota
	// Conflict: the register had another version, and the change was not and
	// never will be made.
	Conflict
	// Unsure: an earlier attempt may have made the change, and others have
	// followed.
	Unsure
)

// CAS is the machine of one change of a register: CASPaxos (Rystsov 2018). An
// attempt prepares a ballot, takes the newest state that a quorum accepted,
// applies the change to it, and has a quorum accept the outcome. A read, and a
// change that does not fit, has the state accepted as it is: only then is it
// sure to stay. The machine is driven like Write:
//
//	var c store.CAS
//	step := c.Start(config, incarnation, key, change)
//	for {
//		switch step.Outcome {
//		case store.Running: // send c.Request() to each of step.Send, wait
//			step = c.Reply(round, i, reply) // or c.Fail(round, i), c.Hurry()
//		case store.Outbid: // pause for a random while
//			step = c.Again(config)
//		case store.Done: // c.Result()
//		case store.Failed: // unless it was a read, it may or may not happen
//		}
//	}
type CAS struct {
	Quorum
	self   uint64
	key    string
	change Change

	accept  bool // phase 2
	done    bool
	tried   bool // an accept of the change was sent
	outbid  bool
	ballot  CASBallot
	seen    uint64 // the highest counter heard of at the ballot's epoch
	found   CASBallot
	state   CASState // found; in phase 2 what is to be accepted
	verdict Verdict
}

// Start begins the change of the register of a full key under c. self is the
// incarnation of the peer that coordinates it.
func (p *CAS) Start(c Config, self uint64, key string, change Change) Step {
	*p = CAS{self: self, key: key, change: change}
	p.level = LevelQuorum
	return p.Again(c)
}

// Again begins another attempt, after the outcome Outbid or Failed, under the
// configuration that it went by or a newer one.
func (p *CAS) Again(c Config) Step {
	if c.Epoch < p.config.Epoch {
		c = p.config // an attempt must outrank the earlier ones
	}
	if c.Epoch != p.ballot.Epoch {
		p.seen = 0
	}
	p.seen = max(p.seen, p.ballot.countAt(c.Epoch)) + 1
	p.ballot = CASBallot{Epoch: c.Epoch, Ballot: Ballot{Counter: p.seen, Proposer: p.self}}
	p.begin(c)
	p.accept, p.done, p.outbid, p.found, p.state = false, false, false, CASBallot{}, CASState{}
	if !p.ballot.valid() {
		p.ended = true
		return Step{Outcome: Failed, Round: p.round}
	}
	return p.conclude(p.send(p.tally.Members()))
}

// countAt returns the counter of a ballot of an epoch; 0 for another's.
func (a CASBallot) countAt(epoch uint64) uint64 {
	if a.Epoch != epoch {
		return 0
	}
	return a.Counter
}

// Request returns the present round's request, but for its Target.
func (p *CAS) Request() CASRequest {
	q := CASRequest{Namespace: RegisterNamespace, Key: p.key, Ballot: p.ballot, Accept: p.accept}
	if p.accept {
		q.State = p.state
	}
	return q
}

// Reply takes in the answer of member i.
func (p *CAS) Reply(round uint32, i int, r CASReply) Step {
	if p.late(round, i) {
		return p.idle()
	}
	switch {
	case r.Status == StatusOK && (p.accept || p.plausible(r)):
		p.acks |= bit(i)
		if !p.accept && p.found.Compare(r.Accepted) < 0 {
			p.found, p.state = r.Accepted, r.State
		}
	case r.Status == StatusOutbid && r.Promised.Epoch == p.ballot.Epoch:
		p.outbid = true
		p.seen = max(p.seen, r.Promised.Counter)
		p.failed |= bit(i)
	default:
		again, adopted := p.refused(i, r.Status, r.Config)
		if adopted {
			return p.Again(p.config)
		}
		return p.conclude(p.send(again))
	}
	return p.conclude(Step{})
}

// plausible reports whether a promise says what an acceptor can have accepted.
func (p *CAS) plausible(r CASReply) bool {
	if r.Accepted.IsZero() {
		return r.State.Version == 0
	}
	return r.Accepted.valid() && r.Accepted.Compare(p.ballot) < 0 && r.State.check() == nil
}

// Fail tells that member i did not answer: the call failed.
func (p *CAS) Fail(round uint32, i int) Step {
	if p.late(round, i) {
		return p.idle()
	}
	p.failed |= bit(i)
	return p.conclude(Step{})
}

// Hurry gives an attempt up that was outbid and, perhaps, could succeed with members
// that have not answered. Call it when they have been silent for a while: a member that
// is gone would keep an attempt that has lost from being repeated.
func (p *CAS) Hurry() Step {
	if !p.ended && p.outbid {
		p.ended = true
		return Step{Outcome: Outbid, Round: p.round}
	}
	return p.idle()
}

// conclude completes a step: a quorum of promises begins phase 2.
func (p *CAS) conclude(st Step) Step {
	st = p.settle(st)
	if st.Outcome != Done {
		return p.outcome(st)
	}
	if !p.accept {
		p.apply()
		// Nothing was ever accepted, and nothing is to be.
		p.done = p.found.IsZero() && p.state.Version == 0 && !p.tried
	}
	if p.accept || p.done {
		p.done = true
		return st
	}
	p.accept = true
	p.begin(p.config)
	return p.settle(p.send(p.tally.Members()))
}

// apply makes the state to be accepted out of the one found.
func (p *CAS) apply() {
	c := p.change
	switch {
	case c.Read:
		p.verdict = Applied
	case p.state.Version == c.Expect:
		p.verdict, p.tried = Applied, true
		p.state = CASState{Version: c.Expect + 1, Dot: c.Dot, Value: c.Value}
	case p.tried && p.state.Dot == c.Dot:
		p.verdict = Applied // by an earlier attempt
	case p.tried && p.state.Version > c.Expect+1:
		p.verdict = Unsure
	default:
		p.verdict = Conflict
	}
}

// outcome tells a ballot that lost from members that failed.
func (p *CAS) outcome(st Step) Step {
	if st.Outcome == Failed && p.outbid {
		st.Outcome = Outbid
	}
	return st
}

// idle is the step that changes nothing.
func (p *CAS) idle() Step {
	st := Step{Round: p.round}
	switch {
	case !p.ended:
	case p.done:
		st.Outcome = Done
	default:
		st.Outcome = Failed
	}
	return p.outcome(st)
}

// Result returns how a change that is Done went, and what the register said
// then.
func (p *CAS) Result() (Verdict, CASState) { return p.verdict, p.state }

// check states the invariants of a change.
func (p *CAS) check() error {
	switch {
	case p.ballot.Epoch != p.config.Epoch:
		return errors.New("the ballot is of another epoch")
	case !p.accept && p.ballot.Compare(p.found) <= 0:
		return errors.New("found what outranks the ballot")
	case p.accept && p.tried && p.verdict == Applied && !p.change.Read && p.state.Dot != p.change.Dot:
		return errors.New("applied what is not the change")
	}
	return p.Quorum.check()
}
