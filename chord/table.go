package chord

import (
	"slices"
	"time"
)

// member is what the ring knows of another peer. There are thousands in every
// ring, of most of which nothing is known but the record.
type member struct {
	peer *Record
	*contact
	// admitted members make up the view and the routing table. The others are
	// hearsay that is being checked.
	admitted bool
	pinned   uint32 // the round of pinning that last found it in use
	recalled bool   // it was evicted, and readmitted on the word of others
	came     uint32 // the second in which news of its coming came; 0: it was there before
}

// contact is what came of talking with a peer.
type contact struct {
	heard    time.Time // when it last sent us anything
	memberAt time.Time // when it last said that it is a member
	digest   uint64    // of its view, when last heard
	told     bool      // it holds our record
	narrow   bool      // it keeps no table
	changed  time.Time // when all changes of its record are accounted for

	failure // of requests to it
	rtt     rtt
}

// stranger is the contact of all members that were never talked to. It is read
// only: met returns one to write to.
var stranger contact

// met returns the member's own contact.
func (m *member) met() *contact {
	if m.contact == &stranger {
		m.contact = new(contact)
	}
	return m.contact
}

// departed is a peer that was evicted or left. While its record is remembered
// what others say of it does not count; the peer itself is asked now and then.
type departed struct {
	peer *Record
	left bool
	// recalled: it was readmitted on the word of others before.
	recalled bool
	at       time.Time
	asked    time.Time // when it was last asked whether it is back
	retryAt  time.Time
	pause    time.Duration // until the retry after the next one
}

const (
	maxDeparted   = 1024
	departedQuiet = 5 * time.Second // reports of a departed peer start no probe for so long
	departedPause = 2 * time.Second // first pause between retries; doubles
	departedMax   = 30 * time.Second
	departedLimit = time.Hour // then it is forgotten
)

// table holds the members, an index of the positions of the admitted ones and
// of ourselves, and those that departed.
type table struct {
	self     PeerID
	members  map[PeerID]*member
	watched  map[PeerID]*member // suspects and hearsay: those with a probe to come
	departed map[PeerID]*departed

	index   positions // of the admitted, and our own as a member
	roll    roll      // the same records, once somebody took a view
	viewed  bool
	count   int                // admitted members
	digest  uint64             // of the records behind index
	parts   [buckets]uint64    // digests of the parts of the table
	filed   [buckets][]*member // the admitted in each of them, in no order
	changed bool               // the view is out of date

	lately [32]talk // by the ends of their IDs, those that member returned last

	version uint64 // counts the changes of records to which slots refer
	changes uint64 // counts the members that came and went
	edits   uint64 // counts the changes of index
}

func newTable(self PeerID) *table {
	return &table{
		self:     self,
		members:  make(map[PeerID]*member),
		watched:  make(map[PeerID]*member),
		departed: make(map[PeerID]*departed),
		index:    newPositions(),
		roll:     newRoll(),
	}
}

// talk is a member with whom we talked.
type talk struct {
	id PeerID
	m  *member // nil: nobody
}

// member returns what is known of a peer, nil if nothing is. A peer talks with few others
// most of the time; these are found without the map, which is large and seldom in a
// processor's cache.
func (t *table) member(id PeerID) *member {
	l := t.talked(id)
	if l.m != nil && l.id == id {
		return l.m
	}
	m := t.members[id]
	if m != nil {
		*l = talk{id, m}
	}
	return m
}

// talked returns where member remembers a peer.
func (t *table) talked(id PeerID) *talk {
	n := uint(len(id))
	if n < 2 {
		return &t.lately[n]
	}
	return &t.lately[(7*uint(id[n-2])+uint(id[n-1]))%uint(len(t.lately))]
}

// insert adds a record as hearsay.
func (t *table) insert(p *Record) *member {
	m := &member{peer: p, contact: &stranger}
	t.changes++
	t.members[p.ID] = m
	t.watched[p.ID] = m
	return m
}

