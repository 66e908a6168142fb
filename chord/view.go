package chord

import (
	"slices"
	"sort"
)

// View is the ring as one peer sees it at one moment. It never changes, so any
// goroutine may read it; what it returns must not be modified. Two peers whose
// views have the same Digest see the same ring.
type View struct {
	self     PeerID
	peers    []Peer // ascending by ID
	places   []spot // ascending by ID
	suspects map[PeerID]bool
	digest   uint64
	complete bool
}

// spot is a position and the ordinal of its peer in View.peers.
type spot struct {
	id   ID
	peer int32
}

// NewView returns the view of a ring that consists of peers, as seen by self.
// Of several records of one peer the first counts.
func NewView(self PeerID, peers []Peer) *View {
	v := &View{self: self, peers: slices.Clone(peers), complete: true}
	slices.SortStableFunc(v.peers, func(a, b Peer) int { return comparePeerIDs(a.ID, b.ID) })
	v.peers = slices.CompactFunc(v.peers, func(a, b Peer) bool { return a.ID == b.ID })
	for i := range v.peers {
		for _, id := range v.peers[i].Positions() {
			v.places = append(v.places, spot{id, int32(i)})
		}
		v.digest ^= v.peers[i].digest()
	}
	slices.SortFunc(v.places, func(a, b spot) int { return a.id.Compare(b.id) })
	return v
}

// Self returns the ID of the peer whose view this is.
func (v *View) Self() PeerID { return v.self }

// Len returns the number of peers in the ring; 0 before joining.
func (v *View) Len() int { return len(v.peers) }

// Peers returns the peers of the ring in the order of their IDs.
func (v *View) Peers() []Peer { return v.peers }

// Peer returns the record of a peer of the ring.
func (v *View) Peer(id PeerID) (Peer, bool) {
	i, ok := slices.BinarySearchFunc(v.peers, id, func(p Peer, id PeerID) int { return comparePeerIDs(p.ID, id) })
	if !ok {
		return Peer{}, false
	}
	return v.peers[i], true
}

// Suspect reports whether the peer failed to answer lately and may be evicted
// soon.
func (v *View) Suspect(id PeerID) bool { return v.suspects[id] }

// Complete reports that the view holds every peer of which this peer knows. It
// is false where the ring is larger than Config.TableSize; a Lookup then knows
// better than Owner.
func (v *View) Complete() bool { return v.complete }

// Digest identifies the set of records in the view.
func (v *View) Digest() uint64 { return v.digest }

// Owner returns the peer with the first position at or after id: the owner of
// id. It is the zero Peer in an empty view.
func (v *View) Owner(id ID) Peer {
	if len(v.places) == 0 {
		return Peer{}
	}
	return v.peers[v.places[v.search(id)].peer]
}

// Successors returns the first n distinct peers from id onward, the owner
// first; fewer where the ring has fewer.
func (v *View) Successors(id ID, n int) []Peer {
	n = min(n, len(v.peers))
	if n <= 0 {
		return nil
	}
	ps := make([]Peer, 0, n)
	taken := make([]int32, 0, n)
	for i := v.search(id); len(ps) < n; i = (i + 1) % len(v.places) {
		if k := v.places[i].peer; !slices.Contains(taken, k) {
			taken = append(taken, k)
			ps = append(ps, v.peers[k])
		}
	}
	return ps
}

// Arcs returns the arcs of the circle that the peer owns, in the order in
// which they end.
func (v *View) Arcs(id PeerID) []Arc {
	var arcs []Arc
	for i, s := range v.places {
		if v.peers[s.peer].ID == id {
			arcs = append(arcs, Arc{From: v.places[(i+len(v.places)-1)%len(v.places)].id, To: s.id})
		}
	}
	return arcs
}

// Owns returns the fraction of the circle that the peer owns, 0 to 1.
func (v *View) Owns(id PeerID) float64 {
	sum := 0.0
	for _, a := range v.Arcs(id) {
		sum += a.fraction()
	}
	return sum
}

// search returns the ordinal of the first place at or after id.
func (v *View) search(id ID) int {
	i := sort.Search(len(v.places), func(i int) bool { return !v.places[i].id.Less(id) })
	if i == len(v.places) {
		return 0
	}
	return i
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
