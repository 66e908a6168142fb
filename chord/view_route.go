package chord

// Route answers a target as a peer would that keeps no table: it knows the next
// list distinct peers after each of its positions, and the fingers of the first
// one. Done: nodes are the target's successors, the owner first. Not done: nodes
// are up to 4 peers that stand before the target, the nearest first. It tells
// what a lookup takes without a table on a ring that has one.
func (v *View) Route(target ID, list int) (nodes []Peer, done bool) {
	n := len(v.places)
	if n == 0 {
		return nil, false
	}
	at := v.search(target)
	if v.own(at) || v.own((at+n-1)%n) {
		return v.Successors(target, list), true
	}
	known := v.known(list)
	for i := 1; i <= n && len(nodes) < maxReferal; i++ {
		if k := v.places[(at-i+n)%n].peer; known[k] {
			known[k] = false // its nearest place counts
			nodes = append(nodes, v.peers[k])
		}
	}
	return nodes, false
}

func (v *View) own(place int) bool { return v.peers[v.places[place].peer].ID == v.self }

// known tells, by ordinal, which other peers successor lists of that length and
// fingers name.
func (v *View) known(list int) []bool {
	n := len(v.places)
	known := make([]bool, len(v.peers))
	first := -1
	for i := range v.places {
		if !v.own(i) {
			continue
		}
		if first < 0 {
			first = i
		}
		listed := make(map[int32]bool)
		for j := (i + 1) % n; j != i && len(listed) < list; j = (j + 1) % n {
			if !v.own(j) {
				listed[v.places[j].peer] = true
				known[v.places[j].peer] = true
			}
		}
	}
	if first < 0 {
		return known
	}
	for k := range 8 * len(ID{}) {
		if i := v.search(plusPow2(v.places[first].id, k)); !v.own(i) {
			known[v.places[i].peer] = true
		}
	}
	return known
}
