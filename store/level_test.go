package store

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// slowReached is the obvious twin of Tally.Reached.
func slowReached(c Config, l Level, acks []Voter) bool {
	for _, set := range [][]Voter{c.Voters, c.Next} {
		n := 0
		for _, v := range set {
			if slices.Contains(acks, v) {
				n++
			}
		}
		switch {
		case len(set) == 0:
		case l == LevelOne && n < 1, l == LevelAll && n < len(set), l == LevelQuorum && 2*n <= len(set):
			return false
		}
	}
	return true
}

func TestTally(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genConfig(t)
		level := rapid.SampledFrom([]Level{LevelOne, LevelQuorum, LevelAll}).Draw(t, "level")
		tally, members := NewTally(c, level), c.Members()
		all := Set(1)<<len(members) - 1
		if tally.Members() != all {
			t.Fatalf("members %b, want %b", tally.Members(), all)
		}
		acks := Set(rapid.Uint64Range(0, uint64(all)).Draw(t, "acks"))
		fails := Set(rapid.Uint64Range(0, uint64(all)).Draw(t, "fails"))
		pick := func(s Set) (who []Voter) {
			for i := range s.All() {
				who = append(who, members[i])
			}
			return who
		}
		if got, want := tally.Reached(acks), slowReached(c, level, pick(acks)); got != want {
			t.Fatalf("%v at %v with %b: reached %v", c, level, acks, got)
		}
		if got, want := tally.Impossible(fails), !slowReached(c, level, pick(all&^fails)); got != want {
			t.Fatalf("%v at %v without %b: impossible %v", c, level, fails, got)
		}
		// Adding whoever helps, and nobody else, ends at a quorum.
		grown := acks
		for i := range all.All() {
			if tally.Helps(grown, i) {
				grown |= bit(i)
			} else if with := grown | bit(i); tally.Reached(with) && !tally.Reached(grown) {
				t.Fatalf("member %d completes %b, and does not help", i, grown)
			}
		}
		if !tally.Reached(grown) {
			t.Fatalf("%v at %v: all who help are %b", c, level, grown)
		}
	})
}

func TestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Set(rapid.Uint64().Draw(t, "set"))
		var got Set
		last, n := -1, 0
		for i := range s.All() {
			if i <= last || !s.Has(i) {
				t.Fatalf("%d after %d of %b", i, last, s)
			}
			last, n, got = i, n+1, got|bit(i)
		}
		if got != s || n != s.Len() {
			t.Fatalf("%b yields %b, %d of %d", s, got, n, s.Len())
		}
	})
	for i := range Set(0b1110).All() {
		if i == 2 {
			break // an early end must not panic
		}
	}
}

func TestLevel(t *testing.T) {
	for _, l := range []Level{LevelOne, LevelQuorum, LevelAll} {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("%v reads as %v, %v", l, got, err)
		}
	}
	if l, err := ParseLevel(""); err != nil || l != LevelQuorum {
		t.Errorf("the default is %v, %v", l, err)
	}
	if _, err := ParseLevel("most"); err == nil {
		t.Error(`"most" passes`)
	}
	for n, want := range []int{1, 1, 2, 2, 3, 3} {
		if got := LevelQuorum.Need(n); n > 0 && got != want {
			t.Errorf("a majority of %d is %d, want %d", n, got, want)
		}
	}
}
