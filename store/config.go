package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// Bounds of a configuration.
const (
	// MaxVoters bounds each of Voters and Next.
	MaxVoters = 16
	// MaxPeerID bounds the length of a voter's peer ID, in bytes.
	MaxPeerID = 128
)

// Voter is one peer that may vote in a shard's configuration. A peer whose
// disk was lost has another incarnation and is not that voter any more.
type Voter struct {
	Peer        chord.PeerID
	Incarnation uint64
}

// Config is a shard's configuration. Configurations of a shard form a chain:
// the one of epoch e+1 is chosen by single-decree Paxos among the Voters of
// epoch e, so epochs never fork. Epoch 0 is the zero Config: none is known.
//
// While Next is empty the configuration is stable. While it is not, the shard
// moves from Voters to Next (joint consensus): an operation must satisfy its
// quorum in both sets, so nothing depends on which of the two comes out.
//
// Treat a Config as immutable: its slices are shared.
type Config struct {
	Epoch  uint64
	Voters []Voter // in ring order at the time of the change; distinct peers
	Next   []Voter // the set being moved to, or empty
}

// Genesis is the first configuration of every shard of a ring that self
// creates.
func Genesis(self Voter) Config { return Config{Epoch: 1, Voters: []Voter{self}} }

// Stable reports whether the shard is not moving.
func (c Config) Stable() bool { return len(c.Next) == 0 }

// IsVoter reports whether v is in Voters.
func (c Config) IsVoter(v Voter) bool { return slices.Contains(c.Voters, v) }

// IsMember reports whether v is in Voters or Next.
func (c Config) IsMember(v Voter) bool { return c.IsVoter(v) || slices.Contains(c.Next, v) }

// Members returns Voters, then those of Next that are not in Voters: each
// takes part in operations. A Set holds indexes into it.
func (c Config) Members() []Voter {
	if c.Stable() {
		return c.Voters
	}
	m := slices.Clone(c.Voters)
	for _, v := range c.Next {
		if !slices.Contains(c.Voters, v) {
			m = append(m, v)
		}
	}
	return m
}

// Equal reports whether both are the same configuration, order included.
func (c Config) Equal(d Config) bool {
	return c.Epoch == d.Epoch && slices.Equal(c.Voters, d.Voters) && slices.Equal(c.Next, d.Next)
}

// Joint returns the proposal that moves c, which must be stable, to next.
func (c Config) Joint(next []Voter) Config {
	return Config{Epoch: c.Epoch + 1, Voters: c.Voters, Next: next}
}

// Settle returns the proposal that completes the move of c, which must be
// joint.
func (c Config) Settle() Config { return Config{Epoch: c.Epoch + 1, Voters: c.Next} }

// Abort returns the proposal that gives up the move of c, which must be joint.
func (c Config) Abort() Config { return Config{Epoch: c.Epoch + 1, Voters: c.Voters} }

// Check reports what is wrong with c on its own, or nil.
func (c Config) Check() error {
	if c.Epoch == 0 {
		return errors.New("epoch is 0")
	}
	if len(c.Voters) == 0 {
		return errors.New("no voters")
	}
	for _, set := range [2][]Voter{c.Voters, c.Next} {
		if len(set) > MaxVoters {
			return fmt.Errorf("%d voters, at most %d", len(set), MaxVoters)
		}
		for i, v := range set {
			if len(v.Peer) == 0 || len(v.Peer) > MaxPeerID {
				return fmt.Errorf("peer ID of %d bytes", len(v.Peer))
			}
			for _, w := range set[:i] {
				if v.Peer == w.Peer {
					return fmt.Errorf("peer %x twice in one set", v.Peer)
				}
			}
		}
	}
	return nil
}

// CheckNext reports why d cannot follow c in the chain, or nil.
func (c Config) CheckNext(d Config) error {
	if err := d.Check(); err != nil {
		return err
	}
	if d.Epoch != c.Epoch+1 {
		return fmt.Errorf("epoch %d after %d", d.Epoch, c.Epoch)
	}
	if c.Stable() {
		if d.Stable() || !slices.Equal(c.Voters, d.Voters) {
			return errors.New("a stable configuration only becomes joint with the same voters")
		}
		return nil
	}
	if !d.Stable() || !slices.Equal(d.Voters, c.Voters) && !slices.Equal(d.Voters, c.Next) {
		return errors.New("a joint configuration only settles on one of its sets")
	}
	return nil
}