// admit makes a member part of the view.
func (t *table) admit(m *member) {
	if m.admitted {
		return
	}
	m.admitted = true
	t.count++
	t.file(m)
}

// remove forgets a member.
func (t *table) remove(m *member) {
	if m.admitted {
		t.count--
		t.unfile(m)
	}
	t.changes++
	*t.talked(m.peer.ID) = talk{}
	delete(t.members, m.peer.ID)
	delete(t.watched, m.peer.ID)
}

// replace takes a new version of a member's record.
func (t *table) replace(m *member, p *Record) {
	if m.admitted {
		t.unfile(m)
	}
	t.version++
	if m.peer = p; m.admitted {
		t.file(m)
	}
}

// file puts an admitted member where its record belongs.
func (t *table) file(m *member) {
	part := &t.filed[m.peer.part]
	*part = append(*part, m)
	t.enter(m.peer)
}

// unfile takes an admitted member out of where its record belongs.
func (t *table) unfile(m *member) {
	part := t.filed[m.peer.part]
	i, last := slices.Index(part, m), len(part)-1
	part[i], part[last] = part[last], nil
	t.filed[m.peer.part] = part[:last]
	t.strike(m.peer)
}

// untold notes that no member holds our record.
func (t *table) untold() {
	for _, m := range t.members {
		if m.told {
			m.told = false
		}
	}
}

// enter makes a record part of what views show.
func (t *table) enter(rec *Record) {
	t.index.addAll(rec)
	if t.viewed {
		t.roll.add(rollEntry(rec))
	}
	t.toggle(rec)
}

// strike takes a record out of what views show.
func (t *table) strike(rec *Record) {
	t.index.dropAll(rec)
	if t.viewed {
		t.roll.drop(rollEntry(rec))
	}
	t.toggle(rec)
}

func (t *table) toggle(rec *Record) {
	t.edits++
	t.digest ^= rec.sum
	t.parts[rec.part] ^= rec.sum
	t.changed = true
}

// holds reports whether the newest known record of the place's peer lists it.
func (t *table) holds(p Place) bool {
	m := t.members[p.Peer]
	if m == nil {
		return false
	}
	_, ok := slices.BinarySearch(m.peer.Indexes, p.Index)
	return ok
}

// trusted reports whether the peer is admitted and not suspected.
func (t *table) trusted(id PeerID) bool {
	m := t.members[id]
	return m != nil && m.admitted && !m.suspect
}

// bury remembers a peer that departed.
func (t *table) bury(m *member, left bool, now time.Time) {
	if len(t.departed) >= maxDeparted {
		var oldest *departed
		for _, d := range t.departed {
			if oldest == nil || d.at.Before(oldest.at) || d.at.Equal(oldest.at) && d.peer.ID < oldest.peer.ID {
				oldest = d
			}
		}
		delete(t.departed, oldest.peer.ID)
	}
	t.departed[m.peer.ID] = &departed{peer: m.peer, left: left, recalled: m.recalled, at: now, retryAt: now.Add(departedPause), pause: 2 * departedPause}
}

// inBucket returns the admitted members of a part of the table, sorted.
func (t *table) inBucket(bucket int) []*member {
	ms := slices.Clone(t.filed[bucket])
	slices.SortFunc(ms, func(a, b *member) int { return comparePeerIDs(a.peer.ID, b.peer.ID) })
	return ms
}

// view takes a snapshot. self is part of it as a member.
func (t *table) view(self *Record, complete bool) *View {
	if !t.viewed {
		t.viewed = true
		t.roll.add(rollEntry(self))
		for _, m := range t.members {
			if m.admitted {
				t.roll.add(rollEntry(m.peer))
			}
		}
	}
	v := &View{
		self:     t.self,
		places:   positions{t.index.freeze()},
		roll:     roll{t.roll.freeze()},
		digest:   t.digest,
		complete: complete,
	}
	for id, m := range t.watched {
		if m.suspect {
			v.suspects = append(v.suspects, id)
		}
	}
	sortPeerIDs(v.suspects)
	return v
}
