package store

import (
	"fmt"
	"iter"
	"math/bits"
	"slices"
)

// Majority returns the size of the smallest majority of n.
func Majority(n int) int { return n/2 + 1 }

// Level says how many replicas must take part in an operation. The zero value
// is LevelQuorum. A write of level quorum or all that was acknowledged is
// strict: reads of level quorum or all never miss it.
type Level uint8

// The levels.
const (
	LevelQuorum Level = iota // a majority
	LevelOne
	LevelAll
)

// Need returns how many of n replicas the level asks for.
func (l Level) Need(n int) int {
	switch l {
	case LevelOne:
		return min(1, n)
	case LevelAll:
		return n
	default:
		return Majority(n)
	}
}

// String returns "one", "quorum" or "all".
func (l Level) String() string {
	switch l {
	case LevelQuorum:
		return "quorum"
	case LevelOne:
		return "one"
	case LevelAll:
		return "all"
	default:
		return fmt.Sprintf("level %d", uint8(l))
	}
}

// ParseLevel reads what String wrote; "" is LevelQuorum.
func ParseLevel(s string) (Level, error) {
	switch s {
	case "", "quorum":
		return LevelQuorum, nil
	case "one":
		return LevelOne, nil
	case "all":
		return LevelAll, nil
	}
	return 0, fmt.Errorf("level %q: want one, quorum or all", s)
}

// Set is a set of indexes into a configuration's Members.
type Set uint64

// Has reports whether member i is in s.
func (s Set) Has(i int) bool { return s>>uint(i)&1 != 0 }

// Len returns the number of members in s.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// All yields the members of s in ascending order.
func (s Set) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for ; s != 0; s &= s - 1 {
			if !yield(bits.TrailingZeros64(uint64(s))) {
				return
			}
		}
	}
}

func bit(i int) Set { return 1 << uint(i) }

// Tally is the quorum arithmetic of a configuration at a level: does a Set of
// members suffice? In a joint configuration it must in both sets.
type Tally struct {
	voters, next         Set
	needVoters, needNext int
}

// NewTally returns the arithmetic of c at level l.
func NewTally(c Config, l Level) Tally {
	t := Tally{voters: bit(len(c.Voters)) - 1, needVoters: l.Need(len(c.Voters))}
	if c.Stable() {
		return t
	}
	extra := len(c.Voters)
	for _, v := range c.Next {
		if i := slices.Index(c.Voters, v); i >= 0 {
			t.next |= bit(i)
		} else {
			t.next |= bit(extra)
			extra++
		}
	}
	t.needNext = l.Need(len(c.Next))
	return t
}

// Members returns the set of all members.
func (t Tally) Members() Set { return t.voters | t.next }

// Reached reports whether acks suffice.
func (t Tally) Reached(acks Set) bool {
	return (acks&t.voters).Len() >= t.needVoters && (acks&t.next).Len() >= t.needNext
}

// Impossible reports whether the quorum is out of reach once the members of
// fails cannot be counted any more.
func (t Tally) Impossible(fails Set) bool { return !t.Reached(t.Members() &^ fails) }

// Lacks returns how many more members the quorum takes than acks.
func (t Tally) Lacks(acks Set) int {
	return max(t.needVoters-(acks&t.voters).Len(), t.needNext-(acks&t.next).Len(), 0)
}

// Helps reports whether member i brings acks closer to the quorum.
func (t Tally) Helps(acks Set, i int) bool {
	if acks.Has(i) {
		return false
	}
	return t.voters.Has(i) && (acks&t.voters).Len() < t.needVoters ||
		t.next.Has(i) && (acks&t.next).Len() < t.needNext
}

// Need returns the number of voters that the quorum takes of Voters and, in a
// joint configuration, of Next.
func (t Tally) Need() (voters, next int) { return t.needVoters, t.needNext }
