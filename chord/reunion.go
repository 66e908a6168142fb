package chord

import (
	"slices"
	"time"
)

// A ring that was split grows together where peers that took each other for dead
// meet. One that answers in the life in which it was evicted was never dead: it was out of
// reach, and so were others, it seems, that were evicted when it was. Their records
// are still known, so that tables merge by keys of four bytes, and whoever belongs
// between our positions and their successors is found among them.

const (
	reunionSpan = 10 * time.Second // after the last such answer the parts are still merging
	soundPause  = 20 * time.Second // between two lookups that sound where there is no table
	oldDeath    = 30 * time.Second // everybody has heard of a death that long ago
)

// reunite notes that a peer answers in the life in which it was evicted.
func (r *Ring) reunite(p *member) {
	met := r.reuniting()
	r.reunion = r.now.Add(reunionSpan)
	switch {
	case !r.wide() || p.narrow:
		r.sound(p.peer.ID)
	case !met || !r.now.Before(r.syncAt):
		r.startCompare(p.peer.ID)
	}
}

// reuniting reports whether parts of the ring are growing together, as far as
// this peer has seen.
func (r *Ring) reuniting() bool { return r.now.Before(r.reunion) }

// meet notes that a peer belongs to another part of the ring.
func (r *Ring) meet(id PeerID) {
	if r.phase == phaseMember && !r.small() {
		r.reunion = r.now.Add(reunionSpan)
		r.unify(id)
	}
}

// unify looks up the own positions in another part of the ring, through a peer
// of it: who stands there is to become a neighbour (ring unification; Shafaat, Ghodsi
// and Haridi, SSS 2007). Those that are asked do so in this part of the ring, if they
// did not lately, so that it takes hardly longer the larger the parts are.
func (r *Ring) unify(contact PeerID) {
	if r.now.Before(r.unifyAt) || r.small() {
		return
	}
	r.unifyAt = r.now.Add(reunionSpan)
	for _, s := range r.slots {
		if len(r.lookups) < maxLookups {
			r.startLookup(&lookup{target: s.ID, unify: true, contact: contact})
		}
	}
}

// sound looks up an own position through a peer that may belong to another part.
// In our own that ends with ourselves.
func (r *Ring) sound(contact PeerID) {
	if r.now.Before(r.soundAt) || r.small() || len(r.lookups) >= maxLookups {
		return
	}
	r.soundAt = r.now.Add(soundPause)
	at := r.slots[r.rng.IntN(len(r.slots))].ID
	r.startLookup(&lookup{target: at, unify: true, sounds: true, contact: contact})
}

// unified takes the end of a lookup in another part of the ring. Whoever it found was
// heard of.
func (r *Ring) unified(l *lookup, nodes []Place) {
	if l.sounds && len(nodes) > 0 && nodes[0].Peer != r.self.ID {
		r.meet(l.contact)
	}
}

// recall readmits a departed peer on the word of a member that counts it among the
// living, and reports whether that is enough: the parts of a ring are growing together, everybody
// has heard of the death if it was one, and the table is one of those whose hearsay is
// believed. It is enough once: one that departs again has to answer itself.
func (r *Ring) recall(d *departed) bool {
	if !r.reuniting() || d.left || d.recalled || r.now.Sub(d.at) < oldDeath || !r.wide() || !r.believes() {
		return false
	}
	delete(r.table.departed, d.peer.ID)
	p := r.insert(d.peer)
	p.recalled = true
	r.result.Learned = append(r.result.Learned, d.peer)
	r.stats.Readmitted++
	r.admit(p)
	return true
}

// recallAll takes out of keys, of records that another member has and we lack, those
// of departed peers, which need not travel: they are recalled, or asked
// themselves.
func (r *Ring) recallAll(keys []uint32) []uint32 {
	if len(r.table.departed) == 0 || len(keys) == 0 {
		return keys
	}
	lacking := make(map[uint32]bool, len(keys))
	for _, x := range keys {
		lacking[x] = true
	}
	var back []*departed
	for _, d := range r.table.departed {
		if lacking[d.peer.key()] {
			back = append(back, d)
		}
	}
	slices.SortFunc(back, func(a, b *departed) int { return comparePeerIDs(a.peer.ID, b.peer.ID) })
	for _, d := range back {
		delete(lacking, d.peer.key())
		if !r.recall(d) {
			r.wonder(d)
		}
	}
	return slices.DeleteFunc(keys, func(x uint32) bool { return !lacking[x] })
}

// inquireAll asks those places of a state whose peers have departed, as far as we
// know. A state that does not change names them without their records.
func (r *Ring) inquireAll(places []Place) {
	for _, p := range places {
		if d := r.table.departed[p.Peer]; d != nil && !d.left && r.table.members[p.Peer] == nil && !r.recall(d) {
			r.inquire(d)
		}
	}
}

// wonder inquires after a departed peer whose record others have. Where hearsay is
// believed the others may not have heard yet, and few are worth a question.
func (r *Ring) wonder(d *departed) {
	if r.small() || !r.believes() || r.now.Sub(d.at) >= oldDeath && r.budget.check(r.now) {
		r.inquire(d)
	}
}

// inquire asks a departed peer that somebody speaks of whether it is back, unless
// it was asked just now.
func (r *Ring) inquire(d *departed) {
	if r.phase == phaseMember && !r.now.Before(d.at.Add(departedQuiet)) && !r.now.Before(d.asked.Add(departedQuiet)) {
		d.asked = r.now
		r.ask(d.peer.ID)
	}
}