// SyncSources returns from how many distinct members of Voters v must have
// synchronised, while they held c, before c may settle on Next. A voter
// counts as a source of its own. It is 0 where v need not: outside of Next,
// and for a member of both sets unless so many voters are dropped that the
// holders of an old write might be too few for a quorum of Next.
func (c Config) SyncSources(v Voter) int {
	if c.Stable() || !slices.Contains(c.Next, v) {
		return 0
	}
	quorum := Majority(len(c.Voters))
	if c.IsVoter(v) {
		dropped := missing(c.Voters, c.Next)
		added := missing(c.Next, c.Voters)
		if max(0, quorum-dropped)+added >= Majority(len(c.Next)) {
			return 0
		}
	}
	return len(c.Voters) - quorum + 1
}

// Synced reports whether v, having synchronised from each of from while they
// held c, satisfies SyncSources. Peers outside of Voters and repetitions do
// not count.
func (c Config) Synced(v Voter, from []Voter) bool {
	n := 0
	for _, w := range c.Voters {
		if w == v || slices.Contains(from, w) {
			n++
		}
	}
	return n >= c.SyncSources(v)
}

// missing counts the voters of a that are not in b.
func missing(a, b []Voter) int {
	n := 0
	for _, v := range a {
		if !slices.Contains(b, v) {
			n++
		}
	}
	return n
}

// Majority returns the size of the smallest majority of n.
func Majority(n int) int { return n/2 + 1 }

// Level says how many replicas must take part in an operation. The zero value
// is LevelQuorum. A write of level quorum or all that was acknowledged is
// strict: reads of level quorum or all never miss it.
type Level uint8

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

// An encoded configuration: format byte 1, epoch (8 bytes, big-endian), then
// Voters and Next: a count byte, and for each voter the length of the peer ID
// in a byte, the peer ID, the incarnation (8 bytes).
const configFormat = 1

// AppendTo appends the encoding of c to b. The zero Config has an encoding.
func (c Config) AppendTo(b []byte) []byte {
	b = append(b, configFormat)
	b = binary.BigEndian.AppendUint64(b, c.Epoch)
	b = appendVoters(b, c.Voters)
	return appendVoters(b, c.Next)
}

func appendVoters(b []byte, set []Voter) []byte {
	b = append(b, byte(len(set)))
	for _, v := range set {
		b = append(b, byte(len(v.Peer)))
		b = append(b, v.Peer...)
		b = binary.BigEndian.AppendUint64(b, v.Incarnation)
	}
	return b
}

// DecodeConfig reads exactly one configuration, which is the zero Config or
// passes Check. Nothing in it aliases b.
func DecodeConfig(b []byte) (Config, error) {
	c, rest, err := cutConfig(b)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("configuration: %d bytes too many: %w", len(rest), ErrCorrupt)
	}
	if err != nil {
		return Config{}, err
	}
	return c, nil
}

// cutConfig reads a configuration from the front of b.
func cutConfig(b []byte) (c Config, rest []byte, err error) {
	if len(b) < 9 || b[0] != configFormat {
		return Config{}, nil, fmt.Errorf("configuration format: %w", ErrCorrupt)
	}
	c.Epoch = binary.BigEndian.Uint64(b[1:])
	b = b[9:]
	for _, set := range [2]*[]Voter{&c.Voters, &c.Next} {
		if *set, b, err = cutVoters(b); err != nil {
			return Config{}, nil, err
		}
	}
	if c.Epoch == 0 && len(c.Voters) == 0 && len(c.Next) == 0 {
		return Config{}, b, nil
	}
	if err := c.Check(); err != nil {
		return Config{}, nil, fmt.Errorf("configuration: %w: %w", err, ErrCorrupt)
	}
	return c, b, nil
}

func cutVoters(b []byte) ([]Voter, []byte, error) {
	if len(b) < 1 || b[0] > MaxVoters {
		return nil, nil, fmt.Errorf("configuration voters: %w", ErrCorrupt)
	}
	n := int(b[0])
	b = b[1:]
	if n == 0 {
		return nil, b, nil
	}
	set := make([]Voter, n)
	for i := range set {
		if len(b) < 1 || len(b) < 1+int(b[0])+8 {
			return nil, nil, fmt.Errorf("configuration voter %d: %w", i, ErrCorrupt)
		}
		end := 1 + int(b[0])
		set[i] = Voter{Peer: chord.PeerID(b[1:end]), Incarnation: binary.BigEndian.Uint64(b[end:])}
		b = b[end+8:]
	}
	return set, b, nil
}
