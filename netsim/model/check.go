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
	if len(t.nodes) == 0 {
		return nil
	}
	const unseen, onPath, settled = 0, 1, 2
	state := make([]int, len(t.nodes))
	var ring []int
	for start := range t.nodes {
		var path []int
		i := start
		for ; state[i] == unseen; i = t.nodes[i].best {
			state[i] = onPath
			path = append(path, i)
		}
		if state[i] == onPath {
			cycle := path[slices.Index(path, i):]
			if ring != nil {
				return fmt.Errorf("two rings: one through %s, one through %s", name(t.nodes[ring[0]].At), name(t.nodes[i].At))
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
		return fmt.Errorf("the ring through %s goes round %d times", name(t.nodes[ring[0]].At), turns)
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

// ideal reports what keeps the ring from being perfect: every list and
// predecessor as the positions of all members demand.
func (t *truth) ideal() error {
	for i := range t.nodes {
		n := &t.nodes[i]
		want := t.idealList(i)
		if !slices.Equal(n.Successors, want) {
			return fmt.Errorf("%s is followed by %d entries, not by the %d that it should", name(n.At), len(n.Successors), len(want))
		}
		if before := t.nodes[(i+len(t.nodes)-1)%len(t.nodes)].At; len(t.nodes) > 1 && n.Pred != before {
			return fmt.Errorf("%s is preceded by %s, not %s", name(n.At), name(n.Pred), name(before))
		}
	}
	return nil
}

func (t *truth) idealList(i int) []chord.Place {
	var list []chord.Place
	var named []chord.PeerID
	for k := 1; k < len(t.nodes) && len(named) < t.r; k++ {
		p := t.nodes[(i+k)%len(t.nodes)].At
		list = append(list, p)
		if p.Peer != t.nodes[i].At.Peer && !slices.Contains(named, p.Peer) {
			named = append(named, p.Peer)
		}
	}
	return list
}

// Agreed reports whether the views of all members show all members.
func (w *World) Agreed() bool {
	members, first := 0, uint64(0)
	for _, p := range w.peers {
		if p.Member() {
			members++
			_, first = p.Ring.Sees()
		}
	}
	for _, p := range w.peers {
		if !p.Member() {
			continue
		}
		if n, digest := p.Ring.Sees(); n != members || digest != first {
			return false
		}
	}
	return true
}

// Converged reports why the members do not all see one perfect ring, nil if
// they do.
func (w *World) Converged() error {
	t := observe(w)
	if err := t.ideal(); err != nil {
		return err
	}
	if w.cfg.TableSize < 0 {
		return nil
	}
	for _, p := range w.Members() {
		if n, _ := p.Ring.Sees(); n != t.peers {
			return fmt.Errorf("%s sees %d peers, there are %d", p, n, t.peers)
		}
	}
	return nil
}
