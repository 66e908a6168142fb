package model

import (
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

func (x *run) indexes() []uint32 {
	first := uint32(x.rng.IntN(100))
	is := make([]uint32, x.positions)
	if x.mixed {
		is = is[:1+x.rng.IntN(x.positions)]
	}
	x.done.Positions[len(is)]++
	for i := range is {
		is[i] = first + uint32(i)
	}
	return is
}

// act does one thing to the ring.
func (x *run) act() error {
	switch k := x.rng.IntN(10); {
	case k < 2 && len(x.peers) < 40:
		x.joinNew()
	case k < 5:
		x.comeBack()
	case k < 6:
		x.leave()
	case k < 7 && x.rough:
		x.split()
	case k < 7 && x.rng.IntN(4) == 0:
		if err := x.strike(); err != nil {
			return err
		}
	default:
		x.crash()
	}
	if x.lies.IntN(4) == 0 {
		x.slander()
	}
	if x.AfterStep != nil {
		return x.AfterStep()
	}
	return nil
}

// slander lets a member tell another one that a third one has died. It lives, and
// whoever hears of it is to see for itself.
func (x *run) slander() {
	ms := draw(x.lies, x.Members(), 3)
	if len(ms) < 3 {
		return
	}
	x.done.Slanders++
	liar, to, victim := ms[0], ms[1], ms[2]
	x.tracef("%s tells %s that %s has died", liar, to, victim)
	x.World.handle(to, to.Ring.Step(x.clock(), chord.Message{
		Kind: chord.KindAsk, From: liar.Record.ID, To: to.Record.ID, Req: 1 << 62, Member: true,
		Events: []chord.Event{{
			Kind: chord.EventDead, Peer: victim.Record.ID, Incarnation: victim.Record.Incarnation, Seq: victim.Record.Seq,
		}},
	}))
}

func (x *run) joinNew() {
	contacts := x.contacts()
	if len(contacts) > 0 {
		x.done.Joins++
		x.Join(x.Add(x.indexes()), contacts...)
	}
}

// contacts returns up to three members.
func (x *run) contacts() []*Peer {
	return draw(x.rng, x.Members(), 1+x.rng.IntN(3))
}

// comeBack restarts a peer that is down, at times with an empty disk.
func (x *run) comeBack() {
	var down []*Peer
	for _, p := range x.peers {
		if !p.Up() {
			down = append(down, p)
		}
	}
	contacts := x.contacts()
	if len(down) == 0 || len(contacts) == 0 {
		return
	}
	p := down[x.rng.IntN(len(down))]
	if x.rng.IntN(3) == 0 {
		x.done.Wipes++
		x.Wipe(p, x.indexes())
	}
	x.done.Rejoins++
	x.Join(p, contacts...)
}

func (x *run) leave() {
	ms := x.Members()
	if p := ms[x.rng.IntN(len(ms))]; x.survives(p) {
		x.done.Leaves++
		x.gone = append(x.gone, x.Now())
		x.Leave(p)
	}
}

// crash stops up to r-1 peers at once.
func (x *run) crash() {
	if victims := x.victims(); len(victims) > 0 && x.survives(victims...) {
		x.take(victims)
	}
}

// victims draws up to r-1 members, and leaves one at least: half of the time any,
// otherwise those that one successor list names.
func (x *run) victims() []*Peer {
	ms := x.Members()
	n := min(1+x.rng.IntN(max(1, x.r-1)), len(ms)-1)
	if x.rng.IntN(2) == 0 {
		return draw(x.rng, ms, n)
	}
	ns := ms[x.rng.IntN(len(ms))].Ring.Neighbours()
	var listed []*Peer
	for _, p := range ns[x.rng.IntN(len(ns))].Successors {
		if q := x.find(p.Peer); q.Member() && !slices.Contains(listed, q) {
			listed = append(listed, q)
		}
	}
	if x.rng.IntN(2) == 0 {
		return listed[:min(n, len(listed))] // the nearest
	}
	return draw(x.rng, listed, n)
}

// take crashes peers.
func (x *run) take(victims []*Peer) {
	x.done.Crashes += len(victims)
	x.done.AtOnce[min(len(victims), chordLists)-1]++
	most := 0
	for _, p := range x.Members() {
		for _, n := range p.Ring.Neighbours() {
			hit := 0
			for _, v := range victims {
				if v != p && slices.ContainsFunc(n.Successors, func(s chord.Place) bool { return s.Peer == v.Record.ID }) {
					hit++
				}
			}
			most = max(most, hit)
		}
	}
	x.done.OneList[min(most, chordLists-1)]++
	for _, p := range victims {
		x.gone = append(x.gone, x.Now())
		x.Crash(p)
	}
}

// strike waits until the ring is at rest and then crashes up to r-1 peers
// whatever remains, or, of a ring that lists name whole, up to all but one. That
// is a promise beyond the paper, whose base may be lost with it.
func (x *run) strike() error {
	if ok, err := x.rest(); err != nil || !ok {
		return err
	}
	if err := x.World.Run(time.Second); err != nil || !x.allMembers() || x.Converged() != nil {
		return err // what is told now is of the ring at rest
	}
	ms := x.Members()
	n := x.r - 1
	if len(ms) <= x.r+1 {
		n = len(ms) - 1
	}
	if n = min(n, len(ms)-1); n < 1 {
		return nil
	}
	x.done.AtRest++
	x.take(draw(x.rng, ms, 1+x.rng.IntN(n)))
	x.established = false
	return nil
}

// split cuts the network in two for a while.
func (x *run) split() {
	if x.Net.Side != nil {
		x.Net.Side = nil
		return
	}
	x.done.Splits++
	salt := x.rng.Uint64()
	x.Net.Side = func(p *Peer) int { return int((salt >> (p.Number % 64)) & 1) }
}
