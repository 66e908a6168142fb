package store

import "slices"

// VoterSet tells whether a voter has some property. A nil VoterSet is empty.
type VoterSet func(Voter) bool

// Has reports whether v is in s.
func (s VoterSet) Has(v Voter) bool { return s != nil && s(v) }

// Situation is what the driver of a shard knows when it asks for the next
// step. A VoterSet is asked about a peer's incarnation: a peer that came back
// with another one is not live as the voter that it was.
type Situation struct {
	Self  Voter
	State State
	// Stuck: State has been pending for longer than a proposer takes.
	Stuck bool
	// Proposal is the ring's opinion: distinct peers from the shard's first
	// position onward. It may name more than N, so that peers that leave, or
	// cannot be reached, are passed over.
	Proposal []Voter
	N        int // the number of voters that is aimed at, 1 to MaxVoters

	Live      VoterSet // reachable now
	Gone      VoterSet // not reachable for so long that others take over its part
	Leaving   VoterSet // announced its leave
	Forgotten VoterSet // retired by the operator
	// Forced are those of Forgotten without whom the shard is to go on even if no
	// majority of its voters is left.
	Forced VoterSet

	// Told are the members of State.Config that confirmed to hold it, or a newer
	// one, on stable storage; self need not be. Nil stands for all.
	Told VoterSet
	// Synced returns the sources that a voter reported to have synchronised from
	// under State.Config (ShardInfo.Synced).
	Synced func(Voter) []Voter
}

// Action is the kind of a Plan.
type Action uint8

const (
	// Rest: nothing to do.
	Rest Action = iota
	// Propose: run a Proposer from State.Config with Plan.Value.
	Propose
	// Await: send State.Config to those of Plan.Await in a learn call. The answers
	// tell whether they hold it, and what they synchronised from.
	Await
	// Salvage: look for a configuration newer than State.Config at every peer that
	// may know one, pull all that those of Plan.Await hold, then Propose.
	Salvage
	// Reopen: look for a newer configuration like Salvage; if there is none, Plan.Value
	// follows, without a vote.
	Reopen
)

// Plan is the next step of a shard.
type Plan struct {
	Action Action
	Value  Config
	Await  []Voter
	Why    string // for logs and transcripts
}

// Next returns the step that s.Self takes for its shard. The shard's leader, its
// first live voter, moves it towards the ring's proposal, one configuration at a
// time, each of which all live members hold before the next; others only finish
// what is stuck. Two peers that both believe they lead do no harm.
//
// A peer that is no voter any more tells the voters until a majority of them
// holds the configuration that dismissed it: before that, it may be the only
// one who knows.
//
// A crash never shrinks a configuration: a voter that is gone keeps its seat
// unless another peer can take it. Only a voter that leaves or is forgotten
// goes without a replacement, and only by force do the survivors of a lost majority
// go on, or other peers where there are none.
func (s *Situation) Next() Plan {
	c := s.State.Config
	leads := s.leads()
	salvage, salvages := s.salvage(c)
	switch {
	case c.Epoch == 0:
		return Plan{Why: "no configuration is known"}
	case salvages:
		return salvage
	case !c.IsVoter(s.Self):
		return s.retire(c)
	case s.State.Pending() && (leads || s.Stuck):
		return Plan{Action: Propose, Value: s.State.Value, Why: "finish what was accepted"}
	case !leads:
		return Plan{Why: "another voter leads"}
	case !s.quorumLive(c.Voters):
		return Plan{Why: "no majority of voters is live"}
	}
	if tell := s.untold(c.Members()); len(tell) > 0 {
		return Plan{Action: Await, Await: tell, Why: "not all members hold the configuration"}
	}
	switch {
	case c.Stable():
		return s.start(c)
	default:
		return s.complete(c)
	}
}

// leads reports whether self is the first live voter.
func (s *Situation) leads() bool {
	for _, v := range s.State.Config.Voters {
		if s.live(v) {
			return v == s.Self
		}
	}
	return false
}

// retire plans for a peer that is not a voter.
func (s *Situation) retire(c Config) Plan {
	told := 0
	for _, v := range c.Voters {
		if s.told(v) {
			told++
		}
	}
	if told < Majority(len(c.Voters)) {
		if tell := s.untold(c.Voters); len(tell) > 0 {
			return Plan{Action: Await, Await: tell, Why: "not a voter, which the voters may not know"}
		}
	}
	return Plan{Why: "not a voter"}
}

