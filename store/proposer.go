package store

// Attempt is where a Proposer stands.
type Attempt uint8

const (
	// Voting: votes are awaited.
	Voting Attempt = iota
	// Backoff: outbid, or too few acceptors answered. Start again after a random
	// pause, or give up.
	Backoff
	// Decided: a successor of the base is decided. It is Outcome, and not
	// necessarily what was wanted. Tell it to all members of both configurations.
	Decided
)

// ProposerStep is what the driver of a Proposer does next.
type ProposerStep struct {
	Attempt Attempt
	// Send names the acceptors to send Proposal to, by their place in Acceptors: to
	// accept if it has a value, to prepare if not.
	Send     Set
	Proposal Proposal
	// Round numbers the step's requests.
	Round uint32
}

// Proposer is the machine that decides the successor of a configuration:
// single-decree Paxos, acceptors being the voters of the base, of whom a majority
// decides. It may be given up at any time; what it left half done is finished by
// any other.
//
// What Config.Force made is decided by its members, the survivors, all of them.
// Among them such values have precedence: one that was accepted is finished, and
// others, which the dead may or may not have decided, it supersedes by its epoch.
type Proposer struct {
	self   uint64
	base   Config
	want   Config
	forced bool
	voters []Voter // the acceptors
	quorum int
	ballot Ballot
	seen   Ballot // the highest ballot heard of
	found  Ballot // the ballot of the value adopted from a promise
	value  Config
	round  uint32
	accept bool // phase 2
	sent   Set
	acks   Set
	failed Set
	result Config
}

// NewProposer returns a proposer of incarnation self that wants want to follow
// base. The pair must pass Config.CheckNext.
func NewProposer(self uint64, base, want Config) *Proposer {
	p := &Proposer{self: self, base: base, want: want, voters: base.Voters, quorum: Majority(len(base.Voters))}
	if base.forces(want) {
		p.forced, p.voters = true, want.Members()
		p.quorum = len(p.voters)
	}
	return p
}

// Acceptors returns those who decide. They are not to be changed.
func (p *Proposer) Acceptors() []Voter { return p.voters }

// Start begins an attempt with a ballot above all seen so far.
func (p *Proposer) Start() ProposerStep {
	p.seen.Counter = max(p.seen.Counter, p.ballot.Counter) + 1
	p.ballot = Ballot{Counter: p.seen.Counter, Proposer: p.self}
	p.found, p.value, p.accept = Ballot{}, p.want, false
	return p.ask()
}

// ask sends the present phase's proposal to all acceptors.
func (p *Proposer) ask() ProposerStep {
	p.round++
	p.sent = bit(len(p.voters)) - 1
	p.acks, p.failed = 0, 0
	st := ProposerStep{Send: p.sent, Round: p.round, Proposal: Proposal{Base: p.base, Ballot: p.ballot}}
	if p.accept {
		st.Proposal.Value = p.value
	}
	return st
}

// Vote takes in the answer of acceptor i.
func (p *Proposer) Vote(round uint32, i int, v Vote) ProposerStep {
	if !p.waits(round, i) {
		return p.step()
	}
	switch v.Status {
	case StatusOK:
		p.promised(i, v)
	case StatusReferral:
		if v.Config.Epoch > p.base.Epoch && v.Config.Check() == nil {
			p.result = v.Config
			return p.step()
		}
		p.failed |= bit(i)
	default:
		if p.seen.Compare(v.Promised) < 0 {
			p.seen = v.Promised
		}
		p.failed |= bit(i)
	}
	return p.count()
}

// Fail tells that acceptor i did not answer: the call failed.
func (p *Proposer) Fail(round uint32, i int) ProposerStep {
	if !p.waits(round, i) {
		return p.step()
	}
	p.failed |= bit(i)
	return p.count()
}

// promised takes in that acceptor i agrees. One that accepted by force agrees to
// nothing else.
func (p *Proposer) promised(i int, v Vote) {
	forced := !p.accept && p.base.forces(v.Value)
	if forced && !p.forced {
		p.failed |= bit(i)
		return
	}
	p.acks |= bit(i)
	if !p.accept && forced == p.forced && p.found.Compare(v.Accepted) < 0 && p.base.CheckNext(v.Value) == nil {
		p.found, p.value = v.Accepted, v.Value
	}
}

func (p *Proposer) waits(round uint32, i int) bool {
	return round == p.round && i >= 0 && p.result.Epoch == 0 && (p.sent &^ (p.acks | p.failed)).Has(i)
}

// count goes on to the next phase, or to the decision, with a majority.
func (p *Proposer) count() ProposerStep {
	if p.acks.Len() < p.quorum {
		return p.step()
	}
	if !p.accept {
		p.accept = true
		return p.ask()
	}
	p.result = p.value
	return p.step()
}

// step tells where the proposer stands, without requests.
func (p *Proposer) step() ProposerStep {
	st := ProposerStep{Round: p.round}
	switch {
	case p.result.Epoch > 0:
		st.Attempt = Decided
	case (p.sent &^ p.failed).Len() < p.quorum:
		st.Attempt = Backoff
	}
	return st
}

// Outcome returns the decided configuration, newer than the base, once Decided.
func (p *Proposer) Outcome() Config { return p.result }

// Base returns the configuration whose successor is being decided.
func (p *Proposer) Base() Config { return p.base }
