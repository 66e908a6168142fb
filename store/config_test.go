package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/chorus-net/chorus/chord"
)

// vs makes voters of letters; a digit after a letter is the incarnation.
func vs(s string) []Voter {
	var set []Voter
	for _, c := range s {
		if c >= '0' && c <= '9' {
			set[len(set)-1].Incarnation = uint64(c - '0')
			continue
		}
		set = append(set, Voter{Peer: chord.PeerID(string(c)), Incarnation: 1})
	}
	return set
}

func sampleConfig() Config {
	return Config{Epoch: 7, Voters: vs("abc"), Next: vs("abd2")}
}

func TestConfigGolden(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"zero", Config{}.AppendTo(nil), "01" + "0000000000000000" + "00" + "00"},
		{"joint", sampleConfig().AppendTo(nil), "01" + "0000000000000007" +
			"03" + "0161" + "0000000000000001" + "0162" + "0000000000000001" + "0163" + "0000000000000001" +
			"03" + "0161" + "0000000000000001" + "0162" + "0000000000000001" + "0164" + "0000000000000002"},
		{"state", (&State{
			Config:   Config{Epoch: 2, Voters: vs("a")},
			Promised: Ballot{Counter: 5, Proposer: 6},
			Accepted: Ballot{Counter: 3, Proposer: 4},
			Value:    Config{Epoch: 3, Voters: vs("a"), Next: vs("b")},
		}).AppendTo(nil), "01" + "0000000000000005" + "0000000000000006" + "0000000000000003" + "0000000000000004" +
			"01" + "0000000000000002" + "01" + "0161" + "0000000000000001" + "00" +
			"01" + "0000000000000003" + "01" + "0161" + "0000000000000001" + "01" + "0162" + "0000000000000001"},
		{"horizon", Config{Epoch: 9, Voters: vs("a"), Horizon: 5, Raised: 8}.AppendTo(nil), "02" + "0000000000000009" +
			"01" + "0161" + "0000000000000001" + "00" + "0000000000000005" + "0000000000000008"},
		{
			"state of one that closed", (&State{Config: Config{Epoch: 2, Voters: vs("a")}, Closed: 7, Clean: 3}).AppendTo(nil),
			"02" + "0000000000000007" + "0000000000000003" + strings.Repeat("00", 32) +
				"01" + "0000000000000002" + "01" + "0161" + "0000000000000001" + "00" + "01" + "0000000000000000" + "00" + "00",
		},
	} {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func genVoters(t *rapid.T, name string, least int) []Voter {
	return vs(rapid.SampledFrom([]string{"", "a", "ab", "abc", "bca", "ade", "abcde", "a2", "a2b", "def3"}).
		Filter(func(s string) bool { return len(s) >= least }).Draw(t, name))
}

func genConfig(t *rapid.T) Config {
	c := Config{Epoch: rapid.Uint64Min(1).Draw(t, "epoch"), Voters: genVoters(t, "voters", 1), Next: genVoters(t, "next", 0)}
	if rapid.Bool().Draw(t, "raised") {
		c.Horizon, c.Raised = rapid.Uint64Min(1).Draw(t, "horizon"), rapid.Uint64Range(1, c.Epoch).Draw(t, "at")
	}
	return c
}

func TestConfigRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genConfig(t)
		got, err := DecodeConfig(want.AppendTo(nil))
		if err != nil || !got.Equal(want) {
			t.Fatalf("%v reads as %v, %v", want, got, err)
		}
	})
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add(Config{}.AppendTo(nil))
	f.Add(sampleConfig().AppendTo(nil))
	f.Add(Config{Epoch: 1, Voters: vs("a")}.Raise(3).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeConfig(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("not ErrCorrupt: %v", err)
			}
			return
		}
		if c.Epoch > 0 && c.Check() != nil {
			t.Fatalf("decoded %v: %v", c, c.Check())
		}
		if !bytes.Equal(c.AppendTo(nil), b) {
			t.Fatal("a configuration has two encodings")
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	s := State{Config: sampleConfig(), Promised: Ballot{Counter: 1}}
	f.Add(s.AppendTo(nil))
	s.Accepted, s.Value = s.Promised, s.Config.Settle()
	f.Add(s.AppendTo(nil))
	s.Closed, s.Clean = 3, 4
	f.Add(s.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeState(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("not ErrCorrupt: %v", err)
			}
			return
		}
		if err := s.check(); err != nil {
			t.Fatalf("decoded a state that breaks an invariant: %v", err)
		}
		if !bytes.Equal(s.AppendTo(nil), b) {
			t.Fatal("a state has two encodings")
		}
	})
}

