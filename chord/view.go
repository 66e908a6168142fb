package chord

import (
	"iter"
	"slices"
)

// View is the ring as one peer sees it at one moment. It never changes, so any
// goroutine may read it; what it returns must not be modified. Two peers whose
// views have the same Digest see the same ring.
type View struct {
	self     PeerID
	places   positions
	roll     roll
	suspects []PeerID // ascending
	digest   uint64
	complete bool
}

// NewView returns the view of a ring that consists of peers, as seen by self.
// Of several records of one peer the first counts.
func NewView(self PeerID, peers []Peer) *View {
	v := emptyView(self)
	for i := range peers {
		if v.roll.peer(peers[i].ID) != nil {
			continue
		}
		rec := completed(peers[i])
		v.roll.add(rollEntry(rec))
		v.places.addAll(rec)
		v.digest ^= rec.sum
	}
	return v
}

// emptyView is the view of a peer that is in no ring.
func emptyView(self PeerID) *View {
	return &View{self: self, complete: true, places: newPositions(), roll: newRoll()}
}

// Self returns the ID of the peer whose view this is.
func (v *View) Self() PeerID { return v.self }

// Len returns the number of peers in the ring; 0 before joining.
func (v *View) Len() int { return v.roll.count }

// All runs through the peers of the ring in the order of their IDs.
func (v *View) All() iter.Seq[Peer] {
	return func(yield func(Peer) bool) {
		for i := range v.roll.chunks {
			for _, e := range v.roll.chunks[i].entries {
				if !yield(e.rec.Peer) {
					return
				}
			}
		}
	}
}

// Peers returns the peers of the ring in the order of their IDs, in a slice that
// is made by the call.
func (v *View) Peers() []Peer { return slices.AppendSeq(make([]Peer, 0, v.Len()), v.All()) }

// Peer returns the record of a peer of the ring.
func (v *View) Peer(id PeerID) (Peer, bool) {
	if rec := v.roll.peer(id); rec != nil {
		return rec.Peer, true
	}
	return Peer{}, false
}

// Suspect reports whether the peer failed to answer lately and may be evicted
// soon.
func (v *View) Suspect(id PeerID) bool {
	_, suspect := slices.BinarySearch(v.suspects, id)
	return suspect
}

// Complete reports that the view holds every peer of which this peer knows. It
// is false where the ring is larger than Config.TableSize or changes too fast for
// Config.Budget, and until a newcomer's table is filled; a Lookup then knows
// better than Owner.
func (v *View) Complete() bool { return v.complete }

// Digest identifies the set of records in the view.
func (v *View) Digest() uint64 { return v.digest }

// Owner returns the peer with the first position at or after id: the owner of
// id. It is the zero Peer in an empty view.
func (v *View) Owner(id ID) Peer {
	if v.Len() == 0 {
		return Peer{}
	}
	return v.places.get(v.places.from(id)).rec.Peer
}

// Successors returns the first n distinct peers from id onward, the owner
// first; fewer where the ring has fewer.
func (v *View) Successors(id ID, n int) []Peer {
	n = min(n, v.Len())
	if n <= 0 {
		return nil
	}
	ps := make([]Peer, 0, n)
	taken := make([]*Record, 0, n)
	for at := v.places.from(id); len(ps) < n; at = v.places.next(at) {
		if rec := v.places.get(at).rec; !slices.Contains(taken, rec) {
			taken = append(taken, rec)
			ps = append(ps, rec.Peer)
		}
	}
	return ps
}

// Arcs returns the arcs of the circle that the peer owns, in the order in
// which they end.
func (v *View) Arcs(id PeerID) []Arc {
	rec := v.roll.peer(id)
	if rec == nil {
		return nil
	}
	arcs := make([]Arc, len(rec.places))
	for i, p := range rec.places {
		before := v.places.prev(v.places.from(p.ID))
		arcs[i] = Arc{From: v.places.get(before).place().ID, To: p.ID}
	}
	slices.SortFunc(arcs, func(a, b Arc) int { return a.To.Compare(b.To) })
	return arcs
}

// Owns returns the fraction of the circle that the peer owns, 0 to 1.
func (v *View) Owns(id PeerID) float64 {
	sum := 0.0
	for _, a := range v.Arcs(id) {
		sum += a.Fraction()
	}
	return sum
}

func comparePeerIDs(a, b PeerID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}
