package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A transcript of a register names acceptors by letter and proposers by number,
// which is their incarnation.
func TestRegisterTranscripts(t *testing.T) {
	transcripts(t, "register", func() func(string) (string, error) {
		r := &registerRun{states: map[string]*State{}, proposers: map[string]*proposerRun{}}
		return r.do
	})
}

type registerRun struct {
	states    map[string]*State
	proposers map[string]*proposerRun
}

type proposerRun struct {
	*Proposer
	step ProposerStep
}

func (r *registerRun) do(command string) (string, error) {
	f := strings.Fields(command)
	switch f[0] {
	case "acceptors": // acceptors LETTERS CONFIG
		c, err := readConfig(f[2])
		for _, v := range vs(f[1]) {
			r.states[string(v.Peer)] = &State{Config: c}
		}
		return "", err
	case "propose": // propose NUMBER BASE WANT
		base, err := readConfig(f[2])
		if err != nil {
			return "", err
		}
		want, err := readConfig(f[3])
		if err != nil {
			return "", err
		}
		var inc uint64
		if _, err := fmt.Sscan(f[1], &inc); err != nil {
			return "", err
		}
		p := &proposerRun{Proposer: NewProposer(inc, base, want)}
		r.proposers[f[1]] = p
		return p.show(p.Start()), base.CheckNext(want)
	case "again": // again NUMBER
		p := r.proposers[f[1]]
		return p.show(p.Start()), nil
	case "send": // send NUMBER LETTERS: the proposal to each, the votes back
		p := r.proposers[f[1]]
		var b strings.Builder
		asked := p.step
		for _, v := range vs(f[2]) {
			s := r.states[string(v.Peer)]
			vote, err := s.answer(v, asked.Proposal)
			if err != nil {
				fmt.Fprintf(&b, "%s refuses: %v\n", v.Peer, err)
				continue
			}
			fmt.Fprintf(&b, "%s votes %s\n", v.Peer, describeVote(vote))
			i := slices.Index(p.Acceptors(), v)
			if i < 0 {
				continue
			}
			if st := p.Vote(asked.Round, i, vote); st.Send != 0 || st.Attempt != Voting {
				b.WriteString(p.show(st))
			}
		}
		return b.String(), nil
	case "lose": // lose NUMBER LETTERS: no answer from them
		p := r.proposers[f[1]]
		round := p.step.Round
		var out string
		for _, v := range vs(f[2]) {
			if st := p.Fail(round, slices.Index(p.Acceptors(), v)); st.Attempt != Voting {
				out = p.show(st)
			}
		}
		return out, nil
	case "learn": // learn LETTERS CONFIG
		c, err := readConfig(f[2])
		var b strings.Builder
		for _, v := range vs(f[1]) {
			changed, lerr := r.states[string(v.Peer)].Learn(c)
			fmt.Fprintf(&b, "%s changed %v", v.Peer, changed)
			if lerr != nil {
				fmt.Fprintf(&b, ": %v", lerr)
			}
			b.WriteString("\n")
		}
		return b.String(), err
	case "state": // state LETTERS
		var b strings.Builder
		for _, v := range vs(f[1]) {
			s := r.states[string(v.Peer)]
			fmt.Fprintf(&b, "%s holds %s, promised %s, accepted %s %s\n", v.Peer, describe(s.Config), describeBallot(s.Promised),
				describeBallot(s.Accepted), describe(s.Value))
		}
		return b.String(), nil
	}
	return "", fmt.Errorf("unknown command %q", f[0])
}

// answer is Prepare or Accept, as the proposal has it.
func (s *State) answer(self Voter, p Proposal) (Vote, error) {
	var v Vote
	var err error
	if p.Value.Epoch > 0 {
		v, _, err = s.Accept(self, p)
	} else {
		v, _, err = s.Prepare(self, p)
	}
	if cerr := s.check(); cerr != nil {
		return v, fmt.Errorf("invariant: %w", cerr)
	}
	return v, err
}