func TestConfigMembers(t *testing.T) {
	if diff := cmp.Diff(vs("abcd2"), sampleConfig().Members()); diff != "" {
		t.Error(diff)
	}
	// Two incarnations of one peer are two members.
	c := Config{Epoch: 1, Voters: vs("ab"), Next: vs("a2b")}
	if diff := cmp.Diff(vs("aba2"), c.Members()); diff != "" {
		t.Error(diff)
	}
}

func TestConfigCheck(t *testing.T) {
	many := make([]Voter, MaxVoters+1)
	for i := range many {
		many[i].Peer = chord.PeerID(rune('a' + i))
	}
	for _, tt := range []struct {
		name string
		c    Config
		ok   bool
	}{
		{"stable", Config{Epoch: 1, Voters: vs("abc")}, true},
		{"joint", sampleConfig(), true},
		{"as many as there may be", Config{Epoch: 1, Voters: many[1:], Next: many[1:]}, true},
		{"too many", Config{Epoch: 1, Voters: many}, false},
		{"epoch 0", Config{Voters: vs("a")}, false},
		{"no voters", Config{Epoch: 1}, false},
		{"twice", Config{Epoch: 1, Voters: vs("aba2")}, false},
		{"no name", Config{Epoch: 1, Voters: []Voter{{}}}, false},
		{"long name", Config{Epoch: 1, Voters: []Voter{{Peer: chord.PeerID(make([]byte, MaxPeerID+1))}}}, false},
	} {
		if err := tt.c.Check(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestConfigCheckNext(t *testing.T) {
	stable := Config{Epoch: 1, Voters: vs("abc")}
	joint := stable.Joint(vs("abd"))
	for _, tt := range []struct {
		name string
		c, d Config
		ok   bool
	}{
		{"move", stable, joint, true},
		{"settle", joint, joint.Settle(), true},
		{"abort", joint, joint.Abort(), true},
		{"raise the horizon", stable, stable.Raise(3), true},
		{"raise it again", stable.Raise(3), stable.Raise(3).Raise(4), true},
		{"move under a horizon", stable.Raise(3), stable.Raise(3).Joint(vs("abd")), true},
		{"settle under a horizon", stable.Raise(3).Joint(vs("abd")), stable.Raise(3).Joint(vs("abd")).Settle(), true},
		{"lower the horizon", stable.Raise(3), stable.Raise(3).Raise(2), false},
		{"raise it by nothing", stable.Raise(3), stable.Raise(3).Raise(3), false},
		{"raise it in a move", stable, Config{Epoch: 2, Voters: vs("abc"), Next: vs("abd"), Horizon: 3, Raised: 2}, false},
		{"raise it at the end of a move", joint, Config{Epoch: 3, Voters: vs("abd"), Horizon: 3, Raised: 3}, false},
		{"raise it for others", stable, Config{Epoch: 2, Voters: vs("abd"), Horizon: 3, Raised: 2}, false},
		{"raised at another epoch", stable, Config{Epoch: 2, Voters: vs("abc"), Horizon: 3, Raised: 1}, false},
		{"nothing changed", stable, Config{Epoch: 2, Voters: vs("abc")}, false},
		{"skip the joint step", stable, Config{Epoch: 2, Voters: vs("abd")}, false},
		{"change voters in joint", stable, Config{Epoch: 2, Voters: vs("abd"), Next: vs("abc")}, false},
		{"joint after joint", joint, Config{Epoch: 3, Voters: vs("abc"), Next: vs("abe")}, false},
		{"settle on a third set", joint, Config{Epoch: 3, Voters: vs("abe")}, false},
		{"skip an epoch", stable, Config{Epoch: 3, Voters: vs("abc"), Next: vs("abd")}, false},
		{"go back", joint, stable, false},
		{"malformed", stable, Config{Epoch: 2, Voters: vs("abc"), Next: vs("dd")}, false},
	} {
		if err := tt.c.CheckNext(tt.d); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// subsets yields all subsets of set.
func subsets(set []Voter) [][]Voter {
	all := [][]Voter{nil}
	for _, v := range set {
		for _, s := range all[:len(all):len(all)] {
			all = append(all, append(slices.Clone(s), v))
		}
	}
	return all
}

func majorities(set []Voter) [][]Voter {
	return slices.DeleteFunc(subsets(set), func(s []Voter) bool { return 2*len(s) <= len(set) })
}

// Whatever majority of V acknowledged a write before the move, and whatever
// sources the new voters chose, a majority of Next must hold it; and no rule
// with fewer sources would do.
func TestSyncSourcesSuffice(t *testing.T) {
	all := vs("abcdefghi")
	for nV := 1; nV <= 5; nV++ {
		for shared := 0; shared <= nV; shared++ {
			for nN := max(1, shared); nN <= min(5, shared+4); nN++ {
				c := Config{Epoch: 2, Voters: all[:nV], Next: slices.Concat(all[:shared], all[5:5+nN-shared])}
				if holders := fewestHolders(c, 0); holders < Majority(nN) {
					t.Errorf("%d voters to %d, %d shared: %d holders", nV, nN, shared, holders)
				}
				if nN > shared && Majority(nN) > shared && fewestHolders(c, 1) >= Majority(nN) {
					t.Errorf("%d voters to %d, %d shared: more sources than it takes", nV, nN, shared)
				}
			}
		}
	}
}

// fewestHolders returns, for the worst write and the worst choice of sources,
// how many of Next hold the write once all satisfied SyncSources, less a few.
func fewestHolders(c Config, less int) int {
	fewest := len(c.Next)
	for _, wrote := range majorities(c.Voters) {
		holders := 0
		for _, v := range c.Next {
			holds := slices.Contains(wrote, v)
			if need := c.SyncSources(v) - less; need > 0 {
				// The worst sources are those that did not take part in the write.
				idle := len(c.Voters) - len(wrote)
				if c.IsVoter(v) {
					need-- // its own source
					if !holds {
						idle--
					}
				}
				holds = holds || need > idle
			}
			if holds {
				holders++
			}
		}
		fewest = min(fewest, holders)
	}
	return fewest
}

func TestSyncedCountsVotersOnce(t *testing.T) {
	c := Config{Epoch: 2, Voters: vs("abcde"), Next: vs("afg")}
	f, a := c.Next[1], c.Next[0]
	if got := c.SyncSources(f); got != 3 {
		t.Fatalf("a new voter takes %d sources, want 3", got)
	}
	for _, tt := range []struct {
		v    Voter
		from string
		want bool
	}{
		{f, "ab", false}, {f, "abb", false}, {f, "abg", false}, {f, "abc2", false}, {f, "abc", true}, {f, "edc", true},
	} {
		if got := c.Synced(tt.v, vs(tt.from)); got != tt.want {
			t.Errorf("%s synced from %q: %v", tt.v.Peer, tt.from, got)
		}
	}
	// Five shrink to three with one in common: that one must catch up, too, and
	// is a source of its own.
	shrink := Config{Epoch: 2, Voters: vs("abcde"), Next: vs("a")}
	if got := shrink.SyncSources(a); got != 3 {
		t.Errorf("a voter that stays takes %d sources, want 3", got)
	}
	if shrink.Synced(a, vs("b")) || !shrink.Synced(a, vs("bc")) {
		t.Error("a voter that stays is not a source of its own")
	}
}

// A quorum of a configuration meets every majority of its successor's voters,
// and two quorums of one configuration meet.
func TestNeighboursMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Epoch: 1, Voters: genVoters(t, "voters", 1), Next: genVoters(t, "next", 0)}
		successors := []Config{c.Joint(genVoters(t, "target", 1))}
		if !c.Stable() {
			successors = []Config{c.Settle(), c.Abort()}
		}
		members := c.Members()
		tally := NewTally(c, LevelQuorum)
		quorum := Set(rapid.Uint64Range(0, 1<<len(members)-1).Draw(t, "quorum"))
		if !tally.Reached(quorum) {
			t.Skip()
		}
		for _, d := range successors {
			for _, m := range majorities(d.Voters) {
				met := slices.ContainsFunc(m, func(v Voter) bool {
					i := slices.Index(members, v)
					return i >= 0 && quorum.Has(i)
				})
				if !met {
					t.Fatalf("quorum %b of %v misses %v of %v", quorum, c, m, d)
				}
			}
		}
	})
}