func (s *Situation) told(v Voter) bool { return s.Told == nil || s.Told(v) }

// untold returns the live voters of set, but for self, that may not hold the
// configuration.
func (s *Situation) untold(set []Voter) []Voter {
	var tell []Voter
	for _, v := range set {
		if v != s.Self && s.live(v) && !s.told(v) {
			tell = append(tell, v)
		}
	}
	return tell
}

// start plans for a stable configuration.
func (s *Situation) start(c Config) Plan {
	next := s.target(c)
	switch {
	case sameSet(next, c.Voters):
		return Plan{Why: "in place"}
	case len(next) == 0:
		return Plan{Why: "nobody to hand over to"}
	case !s.quorumLive(next):
		return Plan{Why: "no majority of the new voters is live"}
	}
	return Plan{Action: Propose, Value: c.Joint(next), Why: "move to the ring's proposal"}
}

// complete plans for a joint configuration.
func (s *Situation) complete(c Config) Plan {
	if !s.quorumLive(c.Next) {
		return Plan{Action: Propose, Value: c.Abort(), Why: "no majority of the new voters is live"}
	}
	var await []Voter
	for _, v := range c.Next {
		if c.SyncSources(v) == 0 || s.Synced != nil && c.Synced(v, s.Synced(v)) {
			continue
		}
		if s.lost(v) || s.Leaving.Has(v) {
			return Plan{Action: Propose, Value: c.Abort(), Why: "a new voter was lost before it synchronised"}
		}
		await = append(await, v)
	}
	if len(await) > 0 {
		return Plan{Action: Await, Await: await, Why: "new voters synchronise"}
	}
	return Plan{Action: Propose, Value: c.Settle(), Why: "new voters are synchronised"}
}

// target returns the voters to aim at from c: the ring's proposal, as far as it
// may be followed now.
func (s *Situation) target(c Config) []Voter {
	var keep []Voter // present voters that may stay
	for _, v := range c.Voters {
		if !s.Leaving.Has(v) && !s.Forgotten.Has(v) && !s.replaced(v) {
			keep = append(keep, v)
		}
	}
	var want []Voter // the ring's choice
	for _, v := range s.Proposal {
		if len(want) < s.N && !s.Leaving.Has(v) && !s.Forgotten.Has(v) &&
			(s.live(v) || slices.Contains(keep, v) && !s.Gone.Has(v)) {
			want = append(want, v)
		}
	}
	// A voter that is merely unreachable holds its seat.
	var next []Voter
	for _, v := range keep {
		if !slices.Contains(want, v) && !s.live(v) && !s.Gone.Has(v) && len(next) < s.N {
			next = append(next, v)
		}
	}
	next = append(slices.Clone(want[:min(len(want), s.N-len(next))]), next...)
	// Nobody goes without a replacement: live ones first.
	for _, live := range [2]bool{true, false} {
		for _, v := range keep {
			if len(next) < min(s.N, len(keep)) && s.live(v) == live && !slices.Contains(next, v) {
				next = append(next, v)
			}
		}
	}
	return next
}

// live reports whether v can be counted on now.
func (s *Situation) live(v Voter) bool {
	return v == s.Self || s.Live.Has(v) && !s.Forgotten.Has(v)
}

// lost reports whether v will not come back in time, or ever.
func (s *Situation) lost(v Voter) bool {
	return s.Gone.Has(v) || s.Forgotten.Has(v) || s.replaced(v)
}

// replaced reports whether the ring knows v's peer under another incarnation.
func (s *Situation) replaced(v Voter) bool {
	return slices.ContainsFunc(s.Proposal, func(w Voter) bool {
		return w.Peer == v.Peer && w.Incarnation != v.Incarnation
	})
}

// quorumLive reports whether a majority of set is live.
func (s *Situation) quorumLive(set []Voter) bool {
	n := 0
	for _, v := range set {
		if s.live(v) {
			n++
		}
	}
	return n >= Majority(len(set))
}

func sameSet(a, b []Voter) bool { return len(a) == len(b) && missing(a, b) == 0 }