func (p *proposerRun) show(st ProposerStep) string {
	if st.Send != 0 {
		p.step = st
	}
	switch {
	case st.Attempt == Decided:
		return "decided " + describe(p.Outcome()) + "\n"
	case st.Attempt == Backoff:
		return "backs off\n"
	case st.Proposal.Value.Epoch > 0:
		return "asks to accept " + describeBallot(st.Proposal.Ballot) + " " + describe(st.Proposal.Value) + "\n"
	default:
		return "asks to prepare " + describeBallot(st.Proposal.Ballot) + "\n"
	}
}

func describeBallot(b Ballot) string {
	if b.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%d.%d", b.Counter, b.Proposer)
}

func describeVote(v Vote) string {
	switch v.Status {
	case StatusReferral:
		return "referral to " + describe(v.Config)
	case StatusOutbid:
		return "outbid by " + describeBallot(v.Promised)
	case StatusOK:
		if !v.Accepted.IsZero() {
			return "ok, accepted " + describeBallot(v.Accepted) + " " + describe(v.Value)
		}
	}
	return v.Status.String()
}

// mail is one message between a proposer and an acceptor.
type mail struct {
	proposer int
	acceptor int // index of the universe
	index    int // of the base's voters
	round    uint32
	proposal Proposal
	vote     *Vote
}

// mess is a register under any interleaving of proposers, deliveries, losses,
// repetitions and crashes: messages lie in a heap from which a seed picks.
type mess struct {
	rng       *rand.Rand
	universe  []Voter
	disks     []State
	proposers []*Proposer
	post      []mail
	accepted  map[Ballot]map[uint64]Set // of an epoch, by ballot: the obvious twin of a decision
	decided   map[uint64]Config
	err       error
}

func newMess(seed uint64) *mess {
	m := &mess{
		rng:      rand.New(rand.NewPCG(seed, 2)),
		universe: vs("abcde"),
		accepted: map[Ballot]map[uint64]Set{},
	}
	genesis := Config{Epoch: 1, Voters: m.universe[:3+2*(seed%2)]}
	m.decided = map[uint64]Config{1: genesis}
	for range m.universe {
		m.disks = append(m.disks, State{Config: genesis})
	}
	return m
}

func (m *mess) fail(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *mess) send(who int, st ProposerStep) {
	if st.Attempt == Decided {
		m.decide(m.proposers[who].Outcome(), "told")
	}
	for i := range st.Send.All() {
		to := slices.Index(m.universe, m.proposers[who].Acceptors()[i])
		m.post = append(m.post, mail{proposer: who, acceptor: to, index: i, round: st.Round, proposal: st.Proposal})
	}
}

func (m *mess) decide(c Config, how string) {
	old, ok := m.decided[c.Epoch]
	if ok && !old.Equal(c) {
		m.fail("epoch %d forks: %s and %s", c.Epoch, describe(old), describe(c))
	}
	if !ok && how == "told" {
		m.fail("%s was not decided", describe(c))
	}
	m.decided[c.Epoch] = c
}

// deliver hands a message over: a vote to its proposer, or a proposal to an
// acceptor, whose disk or network may fail.
func (m *mess) deliver(l mail) {
	if l.vote != nil {
		m.send(l.proposer, m.proposers[l.proposer].Vote(l.round, l.index, *l.vote))
		return
	}
	s := m.disks[l.acceptor]
	v, err := s.answer(m.universe[l.acceptor], l.proposal)
	if err != nil {
		m.fail("proposal %v: %w", l.proposal, err)
		return
	}
	if m.rng.IntN(10) == 0 {
		return // a crash before the disk: neither the state nor the vote survives
	}
	m.disks[l.acceptor] = s
	if s.Pending() {
		at := m.accepted[s.Accepted]
		if at == nil {
			at = map[uint64]Set{}
			m.accepted[s.Accepted] = at
		}
		at[s.Value.Epoch] |= bit(l.acceptor)
		if at[s.Value.Epoch].Len() >= Majority(len(s.Config.Voters)) {
			m.decide(s.Value, "counted")
		}
	}
	l.vote = &v
	m.post = append(m.post, l)
}

