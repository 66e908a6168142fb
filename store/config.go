package store

import (
	"errors"
	"fmt"
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
// Up to the horizon all is settled: writes at or below it are refused, and every
// member holds what any replica may ever offer of it, so that records of deleted
// and expired keys need not be kept. See doc.go.
//
// Treat a Config as immutable: its slices are shared.
type Config struct {
	Epoch  uint64
	Voters []Voter // in ring order at the time of the change; distinct peers
	Next   []Voter // the set being moved to, or empty

	Horizon uint64 // a version's clock; 0: none was ever set
	Raised  uint64 // the epoch that set it, 0 with it
}

// Genesis is the first configuration of every shard of a ring that self
// creates.
func Genesis(self Voter) Config { return Config{Epoch: 1, Voters: []Voter{self}} }

// Stable reports whether the shard is not moving.
func (c Config) Stable() bool { return len(c.Next) == 0 }

// IsVoter reports whether v is in Voters.
func (c Config) IsVoter(v Voter) bool { return among(c.Voters, v) }

// IsMember reports whether v is in Voters or Next.
func (c Config) IsMember(v Voter) bool { return c.IsVoter(v) || among(c.Next, v) }

// among is slices.Contains that looks at the incarnations first, which tell voters apart
// at less cost than the names of peers.
func among(voters []Voter, v Voter) bool {
	for i := range voters {
		if voters[i].Incarnation == v.Incarnation && voters[i].Peer == v.Peer {
			return true
		}
	}
	return false
}

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
	return c.Epoch == d.Epoch && c.Horizon == d.Horizon && c.Raised == d.Raised &&
		slices.Equal(c.Voters, d.Voters) && slices.Equal(c.Next, d.Next)
}

// Joint returns the proposal that moves c, which must be stable, to next.
func (c Config) Joint(next []Voter) Config { return c.then(c.Voters, next) }

// Settle returns the proposal that completes the move of c, which must be
// joint.
func (c Config) Settle() Config { return c.then(c.Next, nil) }

// Abort returns the proposal that gives up the move of c, which must be joint.
func (c Config) Abort() Config { return c.then(c.Voters, nil) }

// Raise returns the proposal that raises the horizon of c, which must be stable,
// to a clock above it. All voters must have confirmed that before: see Raise.
func (c Config) Raise(horizon uint64) Config {
	d := c.then(c.Voters, nil)
	d.Horizon, d.Raised = horizon, d.Epoch
	return d
}

// then returns the configuration of the next epoch with other voters.
func (c Config) then(voters, next []Voter) Config {
	return Config{Epoch: c.Epoch + 1, Voters: voters, Next: next, Horizon: c.Horizon, Raised: c.Raised}
}

// Check reports what is wrong with c on its own, or nil.
func (c Config) Check() error {
	if c.Epoch == 0 {
		return errors.New("epoch is 0")
	}
	if len(c.Voters) == 0 {
		return errors.New("no voters")
	}
	if (c.Horizon == 0) != (c.Raised == 0) || c.Raised > c.Epoch {
		return fmt.Errorf("horizon %x raised at epoch %d", c.Horizon, c.Raised)
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

// CheckNext reports why d cannot follow c in the chain, by a move, a raise of the
// horizon, or by force; or nil.
func (c Config) CheckNext(d Config) error {
	if err := d.Check(); err != nil {
		return err
	}
	if c.forces(d) {
		return nil
	}
	if d.Epoch != c.Epoch+1 {
		return fmt.Errorf("epoch %d after %d", d.Epoch, c.Epoch)
	}
	if c.Stable() && d.Stable() {
		if !slices.Equal(c.Voters, d.Voters) || d.Horizon <= c.Horizon || d.Raised != d.Epoch {
			return errors.New("a stable configuration stays stable only to raise the horizon")
		}
		return nil
	}
	if d.Horizon != c.Horizon || d.Raised != c.Raised {
		return errors.New("a move leaves the horizon alone")
	}
	if c.Stable() {
		if !slices.Equal(c.Voters, d.Voters) {
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
