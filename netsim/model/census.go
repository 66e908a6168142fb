package model

import (
	"fmt"
	"slices"

	"github.com/chorus-net/chorus/chord"
)

// census lists the positions of all members, ascending, each with its number
// among the positions of its peer. It takes little memory and time, so that rings of
// a hundred thousand can be looked at.
type census struct {
	at    []owner
	slot  []uint8
	start []int // of each part of the circle in at
	moves int   // of the world, as of which it is

	members []*Peer
	seen    []uint64 // by peer: 1 + revision of its ring as of which the rest is; 0: none
	best    []int    // of each position the first live successor, itself if there is none
	shaped  error    // what shape returns
}

// census returns that of the moment. While the same are members it is the one of
// before.
func (w *World) census() *census {
	if w.counted != nil && w.counted.moves == w.moves {
		return w.counted
	}
	c := &census{start: make([]int, 0, ownerParts), moves: w.moves, members: w.owners.members, seen: make([]uint64, len(w.peers))}
	w.counted = c
	seen := make([]uint8, len(w.peers))
	for _, part := range w.owners.parts {
		c.start = append(c.start, len(c.at))
		c.at = append(c.at, part...)
	}
	c.slot = make([]uint8, len(c.at))
	for i := range c.at {
		n := c.at[i].peer.Number
		c.slot[i] = seen[n]
		seen[n]++
	}
	return c
}

// neighbours returns what the i-th position holds of others.
func (c *census) neighbours(i int) chord.Neighbours {
	return c.at[i].peer.Ring.Neighbour(int(c.slot[i]))
}

// find returns the ordinal of a position of a member.
func (c *census) find(p *chord.Place) (int, bool) {
	part := partOf(&p.ID)
	end := len(c.at)
	if part+1 < len(c.start) {
		end = c.start[part+1]
	}
	i, ok := searchOwner(c.at[c.start[part]:end], &p.ID)
	return c.start[part] + i, ok
}

// place returns the i-th position, round the circle.
func (c *census) place(i int) owner { return c.at[(i+len(c.at))%len(c.at)] }

// shape reports why the first live successors do not form one ordered ring to
// which every other member leads.
func (c *census) shape() error {
	changed := make([]bool, len(c.seen))
	any := c.best == nil
	for _, p := range c.members {
		if now := 1 + p.Ring.Revision(); c.seen[p.Number] != now {
			c.seen[p.Number], changed[p.Number], any = now, true, true
		}
	}
	if !any {
		return c.shaped
	}
	if c.best == nil {
		c.best = make([]int, len(c.at))
	}
	for i := range c.best {
		if changed[c.at[i].peer.Number] {
			c.best[i] = c.live(i)
		}
	}
	c.shaped = shape(c.best, func(i int) string { return name(c.neighbours(i).At) })
	return c.shaped
}

// live returns the ordinal of the first live successor of the i-th position, itself if
// it has none.
func (c *census) live(i int) int {
	for _, s := range c.neighbours(i).Successors {
		if k, ok := c.find(&s); ok {
			return k
		}
	}
	return i
}

// ideal reports what keeps the ring from being perfect: every list, of r peers,
// and predecessor as the positions of all members demand.
func (c *census) ideal(r int) error {
	named := make([]*Peer, 0, r)
	for i := range c.at {
		n := c.neighbours(i)
		named = named[:0]
		want := 0
		for k := 1; k < len(c.at) && len(named) < r; k++ {
			p := c.place(i + k)
			if want == len(n.Successors) || n.Successors[want].ID != p.at {
				return fmt.Errorf("entry %d of the %d behind %s is not %s of %s", want, len(n.Successors), name(n.At), p.at.Short(), p.peer)
			}
			want++
			if p.peer != c.at[i].peer && !slices.Contains(named, p.peer) {
				named = append(named, p.peer)
			}
		}
		if want != len(n.Successors) {
			return fmt.Errorf("%s is followed by %d entries, not by the %d that it should", name(n.At), len(n.Successors), want)
		}
		if before := c.place(i - 1); len(c.at) > 1 && n.Pred.ID != before.at {
			return fmt.Errorf("%s is preceded by %s, not %s of %s", name(n.At), name(n.Pred), before.at.Short(), before.peer)
		}
	}
	return nil
}

// Agreed reports whether the views of all members show all members.
func (w *World) Agreed() bool {
	ms := w.owners.members
	for _, p := range ms {
		n, digest := p.Ring.Sees()
		if _, first := ms[0].Ring.Sees(); n != len(ms) || digest != first {
			return false
		}
	}
	return true
}

// Converged reports why the members do not all see one perfect ring, nil if
// they do. Those of a ring that is larger than their tables need not see all of it.
func (w *World) Converged() error {
	if len(w.owners.members) <= w.tableSize() {
		for _, p := range w.owners.members {
			if n, _ := p.Ring.Sees(); n != len(w.owners.members) {
				return fmt.Errorf("%s sees %d peers, there are %d", p, n, len(w.owners.members))
			}
		}
	}
	return w.census().ideal(w.successorPeers())
}

// tableSize returns how many peers a table has room for.
func (w *World) tableSize() int {
	if w.cfg.TableSize == 0 {
		return 4096
	}
	return w.cfg.TableSize
}
