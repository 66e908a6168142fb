package model

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// truth is the ring as an all-knowing observer sees it: the positions of all
// members, and what they hold of each other.
type truth struct {
	r     int // successor peers
	nodes []node
	at    map[chord.ID]int // ordinal in nodes
	peers int
}

// node is one position of a member.
type node struct {
	chord.Neighbours
	best   int           // ordinal of the first live successor
	joined time.Duration // when its peer became a member
}

// observe looks at all members but those in without.
func observe(w *World, without ...*Peer) *truth {
	t := &truth{r: w.successorPeers(), at: make(map[chord.ID]int)}
	for _, p := range w.peers {
		if p.Member() && !slices.Contains(without, p) {
			t.peers++
			for _, n := range p.Ring.Neighbours() {
				t.nodes = append(t.nodes, node{Neighbours: n, joined: p.joined})
			}
		}
	}
	slices.SortFunc(t.nodes, func(a, b node) int { return a.At.ID.Compare(b.At.ID) })
	for i := range t.nodes {
		t.at[t.nodes[i].At.ID] = i
	}
	for i := range t.nodes {
		t.nodes[i].best = i
		for _, s := range t.nodes[i].Successors {
			if k, ok := t.at[s.ID]; ok {
				t.nodes[i].best = k
				break
			}
		}
	}
	return t
}

func (w *World) successorPeers() int {
	if w.cfg.SuccessorPeers == 0 {
		return 8
	}
	return w.cfg.SuccessorPeers
}

// liveEntries reports a position whose list names no other live peer that
// became a member by the given time. A ring
// that is not larger than a list may pass through such states while it grows, so
// there the shape of the ring is what counts.
func (t *truth) liveEntries(since time.Duration) error {
	for i := range t.nodes {
		if n := &t.nodes[i]; !t.anyLive(n.Neighbours, since) {
			return fmt.Errorf("%s has no live successor", name(n.At))
		}
	}
	return nil
}

// anyLive reports whether a position's list names another peer that lives and
// became a member by the given time.
func (t *truth) anyLive(n chord.Neighbours, since time.Duration) bool {
	return slices.ContainsFunc(n.Successors, func(p chord.Place) bool {
		k, ok := t.at[p.ID]
		return ok && p.Peer != n.At.Peer && t.nodes[k].joined <= since
	})
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

// principals returns the positions that no list skips.
func (t *truth) principals() []chord.Place {
	skipped := make([]bool, len(t.nodes))
	for i := range t.nodes {
		n := &t.nodes[i]
		from := n.At.ID
		for _, s := range n.Successors {
			t.between(from, s.ID, func(k int) { skipped[k] = true })
			from = s.ID
		}
	}
	var ps []chord.Place
	for i := range t.nodes {
		if !skipped[i] {
			ps = append(ps, t.nodes[i].At)
		}
	}
	return ps
}

// skipper names the lists that skip a position.
func (t *truth) skipper(p chord.Place) string {
	var who []string
	for i := range t.nodes {
		n := &t.nodes[i]
		from := n.At
		for _, s := range n.Successors {
			t.between(from.ID, s.ID, func(k int) {
				if t.nodes[k].At == p {
					who = append(who, fmt.Sprintf("%s (%s to %s)", name(n.At), name(from), name(s)))
				}
			})
			from = s
		}
	}
	return strings.Join(who, ", ")
}

// between calls do for the nodes strictly between two positions.
func (t *truth) between(a, b chord.ID, do func(int)) {
	n := len(t.nodes)
	i := sort.Search(n, func(i int) bool { return a.Less(t.nodes[i].At.ID) })
	for k := 0; k < n; k++ {
		at := t.nodes[(i+k)%n].At.ID
		inside := a.Less(at) && at.Less(b)
		if !a.Less(b) {
			inside = a.Less(at) || at.Less(b)
		}
		if !inside {
			return
		}
		do((i + k) % n)
	}
}
