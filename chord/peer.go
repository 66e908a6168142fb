package chord

import (
	"errors"
	"fmt"
	"slices"
)

// Limits of what a peer may claim in its record.
const (
	// MaxIndexes bounds the positions of one peer.
	MaxIndexes = 64
	// MaxIndex bounds the candidates among which a peer chooses its positions:
	// indexes are below it.
	MaxIndex = 1024

	maxPeerID  = 128
	maxAddrs   = 32
	maxAddrLen = 512
	maxRecord  = 16 << 10
	maxWeight  = 1 << 20
	maxName    = 64
)

// PeerID names a peer: the raw bytes of its libp2p peer ID, opaque to the
// cores.
type PeerID string

// Peer is what the ring knows of a peer. It is the plain-data content of a
// signed peer record; the signature is made and checked outside of the cores.
type Peer struct {
	ID PeerID
	// Incarnation is drawn at random when the peer's disk is created. A peer
	// that lost its disk comes back with another one: same ID, empty hands.
	Incarnation uint64
	// Seq is at least 1 and grows with each change of the record, best also
	// from one incarnation to the next: the time of the change in milliseconds
	// does, and no other clock will do: a Seq of the future is refused.
	Seq uint64
	// Indexes are the indexes of the peer's positions, ascending, at least one.
	// Its positions are Position(ID, i).
	Indexes []uint32
	// Weight is the share of keys that the peer took positions for when it was new
	// (WeightedPositions), relative to others: DefaultWeight, 100, is an ordinary one.
	// The core goes by Indexes alone; drivers take 0 for the word that the peer leaves.
	Weight uint32
	// Name is what people call the peer; opaque to the core, need not be unique.
	Name string
	// Addrs are the peer's addresses as multiaddr strings, opaque to the core.
	Addrs []string
	// Record holds the signed bytes that this Peer was read from, so that it
	// can be passed on; nil in simulations.
	Record []byte
}

// Positions returns the peer's ring positions, in the order of Indexes.
func (p Peer) Positions() []ID {
	ids := make([]ID, len(p.Indexes))
	for i, x := range p.Indexes {
		ids[i] = Position(p.ID, x)
	}
	return ids
}

// Arc is the half-open interval (From, To] of the circle. From == To is the
// whole circle.
type Arc struct{ From, To ID }

// Contains reports whether id lies in the arc.
func (a Arc) Contains(id ID) bool {
	switch a.From.Compare(a.To) {
	case -1:
		return a.From.Less(id) && !a.To.Less(id)
	case 1:
		return a.From.Less(id) || !a.To.Less(id)
	default:
		return true
	}
}

// Place is a position on the circle and the peer that holds it.
type Place struct {
	ID    ID
	Peer  PeerID
	Index uint32 // ID is Position(Peer, Index)
}

// ErrPeer marks a peer record that claims what no record may.
var ErrPeer = errors.New("impossible peer record")

// validate reports why no peer may claim to be p.
func (p *Peer) validate() error {
	switch {
	case len(p.ID) == 0 || len(p.ID) > maxPeerID:
		return fmt.Errorf("%w: an ID of %d bytes", ErrPeer, len(p.ID))
	case p.Seq == 0:
		return fmt.Errorf("%w: sequence number 0", ErrPeer)
	case len(p.Indexes) == 0 || len(p.Indexes) > MaxIndexes:
		return fmt.Errorf("%w: %d positions, want 1 to %d", ErrPeer, len(p.Indexes), MaxIndexes)
	case p.Weight > maxWeight:
		return fmt.Errorf("%w: weight %d", ErrPeer, p.Weight)
	case len(p.Addrs) > maxAddrs:
		return fmt.Errorf("%w: %d addresses", ErrPeer, len(p.Addrs))
	case len(p.Name) > maxName:
		return fmt.Errorf("%w: a name of %d bytes", ErrPeer, len(p.Name))
	case len(p.Record) > maxRecord:
		return fmt.Errorf("%w: %d signed bytes", ErrPeer, len(p.Record))
	}
	for i, x := range p.Indexes {
		if x >= MaxIndex || i > 0 && x <= p.Indexes[i-1] {
			return fmt.Errorf("%w: index %d out of range or order", ErrPeer, x)
		}
	}
	for _, a := range p.Addrs {
		if len(a) > maxAddrLen {
			return fmt.Errorf("%w: an address of %d bytes", ErrPeer, len(a))
		}
	}
	return nil
}

// same reports whether p and q are the same version of a peer's record.
func (p *Peer) same(q *Peer) bool {
	return p.Incarnation == q.Incarnation && p.Seq == q.Seq && slices.Equal(p.Indexes, q.Indexes)
}
