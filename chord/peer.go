package chord

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
	// Seq grows with each change of the record within one incarnation.
	Seq uint64
	// Indexes are the indexes of the peer's positions, ascending, at least one.
	// Its positions are Position(ID, i).
	Indexes []uint32
	// Weight is the share of keys that the peer wants, relative to others; 100
	// is the default.
	Weight uint32
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
