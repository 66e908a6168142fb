package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A transcript of plans sets words, which stay set, and asks for the plan:
//
//	plan self=a config=3:abc->abd ring=abd live=abd gone=c leaving= forgotten= forced= told=bc synced=d:ab n=3 pending=4:abd stuck
func TestPlanTranscripts(t *testing.T) {
	transcripts(t, "plan", func() func(string) (string, error) {
		words := map[string]string{"n": "3"}
		return func(command string) (string, error) {
			f := strings.Fields(command)
			delete(words, "stuck")
			for _, w := range f[1:] {
				k, v, _ := strings.Cut(w, "=")
				words[k] = v
			}
			s, err := readSituation(words)
			if err != nil || f[0] == "set" {
				return "", err
			}
			return describePlan(s), nil
		}
	})
}

func readSituation(words map[string]string) (*Situation, error) {
	in := func(word string) VoterSet {
		set, ok := words[word]
		if !ok && word == "told" {
			return nil
		}
		return func(v Voter) bool { return slices.Contains(vs(set), v) }
	}
	s := &Situation{
		Proposal: vs(words["ring"]), Live: in("live"), Gone: in("gone"), Leaving: in("leaving"), Forgotten: in("forgotten"), Forced: in("forced"), Told: in("told"),
	}
	s.Synced = func(v Voter) []Voter {
		for report := range strings.SplitSeq(words["synced"], ",") {
			who, from, _ := strings.Cut(report, ":")
			if who != "" && vs(who)[0] == v {
				return vs(from)
			}
		}
		return nil
	}
	if self := words["self"]; self != "" {
		s.Self = vs(self)[0]
	}
	_, s.Stuck = words["stuck"]
	_, err := fmt.Sscan(words["n"], &s.N)
	s.State = State{}
	if c := words["config"]; c != "" && err == nil {
		s.State.Config, err = readConfig(c)
	}
	if c := words["pending"]; c != "" && err == nil {
		s.State.Promised, s.State.Accepted = Ballot{Counter: 1}, Ballot{Counter: 1}
		s.State.Value, err = readConfig(c)
	}
	return s, err
}

func describePlan(s *Situation) string {
	p := s.Next()
	switch p.Action {
	case Propose:
		if err := s.State.Config.CheckNext(p.Value); err != nil {
			return "BROKEN " + describe(p.Value) + ": " + err.Error()
		}
		return fmt.Sprintf("propose %s: %s", describe(p.Value), p.Why)
	case Await:
		return fmt.Sprintf("await %s: %s", names(p.Await), p.Why)
	case Reopen:
		return fmt.Sprintf("reopen as %s: %s", describe(p.Value), p.Why)
	case Salvage:
		return fmt.Sprintf("salvage from %s to propose %s: %s", names(p.Await), describe(p.Value), p.Why)
	}
	return "rest: " + p.Why
}

// TestPlanConverges plays the driver of a shard with perfect decisions: from any
// configuration, whoever is down, the plan comes to rest, never having shrunk a
// configuration but for leavers, and where all is well it rests at the ring's
// proposal.
func TestPlanConverges(t *testing.T) {
	universe := vs("abcdefg")
	moves := 0
	for seed := uint64(1); seed <= 5000; seed++ {
		rng := rand.New(rand.NewPCG(seed, 3))
		pick := func(chance float64) []Voter {
			return slices.DeleteFunc(slices.Clone(universe), func(Voter) bool { return rng.Float64() > chance })
		}
		in := func(set []Voter) VoterSet { return func(v Voter) bool { return slices.Contains(set, v) } }
		voters := slices.Clone(universe)
		rng.Shuffle(len(voters), func(i, j int) { voters[i], voters[j] = voters[j], voters[i] })
		c := Config{Epoch: 1, Voters: voters[:1+rng.IntN(4)]}
		ring := slices.Clone(universe)
		rng.Shuffle(len(ring), func(i, j int) { ring[i], ring[j] = ring[j], ring[i] })
		dead := pick(0.3)
		gone := slices.DeleteFunc(slices.Clone(dead), func(Voter) bool { return rng.IntN(2) == 0 })
		leaving := pick(0.1)
		ring = slices.DeleteFunc(ring, func(v Voter) bool { return slices.Contains(dead, v) && rng.IntN(2) == 0 || rng.IntN(8) == 0 })
		live := func(v Voter) bool { return !slices.Contains(dead, v) }
		n := 1 + rng.IntN(4)
		first := c
		steps := 0
		for ; steps < 20; steps++ {
			var next *Config
			for _, self := range universe {
				if !live(self) {
					continue
				}
				s := Situation{
					Self: self, State: State{Config: c}, Proposal: ring, N: n, Live: live, Gone: in(gone), Leaving: in(leaving),
					Synced: func(v Voter) []Voter {
						return slices.DeleteFunc(slices.Clone(c.Voters), func(v Voter) bool { return !live(v) })
					},
				}
				p := s.Next()
				if p.Action != Propose {
					continue
				}
				if next != nil {
					t.Fatalf("seed %d: two lead %s", seed, describe(c))
				}
				if err := c.CheckNext(p.Value); err != nil {
					t.Fatalf("seed %d: %s after %s: %v", seed, describe(p.Value), describe(c), err)
				}
				next = &p.Value
			}
			if next == nil {
				break
			}
			c = *next
			moves++
		}
		if steps == 20 {
			t.Fatalf("seed %d: no rest, at %s", seed, describe(c))
		}
		left := 0
		for _, v := range first.Voters {
			if slices.Contains(leaving, v) {
				left++
			}
		}
		if c.Stable() && len(c.Voters) < min(len(first.Voters)-left, n) {
			t.Fatalf("seed %d: shrunk from %s to %s", seed, describe(first), describe(c))
		}
		if len(dead) == 0 && len(ring) >= n && len(leaving) == 0 && !sameSet(c.Voters, ring[:n]) {
			t.Fatalf("seed %d: rests at %s, the ring proposes %s", seed, describe(c), names(ring[:n]))
		}
	}
	if moves < 1000 {
		t.Errorf("only %d moves", moves)
	}
}
