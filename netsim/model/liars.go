package model

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// lie is what a liar does when it is asked who owns a target. In all else it follows the
// protocol: who does not is found out, or not believed, by its neighbours.
type lie uint8

const (
	honest  lie = iota
	claims      // it says that it is the owner itself
	silent      // it does not answer
	stale       // it leaves out the owner, as if that had not joined yet
	mislead     // it does not know the owner, and names liars only, those next before the target
	eclipse     // it names liars only, those next behind the target
)

// liars are the peers that lie.
type liars struct {
	lie   map[*Peer]lie
	finds map[askKey][]chord.ID // targets that they were asked for, by request
	about chord.ID              // the key around which Sybils stand
}

// sybilArc is the part of the circle in which Sybils stand, in the gaps between
// positions: so many of those are in it on average.
const sybilArc = 8

// corrupt makes some members lie, and lets Sybils join around a key.
func (x *experiment) corrupt(ctx context.Context) error {
	x.liars = liars{lie: make(map[*Peer]lie), finds: make(map[askKey][]chord.ID)}
	if x.s.Liars == 0 && x.s.Sybils == 0 {
		return nil
	}
	for i, p := range draw(x.rng, x.Members(), int(x.s.Liars*float64(x.s.Peers))) {
		x.liars.lie[p] = claims + lie(i)%(eclipse-claims+1)
	}
	x.Tamper = x.tamper
	x.rep.Liars, x.rep.Sybils = len(x.liars.lie), x.s.Sybils
	if x.s.Sybils > 0 {
		x.liars.about = x.target()
	}
	for i := range x.s.Sybils {
		p := x.sybil()
		x.liars.lie[p] = eclipse
		x.Join(p, x.pick(1)...)
		if err := x.pass(ctx, "Sybils", float64(i)/float64(x.s.Sybils), joinStep); err != nil {
			return err
		}
	}
	return x.pass(ctx, "liars", 1, liarsSettle)
}

// sybil makes a peer one of whose candidates for positions lies next to the key: it
// tries one identity after another, as anybody can where identities are free.
func (x *experiment) sybil() *Peer {
	const tries = 1 << 16
	p := x.Add([]uint32{0})
	for range tries {
		x.Rename(p)
		for i := range uint32(chord.MaxIndex) {
			if x.besideKey(chord.Position(p.Record.ID, i)) {
				p.Record.Indexes = []uint32{i}
				return p
			}
		}
	}
	return p
}

// besideKey reports whether a point lies next to the key of the Sybils.
func (x *experiment) besideKey(at chord.ID) bool {
	const half = sybilArc / 2
	gap := 1 / float64(x.s.Peers*x.s.Positions)
	after := chord.Arc{From: x.liars.about, To: at}.Fraction()
	return after < half*gap || after > 1-half*gap
}

// wanted draws the target of a lookup: every other one next to the key that Sybils stand
// around, if there are any.
func (x *experiment) wanted() chord.ID {
	id := x.target()
	if x.s.Sybils == 0 || x.keys.IntN(2) == 0 {
		return id
	}
	gap := math.Ldexp(1/float64(x.s.Peers*x.s.Positions), 64)
	off := int64((x.keys.Float64() - 0.5) * sybilArc * gap)
	binary.BigEndian.PutUint64(id[:8], binary.BigEndian.Uint64(x.liars.about[:8])+uint64(off))
	return id
}

// tamper lets a liar lie in an answer, and reports whether that is sent at all.
func (x *experiment) tamper(from *Peer, m *chord.Message) bool {
	kind := x.liars.lie[from]
	if kind == honest || m.Kind != chord.KindReply || len(m.Found) == 0 {
		return true
	}
	key := askKey{m.To, from.Record.ID, m.Req}
	targets := x.liars.finds[key]
	delete(x.liars.finds, key)
	if kind == silent {
		return false
	}
	if len(targets) != len(m.Found) {
		return true
	}
	m.Peers, m.Found = slices.Clone(m.Peers), slices.Clone(m.Found)
	for i, target := range targets {
		if nodes := x.told(from, kind, target); len(nodes) > 0 {
			m.Found[i] = chord.Found{Done: kind != mislead, Nodes: refer(m, nodes)}
		}
	}
	return true
}

// maxTold is how many peers a liar names at most.
const maxTold = 4

// told returns whom a liar names as the owner of a target and those behind it, each at its
// first position there; or those before it, each at its last.
func (x *experiment) told(from *Peer, kind lie, target chord.ID) (named []owner) {
	if kind == mislead {
		return x.liarsBefore(from, target)
	}
	truth := x.owners.of(target)
	x.owners.from(target, func(o owner) bool {
		known := slices.ContainsFunc(named, func(n owner) bool { return n.peer == o.peer })
		if !known && (kind == claims && o.peer == from || kind == stale && o.peer.Record.ID != truth || kind == eclipse && x.liars.lie[o.peer] != honest) {
			named = append(named, o)
		}
		return len(named) < maxTold && (kind != claims || len(named) == 0)
	})
	return named
}

// liarsBefore returns the liars that stand next before a target, but for one.
func (x *experiment) liarsBefore(but *Peer, target chord.ID) (named []owner) {
	x.owners.from(target, func(o owner) bool {
		if x.liars.lie[o.peer] != honest && o.peer != but {
			named = append(slices.DeleteFunc(named, func(n owner) bool { return n.peer == o.peer }), o)
			named = named[max(0, len(named)-maxTold):]
		}
		return true
	})
	slices.Reverse(named)
	return named
}

// refer names positions in a message.
func refer(m *chord.Message, named []owner) []chord.Ref {
	var refs []chord.Ref
	for _, o := range named {
		rec := o.peer.Record
		i := slices.IndexFunc(m.Peers, func(r *chord.Record) bool { return r.ID == rec.ID })
		if i < 0 {
			i = len(m.Peers)
			m.Peers = append(m.Peers, chord.NewRecord(rec))
		}
		refs = append(refs, chord.Ref{Peer: uint32(i), Index: rec.Indexes[slices.Index(rec.Positions(), o.at)]})
	}
	return refs
}

// passable reports whether a lookup named the first peer behind an owner that does not answer:
// such an owner might as well be dead.
func (ls *liars) passable(o *owners, res chord.LookupResult) (ok bool) {
	if len(ls.lie) == 0 {
		return false
	}
	o.from(res.Target, func(own owner) bool {
		if ls.lie[own.peer] == silent {
			return true
		}
		ok = own.peer.Record.ID == res.Owner.ID
		return false
	})
	return ok
}

// overheard notes what liars are asked for.
func (x *experiment) overheard(m *chord.Message) {
	if len(x.liars.lie) == 0 || m.Kind != chord.KindAsk || len(m.Finds) == 0 {
		return
	}
	if p := x.find(m.To); p != nil && x.liars.lie[p] != honest {
		x.liars.finds[askKey{m.From, m.To, m.Req}] = slices.Clone(m.Finds)
	}
}

// liarsSettle is how long a ring is given after its liars have begun, before lookups count.
const liarsSettle = 30 * time.Second