// propose starts a proposer with what some peer holds. The same incarnation may
// propose again, having forgotten its ballots.
func (m *mess) propose() {
	base := m.disks[m.rng.IntN(len(m.disks))].Config
	next := [][]Voter{m.universe[1:4], m.universe[2:], m.universe[:1], m.universe[:3]}
	want := base.Joint(next[m.rng.IntN(len(next))])
	if !base.Stable() {
		want = base.Settle()
		if m.rng.IntN(2) == 0 {
			want = base.Abort()
		}
	}
	m.proposers = append(m.proposers, NewProposer(1+m.rng.Uint64N(2), base, want))
	m.send(len(m.proposers)-1, m.proposers[len(m.proposers)-1].Start())
}

func (m *mess) step() {
	what := m.rng.IntN(30)
	switch {
	case what == 0 || len(m.proposers) == 0:
		m.propose()
	case what == 1:
		who := m.rng.IntN(len(m.proposers))
		if m.proposers[who].Outcome().Epoch == 0 {
			m.send(who, m.proposers[who].Start())
		}
	case what == 2:
		c := m.proposers[m.rng.IntN(len(m.proposers))].Outcome()
		if _, err := m.disks[m.rng.IntN(len(m.disks))].Learn(c); err != nil {
			m.fail("learn: %w", err)
		}
	case len(m.post) > 0:
		// Mostly recent messages, or old ones would drown them.
		i := len(m.post) - 1 - m.rng.IntN(min(len(m.post), 1+m.rng.IntN(12)))
		l := m.post[i]
		if what > 4 {
			m.post = slices.Delete(m.post, i, i+1)
		}
		if what == 5 {
			m.send(l.proposer, m.proposers[l.proposer].Fail(l.round, l.index))
			return
		}
		m.deliver(l)
	}
	for i := range m.disks {
		if err := m.disks[i].check(); err != nil {
			m.fail("invariant: %w", err)
		}
		if c := m.disks[i].Config; !m.decided[c.Epoch].Equal(c) {
			m.fail("%s holds %s, which was not decided", m.universe[i].Peer, describe(c))
		}
	}
}

func TestRegisterNeverForks(t *testing.T) {
	epochs, adopted := 0, 0
	for seed := uint64(1); seed <= 2000; seed++ {
		m := newMess(seed)
		for range 300 {
			m.step()
		}
		if m.err != nil {
			t.Fatalf("seed %d: %v", seed, m.err)
		}
		epochs += len(m.decided) - 1
		for _, p := range m.proposers {
			if p.result.Epoch > 0 && !p.result.Equal(p.want) {
				adopted++
			}
		}
	}
	t.Logf("%d decisions, %d of them not what a proposer wanted", epochs, adopted)
	if epochs < 1000 || adopted < 200 {
		t.Error("too gentle to prove anything")
	}
}

func TestStateRefusesNonsense(t *testing.T) {
	self := vs("a")[0]
	base := Config{Epoch: 1, Voters: vs("abc")}
	ballot := Ballot{Counter: 1, Proposer: 1}
	for _, tt := range []struct {
		name string
		p    Proposal
	}{
		{"no ballot", Proposal{Base: base, Value: base.Joint(vs("abd"))}},
		{"value that does not follow", Proposal{Base: base, Ballot: ballot, Value: Config{Epoch: 2, Voters: vs("d")}}},
		{"malformed base", Proposal{Base: Config{Epoch: 9, Voters: vs("aa")}, Ballot: ballot, Value: Config{Epoch: 10, Voters: vs("aa"), Next: vs("b")}}},
		{"forked base", Proposal{Base: Config{Epoch: 1, Voters: vs("abe")}, Ballot: ballot, Value: Config{Epoch: 2, Voters: vs("abe"), Next: vs("a")}}},
	} {
		s := State{Config: base}
		if _, changed, err := s.Accept(self, tt.p); err == nil || changed {
			t.Errorf("%s: accepted, changed %v", tt.name, changed)
		}
		tt.p.Value = Config{}
		if _, changed, err := s.Prepare(self, tt.p); tt.name != "value that does not follow" && (err == nil || changed) {
			t.Errorf("%s: promised, changed %v", tt.name, changed)
		}
	}
}
