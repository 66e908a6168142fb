package model

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/chorus-net/chorus/chord"
)

// truth is the ring as an all-knowing observer sees it: the positions of all
// members, and what they hold of each other.
type truth struct {
	r     int // successor peers
	nodes []node
	at    map[chord.ID]int // ordinal in nodes
	peers int
	told  []told // lists that were told and are not held yet
}

// node is one position of a member. Its lists are the member's own: they hold until its
// next call.
type node struct {
	chord.Neighbours
	peer *Peer
	slot int // of the peer
	life int32
	best int  // ordinal of the first live successor, or of the next position of the same peer
	back bool // its peer came back so lately that some may yet mistake it for its former self

	revision uint64 // of the peer, as of which is all of the node but back
	skips    []int  // ordinals of those that its list skips
	live     int    // distinct live peers that its list names
	was      bool   // it was a principal after the step before
}

// told is a list that a peer was told, or is being told, and may come to hold
// as it is: a place and its successors. A joiner will stand at from, which is
// empty for members. It begins anew if it finds nobody alive on the list of who
// stands before it.
type told struct {
	to   chord.PeerID
	from chord.Place
	list []chord.Place
	anew bool
}

// observe looks at all members but those in without.
func observe(w *World, without ...*Peer) *truth {
	t := &truth{r: w.successorPeers(), at: make(map[chord.ID]int)}
	for _, p := range w.peers {
		if p.Member() && !slices.Contains(without, p) {
			t.peers++
			for slot := range p.Record.Indexes {
				t.nodes = append(t.nodes, node{Neighbours: p.Ring.Neighbour(slot), peer: p, slot: slot, life: p.life})
			}
		}
	}
	slices.SortFunc(t.nodes, func(a, b node) int { return a.At.ID.Compare(b.At.ID) })
	for i := range t.nodes {
		t.at[t.nodes[i].At.ID] = i
	}
	t.look(w)
	return t
}

// look takes what has changed while the members remained the same.
func (t *truth) look(w *World) {
	for i := range t.nodes {
		n := &t.nodes[i]
		n.back = w.mistaken(n.peer)
		revision := n.peer.Ring.Revision()
		if n.revision == revision && n.skips != nil {
			continue
		}
		n.revision, n.Neighbours = revision, n.peer.Ring.Neighbour(n.slot)
		n.best = t.nextOwn(i)
		for _, s := range n.Successors {
			if k, ok := t.at[s.ID]; ok {
				n.best = k
				break
			}
		}
		n.live = t.alive(n.At.Peer, n.Successors, true)
		if n.skips = n.skips[:0]; n.skips == nil {
			n.skips = []int{}
		}
		t.skips(n.At, n.Successors, func(k int) { n.skips = append(n.skips, k) })
	}
}

// recall takes over from the look before which positions were principals, and still
// stand in the same life of their peers.
func (t *truth) recall(before *truth) {
	if before == nil {
		return
	}
	for i := range t.nodes {
		n := &t.nodes[i]
		if k, ok := before.at[n.At.ID]; ok && before.nodes[k].life == n.life {
			n.was = before.nodes[k].was
		}
	}
}

// nextOwn returns the ordinal of the next position of the same peer, which is what a
// list falls back on that has lost all of its entries.
func (t *truth) nextOwn(i int) int {
	for k := 1; k < len(t.nodes); k++ {
		if next := (i + k) % len(t.nodes); t.nodes[next].At.Peer == t.nodes[i].At.Peer {
			return next
		}
	}
	return i
}

// hangs reports whether what remains of a ring that is too small for the paper
// hangs together: it has its shape, and every list names another peer that lives, unless
// all but one are gone.
func (t *truth) hangs() bool {
	least := t.fewest()
	if t.peers == 1 {
		least = t.fewestTold()
	}
	return least > 0 && t.shape() == nil
}

func (w *World) successorPeers() int {
	if w.cfg.SuccessorPeers == 0 {
		return 8
	}
	return w.cfg.SuccessorPeers
}

// liveEntries reports a position whose list names no other live peer. A ring
// that is not larger than a list may pass through such states while it grows, so
// there the shape of the ring is what counts.
func (t *truth) liveEntries() error {
	for i := range t.nodes {
		if n := &t.nodes[i]; n.live == 0 {
			return fmt.Errorf("%s has no live successor", name(n.At))
		}
	}
	return nil
}

// fewest returns the smallest number of live entries that the list of a member
// names, or of somebody to whom a list was told, as far as each can be sure of
// them.
func (t *truth) fewest() int {
	n := t.fewestTold()
	for i := range t.nodes {
		n = min(n, t.alive(t.nodes[i].At.Peer, t.nodes[i].Successors, false))
	}
	return n
}

// fewestTold is fewest for lists that were told. What lies behind r peers is cut
// off there, unless some of them are known to be dead.
func (t *truth) fewestTold() int {
	n := math.MaxInt
	for i := range t.told {
		l := &t.told[i]
		alone := t.peers == 1 && t.nodes[0].At.Peer == l.to
		if !l.anew && !alone {
			n = min(n, t.alive(l.to, distinct(l.list, l.to, t.r), false))
		}
	}
	return n
}

