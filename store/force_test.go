package store

import (
	"testing"

	"pgregory.net/rapid"
)

// A force goes on above all epochs that came before, whoever reached them, and is
// the same for all who have the same survivors in mind.
func TestForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genConfig(t)
		c.Epoch %= 1 << 32
		if c.Epoch++; c.Raised > c.Epoch {
			c.Horizon, c.Raised = 0, 0
		}
		var left []Voter
		for _, v := range c.Members() {
			if rapid.Bool().Draw(t, string(v.Peer)+" survives") {
				left = append(left, v)
			}
		}
		d, ok := c.Force(left)
		distinct := (Config{Epoch: 1, Voters: left}).Check() == nil
		if want := distinct && c.Forces() < maxForces; ok != want {
			t.Fatalf("%v forced to %v: %v", c, left, ok)
		}
		if !ok {
			return
		}
		again, _ := c.Force(append(vs("z"), d.Members()...))
		switch {
		case !again.Equal(d), !c.forces(d), c.CheckNext(d) != nil:
			t.Fatalf("%v is not what follows %v, but %v", d, c, again)
		case d.Forces() != c.Forces()+1, d.Epoch>>32 != 0, !sameSet(d.Members(), left):
			t.Fatalf("%v follows %v", d, c)
		case d.Horizon != c.Horizon || d.Raised != c.Raised:
			t.Fatalf("%v leaves the horizon of %v", d, c)
		case len(left) > 1 && d.CheckNext(d.Settle()) != nil:
			t.Fatalf("nothing follows %v", d)
		}
		d.Epoch++
		if c.forces(d) {
			t.Fatalf("%v does not follow %v", d, c)
		}
	})
}

// Whoever accepted what was forced accepts nothing else, and a proposer among the
// survivors finishes it, whatever others accepted.
func TestForcedIsFinal(t *testing.T) {
	base := Config{Epoch: 3, Voters: vs("abcde")}
	forced, _ := base.Force(vs("ab"))
	other, _ := base.Force(vs("abc"))
	state := State{Config: base}
	ballot := func(n uint64) Ballot { return Ballot{Counter: n, Proposer: 1} }
	accept := func(self string, n uint64, value Config) Vote {
		t.Helper()
		v, _, err := state.Accept(vs(self)[0], Proposal{Base: base, Ballot: ballot(n), Value: value})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := accept("a", 1, base.Joint(vs("abf"))); v.Status != StatusOK {
		t.Errorf("a move: %v", v.Status)
	}
	if v := accept("a", 2, forced); v.Status != StatusOK {
		t.Errorf("a force: %v", v.Status)
	}
	if v := accept("a", 3, base.Joint(vs("abf"))); v.Status != StatusOutbid || !state.Value.Equal(forced) {
		t.Errorf("a move after a force: %v, holds %v", v.Status, state.Value)
	}

	p := NewProposer(2, base, other)
	if got := names(p.Acceptors()); got != "abc" {
		t.Fatalf("acceptors are %s", got)
	}
	st := p.Start()
	p.Vote(st.Round, 0, Vote{Status: StatusOK, Accepted: ballot(2), Value: forced})
	p.Vote(st.Round, 1, Vote{Status: StatusOK, Accepted: ballot(5), Value: base.Joint(vs("abf"))})
	st = p.Vote(st.Round, 2, Vote{Status: StatusOK})
	if !st.Proposal.Value.Equal(forced) {
		t.Errorf("proposes %v, accepted was %v", st.Proposal.Value, forced)
	}
	p.Vote(st.Round, 0, Vote{Status: StatusOK})
	if st := p.Vote(st.Round, 2, Vote{Status: StatusOK}); st.Attempt != Voting {
		t.Errorf("with two of three survivors: %v", st.Attempt)
	}
	if st := p.Vote(st.Round, 1, Vote{Status: StatusOK}); st.Attempt != Decided || !p.Outcome().Equal(forced) {
		t.Errorf("with all survivors: %v, %v", st.Attempt, p.Outcome())
	}

	// A majority that meets one of them leaves it out.
	p = NewProposer(2, base, base.Joint(vs("abf")))
	st = p.Start()
	p.Vote(st.Round, 0, Vote{Status: StatusOK, Accepted: ballot(2), Value: forced})
	p.Vote(st.Round, 2, Vote{Status: StatusOK})
	if st := p.Vote(st.Round, 3, Vote{Status: StatusOK}); st.Send != 0 {
		t.Errorf("goes on with %v", st.Proposal)
	}
	if st := p.Vote(st.Round, 4, Vote{Status: StatusOK}); !st.Proposal.Value.Equal(base.Joint(vs("abf"))) {
		t.Errorf("goes on with %v", st.Proposal)
	}
}

// A shard that begins anew does so above all epochs that came before, and differently for
// others who begin; nobody votes on it, and none of those who are lost takes part.
func TestReopen(t *testing.T) {
	c := Config{Epoch: 7, Voters: vs("ab"), Next: vs("bc"), Horizon: 9, Raised: 5}
	d, ok := c.Reopen(vs("de"))
	if !ok || d.Check() != nil || d.Forces() != 1 || !sameSet(d.Members(), vs("de")) || !sameSet(d.Voters, vs("d")) || d.Horizon != 9 || d.Raised != 5 {
		t.Errorf("reopened as %v, %v", d, ok)
	}
	if err := c.CheckNext(d); err == nil {
		t.Errorf("%v could be voted on", d)
	}
	if other, ok := c.Reopen(vs("e")); !ok || other.Epoch == d.Epoch || !other.Stable() {
		t.Errorf("another reopens as %v, %v", other, ok)
	}
	for _, voters := range []string{"", "da", "cd"} {
		if d, ok := c.Reopen(vs(voters)); ok {
			t.Errorf("%q reopen as %v", voters, d)
		}
	}
}
