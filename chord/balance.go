package chord

import "slices"

// NewIndexes chooses the indexes of k positions for peer id, which is about to
// join the ring that v shows: for each, the best of eight candidates, which is
// the one that splits its arc into the largest smaller half. It is called once
// in a peer's life; the choice is then kept and announced in the peer's record.
// k is cut to 1..MaxIndexes. The indexes come ascending.
func NewIndexes(v *View, id PeerID, k int) []uint32 {
	const choices = 8
	k = min(max(k, 1), MaxIndexes)
	taken := make([]ID, 0, len(v.places)+k)
	for _, s := range v.places {
		if v.peers[s.peer].ID != id {
			taken = append(taken, s.id)
		}
	}
	indexes := make([]uint32, 0, k)
	for j := range k {
		best, bestAt, bestGain := uint32(0), ID{}, -1.0
		for c := range choices {
			i := uint32(j*choices + c)
			at := Position(id, i)
			if gain := splitGain(taken, at); gain > bestGain {
				best, bestAt, bestGain = i, at, gain
			}
		}
		indexes = append(indexes, best)
		n, _ := slices.BinarySearchFunc(taken, bestAt, ID.Compare)
		taken = slices.Insert(taken, n, bestAt)
	}
	return indexes
}

// splitGain returns the smaller part of the arc that a new position at would
// split; taken is sorted.
func splitGain(taken []ID, at ID) float64 {
	if len(taken) == 0 {
		return 1
	}
	i, _ := slices.BinarySearchFunc(taken, at, ID.Compare)
	next := taken[i%len(taken)]
	prev := taken[(i+len(taken)-1)%len(taken)]
	return min(Arc{From: prev, To: at}.fraction(), Arc{From: at, To: next}.fraction())
}
