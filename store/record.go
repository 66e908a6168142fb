package store

import "github.com/chorus-net/chorus/chord"

// Class is a record's consistency class. Each class is a kind of operation on
// the same shards.
type Class uint8

const (
	// ClassEventual is last-writer-wins with quorum reads and writes.
	ClassEventual Class = 0
	// ClassPaxos is a compare-and-swap register (not served yet).
	ClassPaxos Class = 1
	// ClassRaft is an ordered namespace (not served yet).
	ClassRaft Class = 2
)

// Version orders the writes of a key: hybrid logical clock first, writer next.
// It is a total order.
type Version struct {
	// Clock is a hybrid logical clock: milliseconds since 1970 in the upper 48
	// bits, a counter in the lower 16.
	Clock uint64
	// Writer is the incarnation of the peer that coordinated the write.
	Writer uint64
}

// Dot names one write event: the coordinator's incarnation and its counter.
type Dot struct {
	Actor   uint64
	Counter uint64
}

// Record is one version of one key, as it stands on disk and on the wire.
type Record struct {
	Class     Class
	Namespace string
	Key       string
	Position  chord.ID // routing position; usually Route(Namespace, Key)
	Version   Version
	Dot       Dot
	Expires   int64 // Unix milliseconds, absolute; 0 is never
	Tombstone bool
	Owner     []byte // slot: owner's public key and signature, empty for now
	Value     []byte
}
