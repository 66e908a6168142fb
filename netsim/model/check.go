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

// node is one position of a member.
type node struct {
	chord.Neighbours
	best int  // ordinal of the first live successor
	bare bool // its list names nobody that lives: best is the next position of the same peer
	back bool // its peer came back so lately that some may yet mistake it for its former self
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
			for _, n := range p.Ring.Neighbours() {
				t.nodes = append(t.nodes, node{Neighbours: n, back: w.mistaken(p)})
			}
		}
	}
	slices.SortFunc(t.nodes, func(a, b node) int { return a.At.ID.Compare(b.At.ID) })
	for i := range t.nodes {
		t.at[t.nodes[i].At.ID] = i
	}
	for i := range t.nodes {
		t.nodes[i].best, t.nodes[i].bare = t.nextOwn(i), true
		for _, s := range t.nodes[i].Successors {
			if k, ok := t.at[s.ID]; ok {
				t.nodes[i].best, t.nodes[i].bare = k, false
				break
			}
		}
	}
	return t
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
// hangs together: it has its shape, and every list names somebody that lives, unless
// all but one peer are gone.
func (t *truth) hangs() bool {
	bare := func(n node) bool { return n.bare }
	return t.shape() == nil && (t.peers == 1 || !slices.ContainsFunc(t.nodes, bare))
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
		if n := &t.nodes[i]; t.alive(n.At.Peer, n.Successors, true) == 0 {
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

// principals returns the positions that no list skips, be it held or told.
func (t *truth) principals() []chord.Place {
	skipped := make([]bool, len(t.nodes))
	skip := func(k int) { skipped[k] = true }
	for i := range t.nodes {
		t.skips(t.nodes[i].At, t.nodes[i].Successors, skip)
	}
	for i := range t.told {
		t.told[i].skips(t, skip)
	}
	var ps []chord.Place
	for i := range t.nodes {
		if !skipped[i] && !t.nodes[i].back {
			ps = append(ps, t.nodes[i].At)
		}
	}
	return ps
}

// skips calls do for the nodes between the entries of a list.
func (t *truth) skips(from chord.Place, list []chord.Place, do func(int)) {
	for _, s := range list {
		t.between(from.ID, s.ID, do)
		from = s
	}
}

func (l *told) skips(t *truth, do func(int)) {
	if l.from.Peer == "" {
		t.skips(l.list[0], l.list[1:], do)
	} else {
		t.skips(l.from, l.list, do)
	}
}

// peersOf counts the peers of positions.
func peersOf(ps []chord.Place) int {
	peers := make(map[chord.PeerID]bool)
	for _, p := range ps {
		peers[p.Peer] = true
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
