package chord

// Route answers a target as a peer would that keeps no table: it knows the next
// list distinct peers after each of its positions, and the fingers of the first
// one. Done: nodes are the target's successors, the owner first. Not done: nodes
// are up to 4 peers that stand before the target, the nearest first. It tells
// what a lookup takes without a table on a ring that has one.
func (v *View) Route(target ID, list int) (nodes []Peer, done bool) {
	if v.Len() == 0 {
		return nil, false
	}
	at := v.places.from(target)
	if v.own(at) || v.own(v.places.prev(at)) {
		return v.Successors(target, list), true
	}
	known := v.known(list)
	for range v.places.count {
		at = v.places.prev(at)
		if rec := v.places.get(at).rec; known[rec] {
			known[rec] = false // its nearest place counts
			nodes = append(nodes, rec.Peer)
		}
		if len(nodes) == maxReferal {
			break
		}
	}
	return nodes, false
}

func (v *View) own(at cursor) bool { return v.places.get(at).rec.ID == v.self }

// known tells which other peers successor lists of that length and fingers name.
func (v *View) known(list int) map[*Record]bool {
	known := make(map[*Record]bool)
	self := v.roll.peer(v.self)
	if self == nil {
		return known
	}
	first := self.places[0].ID
	for _, p := range self.places {
		if p.ID.Less(first) {
			first = p.ID
		}
		listed := make(map[*Record]bool)
		start := v.places.from(p.ID)
		for at := v.places.next(start); at != start && len(listed) < list; at = v.places.next(at) {
			if !v.own(at) {
				listed[v.places.get(at).rec] = true
				known[v.places.get(at).rec] = true
			}
		}
	}
	for k := range 8 * len(ID{}) {
		if at := v.places.from(plusPow2(first, k)); !v.own(at) {
			known[v.places.get(at).rec] = true
		}
	}
	return known
}
