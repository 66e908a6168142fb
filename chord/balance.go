package chord

import "slices"

// DefaultWeight is the Weight of an ordinary peer.
const DefaultWeight = 100

// WeightedPositions returns how many positions a peer of a weight takes where one of
// DefaultWeight takes k: as many times k, to the nearest whole number, at least one
// and at most MaxIndexes. Each is about as good as another, so its share of the keys
// is in proportion.
func WeightedPositions(k int, weight uint32) int {
	n := (uint64(max(k, 0))*uint64(weight) + DefaultWeight/2) / DefaultWeight
	return int(min(max(n, 1), MaxIndexes))
}

// NewIndexes chooses the indexes of k positions for peer id, which is about to
// join the ring that v shows: for each, the best of eight candidates, which is
// the one that splits its arc into the largest smaller half. It is called once
// in a peer's life; the choice is then kept and announced in the peer's record.
// k is cut to 1..MaxIndexes. The indexes come ascending.
func NewIndexes(v *View, id PeerID, k int) []uint32 {
	const choices = 8
	k = min(max(k, 1), MaxIndexes)
	indexes := make([]uint32, 0, k)
	chosen := make([]ID, 0, k)
	for j := range k {
		best, bestAt, bestGain := uint32(0), ID{}, -1.0
		for c := range choices {
			i := uint32(j*choices + c)
			at := Position(id, i)
			if gain := v.splitGain(id, chosen, at); gain > bestGain {
				best, bestAt, bestGain = i, at, gain
			}
		}
		indexes = append(indexes, best)
		n, _ := slices.BinarySearchFunc(chosen, bestAt, ID.Compare)
		chosen = slices.Insert(chosen, n, bestAt)
	}
	return indexes
}

// splitGain returns the smaller part of the arc that a new position at would
// split, between the positions of other peers than id and those chosen, which are
// sorted.
func (v *View) splitGain(id PeerID, chosen []ID, at ID) float64 {
	prev, next, ok := v.around(id, at)
	if n := len(chosen); n > 0 {
		i, _ := slices.BinarySearchFunc(chosen, at, ID.Compare)
		before, after := chosen[(i+n-1)%n], chosen[i%n]
		if !ok || distance(before, at).Less(distance(prev, at)) {
			prev = before
		}
		if !ok || distance(at, after).Less(distance(at, next)) {
			next = after
		}
	} else if !ok {
		return 1
	}
	return min(Arc{From: prev, To: at}.Fraction(), Arc{From: at, To: next}.Fraction())
}

// around returns the nearest positions of other peers than id before a position
// and from it on, if there are any.
func (v *View) around(id PeerID, at ID) (prev, next ID, ok bool) {
	if v.Len() == 0 {
		return prev, next, false
	}
	i := v.places.from(at)
	before := v.places.prev(i)
	for range v.places.count {
		if v.places.get(i).rec.ID != id {
			ok = true
			break
		}
		i = v.places.next(i)
	}
	for ok && v.places.get(before).rec.ID == id {
		before = v.places.prev(before)
	}
	return v.places.get(before).place().ID, v.places.get(i).place().ID, ok
}
