package store

import "github.com/chorus-net/chorus/chord"

// ShardID numbers a shard: the top bits of a key's position.
type ShardID uint16

// Voter is one peer that may vote in a shard's configuration. A peer whose
// disk was lost has another incarnation and is not that voter any more.
type Voter struct {
	Peer        chord.PeerID
	Incarnation uint64
}

// Config is a shard's configuration. Configurations of a shard form a chain:
// the one of epoch e+1 is chosen by single-decree Paxos among the Voters of
// epoch e, so epochs never fork.
//
// While Next is empty the configuration is stable. While it is not, the shard
// moves from Voters to Next (joint consensus): an operation must satisfy its
// quorum in both sets, so nothing depends on which of the two comes out.
type Config struct {
	Epoch  uint64
	Voters []Voter // in ring order at the time of the change; distinct peers
	Next   []Voter // the set being moved to, or empty
}