// alive counts the distinct live peers that a list names beside its holder;
// back: those too that came back just now.
func (t *truth) alive(holder chord.PeerID, list []chord.Place, back bool) int {
	var peers []chord.PeerID
	for _, p := range list {
		k, ok := t.at[p.ID]
		if ok && p.Peer != holder && (back || !t.nodes[k].back) && !slices.Contains(peers, p.Peer) {
			peers = append(peers, p.Peer)
		}
	}
	return len(peers)
}

// distinct cuts a list behind the first n distinct peers that it names beside
// its holder.
func distinct(list []chord.Place, holder chord.PeerID, n int) []chord.Place {
	named := make(map[chord.PeerID]bool)
	for i, p := range list {
		if p.Peer != holder {
			named[p.Peer] = true
		}
		if len(named) == n {
			return list[:i+1]
		}
	}
	return list
}

// shape reports why the first live successors do not form one ordered ring
// to which every other member leads.
func (t *truth) shape() error {
	best := make([]int, len(t.nodes))
	for i := range t.nodes {
		best[i] = t.nodes[i].best
	}
	return shape(best, func(i int) string { return name(t.nodes[i].At) })
}

// shape reports why positions that lead from each to the best next one do not
// form one ordered ring to which all lead.
func shape(best []int, name func(int) string) error {
	if len(best) == 0 {
		return nil
	}
	const unseen, onPath, settled = 0, 1, 2
	state := make([]uint8, len(best))
	var ring, path []int
	for start := range best {
		path = path[:0]
		i := start
		for ; state[i] == unseen; i = best[i] {
			state[i] = onPath
			path = append(path, i)
		}
		if state[i] == onPath {
			cycle := path[slices.Index(path, i):]
			if ring != nil {
				return fmt.Errorf("two rings: one through %s, one through %s", name(ring[0]), name(i))
			}
			ring = slices.Clone(cycle)
		}
		for _, k := range path {
			state[k] = settled
		}
	}
	turns := 0
	for k, i := range ring {
		if next := ring[(k+1)%len(ring)]; next <= i {
			turns++
		}
	}
	if turns != 1 {
		return fmt.Errorf("the ring through %s goes round %d times", name(ring[0]), turns)
	}
	return nil
}

// principals tells of each position whether no list skips it, be it held or told.
func (t *truth) principals() []bool {
	principal := make([]bool, len(t.nodes))
	for i := range t.nodes {
		principal[i] = !t.nodes[i].back
	}
	skip := func(k int) { principal[k] = false }
	for i := range t.nodes {
		for _, k := range t.nodes[i].skips {
			skip(k)
		}
	}
	for i := range t.told {
		t.told[i].skips(t, skip)
	}
	return principal
}

// skips calls do for the nodes between the entries of a list.
func (t *truth) skips(from chord.Place, list []chord.Place, do func(int)) {
	last, known := t.at[from.ID]
	for _, s := range list {
		k, ok := t.at[s.ID]
		if !known || !ok || k != (last+1)%len(t.nodes) { // else nobody is between
			t.between(from.ID, s.ID, do)
		}
		from, last, known = s, k, ok
	}
}

func (l *told) skips(t *truth, do func(int)) {
	if l.from.Peer == "" {
		t.skips(l.list[0], l.list[1:], do)
	} else {
		t.skips(l.from, l.list, do)
	}
}

// peersOf counts the peers of the positions that are marked.
func (t *truth) peersOf(marked []bool) int {
	peers := make(map[*Peer]bool, t.peers)
	for i, ok := range marked {
		if ok {
			peers[t.nodes[i].peer] = true
		}
	}
	return len(peers)
}

// skipper names the lists that skip a position.
func (t *truth) skipper(p chord.Place) string {
	var who []string
	for i := range t.nodes {
		t.skips(t.nodes[i].At, t.nodes[i].Successors, func(k int) {
			if t.nodes[k].At == p {
				who = append(who, name(t.nodes[i].At))
			}
		})
	}
	for _, l := range t.told {
		l.skips(t, func(k int) {
			if t.nodes[k].At == p {
				who = append(who, "what was told to "+string(l.to))
			}
		})
	}
	return strings.Join(who, ", ")
}

// between calls do for the nodes strictly between two positions.
func (t *truth) between(a, b chord.ID, do func(int)) {
	n := len(t.nodes)
	i := sort.Search(n, func(i int) bool { return a.Less(t.nodes[i].At.ID) })
	for k := 0; k < n; k++ {
		if !inside(a, t.nodes[(i+k)%n].At.ID, b) {
			return
		}
		do((i + k) % n)
	}
}

// inside reports whether x lies strictly between two positions.
func inside(a, x, b chord.ID) bool {
	if a.Less(b) {
		return a.Less(x) && x.Less(b)
	}
	return a.Less(x) || x.Less(b)
}
