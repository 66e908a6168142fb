package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// This file holds the assumption of corrected Chord on failures, and its
// invariant. doc.go says why what was told counts as held.

// inFlight is a list under way to a peer.
type inFlight struct {
	told
	until time.Duration // it has arrived by then
	life  int32         // of the peer
	peer  *Peer
}

// asked is a request: in which life of who asked, and for the owners of what.
type asked struct {
	life  int32
	finds []chord.ID
}

// mistaken reports whether news of its former life may be under way of a peer
// that came back: a refusal, or, where nobody refuses, a time-out.
func (w *World) mistaken(p *Peer) bool {
	news := w.Net.MaxDelay
	if !w.Net.Evidence {
		news += time.Second // chord.Config.FirstTimeout, and more than those that are measured come to
	}
	return p.life > 1 && p.joined+news >= w.now
}

// overhear notes the lists that a message tells.
func (x *run) overhear(m *chord.Message) {
	from, to := x.find(m.From), x.find(m.To)
	if m.Kind == chord.KindAsk {
		x.asked[askKey{m.From, m.To, m.Req}] = asked{from.life, slices.Clone(m.Finds)}
	}
	request := x.asked[askKey{m.To, m.From, m.Req}]
	if m.Kind == chord.KindReply && to != nil && request.life != to.life {
		return // it is refused: its former self asked
	}
	if m.Kind != chord.KindReply && m.Kind != chord.KindTell || to == nil || !to.Up() {
		return
	}
	fly := func(t told) {
		x.flying = append(x.flying, inFlight{told: t, until: x.now + x.Net.MaxDelay, life: to.life, peer: to})
	}
	if len(m.States) > 0 {
		for _, n := range from.Ring.Neighbours() {
			if slices.ContainsFunc(m.States, func(s chord.State) bool { return s.Index == n.At.Index }) {
				fly(told{to: m.To, list: append([]chord.Place{n.At}, n.Successors...)})
			}
		}
	}
	if to.Member() {
		return
	}
	for i, f := range m.Found[:min(len(m.Found), len(request.finds))] {
		stand := slices.IndexFunc(to.Ring.Neighbours(), func(n chord.Neighbours) bool { return n.At.ID == request.finds[i] })
		if !f.Done || stand < 0 {
			continue
		}
		var list []chord.Place
		for _, n := range f.Nodes {
			id := m.From
			if n.Peer != chord.Known {
				id = m.Peers[n.Peer].ID
			}
			if id == m.To {
				continue // its former self
			}
			list = append(list, chord.Place{ID: chord.Position(id, n.Index), Peer: id, Index: n.Index})
		}
		if len(list) > 0 {
			fly(told{to: m.To, from: to.Ring.Neighbours()[stand].At, list: list, anew: true})
		}
	}
}

// observe looks at the ring with what has been told, and is not held yet.
func (x *run) observe(without ...*Peer) *truth {
	t := x.truth(without)
	x.flying = slices.DeleteFunc(x.flying, func(f inFlight) bool {
		return f.until < x.now || !f.peer.Up() || f.peer.left || f.peer.life != f.life
	})
	for _, f := range x.flying {
		if !slices.Contains(without, f.peer) {
			t.told = append(t.told, f.told)
		}
	}
	for _, p := range x.peers {
		if !p.Up() || p.left || p.Member() {
			continue
		}
		for slot := range p.Record.Indexes {
			n := p.Ring.Neighbour(slot)
			for i, list := range [][]chord.Place{n.Successors, n.Joining} {
				if len(list) > 0 {
					t.told = append(t.told, told{to: p.Record.ID, from: n.At, list: list, anew: i == 1})
				}
			}
		}
	}
	return t
}

// truth looks at the ring. While the same are members it goes on from the last look.
func (x *run) truth(without []*Peer) *truth {
	if len(without) > 0 {
		return observe(x.World, without...)
	}
	if x.seen == nil || x.seenAt != x.moves {
		was := x.seen
		x.seen, x.seenAt = observe(x.World), x.moves
		x.seen.recall(was)
	} else {
		x.seen.look(x.World)
	}
	x.seen.told = x.seen.told[:0]
	return x.seen
}

// survives reports whether the assumption allows these peers to go at once.
func (x *run) survives(victims ...*Peer) bool {
	t := x.observe(victims...)
	if t.peers == 0 || x.rough {
		return t.peers > 0
	}
	if !x.established {
		return x.allowed(t.hangs(), &x.done.RefusedTorn)
	}
	spare := t.peersOf(t.principals()) - x.r - 1
	live := t.fewest()
	if x.rated && !x.allowed(x.lately()+len(victims) < x.r, &x.done.RefusedRate) ||
		!x.rated && !x.allowed(live > 0, &x.done.RefusedLists) ||
		!x.allowed(spare >= 0, &x.done.RefusedBase) {
		return false
	}
	x.done.Left[min(max(live, 0), len(x.done.Left)-1)]++
	x.done.Spare[min(spare, len(x.done.Spare)-1)]++
	return true
}

func (x *run) allowed(ok bool, refused *int) bool {
	if !ok {
		*refused++
	}
	return ok
}

// lately counts the peers that went within the time that a repair takes at
// most.
func (x *run) lately() int {
	n := 0
	for _, at := range x.gone {
		if at+x.repair > x.Now() {
			n++
		}
	}
	return n
}

// invariant is checked after every step of a clean schedule.
func (x *run) invariant() error {
	x.done.Steps++
	t := x.observe()
	if err := t.shape(); err != nil {
		return fmt.Errorf("%w: %w", ErrViolation, err)
	}
	principals := t.principals()
	if err := x.remain(t, principals); err != nil {
		return err
	}
	n := t.peersOf(principals)
	if !x.established {
		x.established = n > x.r && t.fewest() > 0 && (!x.rated || x.Converged() == nil)
		return nil
	}
	if n <= x.r {
		return fmt.Errorf("%w: %d peers are principals, want more than %d", ErrViolation, n, x.r)
	}
	if err := t.liveEntries(); err != nil {
		return fmt.Errorf("%w: %w", ErrViolation, err)
	}
	return nil
}

// remain checks that principals remain what they are while they live.
func (x *run) remain(t *truth, principals []bool) error {
	for i, principal := range principals {
		n := &t.nodes[i]
		if x.established && n.was && !principal {
			return fmt.Errorf("%w: %s, a principal, is now skipped by %s", ErrViolation, name(n.At), t.skipper(n.At))
		}
		n.was = principal
	}
	return nil
}
