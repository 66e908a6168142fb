package chord

import (
	"encoding/binary"
	"slices"
	"sort"
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
}

// contact is what came of talking with a peer.
type contact struct {
	heard    time.Time // when it last sent us anything
	memberAt time.Time // when it last said that it is a member
	digest   uint64    // of its view, when last heard
	told     bool      // it holds our record

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
	peer    *Record
	left    bool
	at      time.Time
	retryAt time.Time
	pause   time.Duration // until the retry after the next one
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

	index   []entry // ascending: positions of the admitted, and our own as a member
	count   int     // admitted members
	digest  uint64  // of the records behind index
	parts   [buckets]uint64
	changed bool // the view is out of date

	version uint64 // counts the changes of records
}

// entry is a position in the index: a pointer, and the first bytes of what it
// points to, which decide nearly all comparisons.
type entry struct {
	high uint64
	at   *Place
}

// less reports whether the entry lies before id, whose first bytes are high.
func (e entry) less(high uint64, id *ID) bool {
	return e.high < high || e.high == high && e.at.ID.Less(*id)
}

// high returns the first bytes of a position.
func (a *ID) high() uint64 { return binary.BigEndian.Uint64(a[:8]) }

func newTable(self PeerID) *table {
	return &table{
		self:     self,
		members:  make(map[PeerID]*member),
		watched:  make(map[PeerID]*member),
		departed: make(map[PeerID]*departed),
	}
}

// insert adds a record as hearsay.
func (t *table) insert(p *Record) *member {
	m := &member{peer: p, contact: &stranger}
	t.version++
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
	t.addIndex(m.peer.places)
	t.toggle(m.peer)
}

// remove forgets a member.
func (t *table) remove(m *member) {
	if m.admitted {
		t.count--
		t.dropIndex(m.peer.places)
		t.toggle(m.peer)
	}
	t.version++
	delete(t.members, m.peer.ID)
	delete(t.watched, m.peer.ID)
}

// replace takes a new version of a member's record.
func (t *table) replace(m *member, p *Record) {
	if m.admitted {
		t.dropIndex(m.peer.places)
		t.toggle(m.peer)
		t.addIndex(p.places)
		t.toggle(p)
	}
	t.version++
	m.peer = p
}

func (t *table) toggle(p *Record) {
	t.digest ^= p.sum
	t.parts[p.part] ^= p.sum
	t.changed = true
}

// untold notes that no member holds our record.
func (t *table) untold() {
	for _, m := range t.members {
		if m.told {
			m.told = false
		}
	}
}

func (t *table) addIndex(ps []Place) {
	for i := range ps {
		p := &ps[i]
		t.index = slices.Insert(t.index, t.search(p.ID), entry{p.ID.high(), p})
	}
}

func (t *table) dropIndex(ps []Place) {
	for _, p := range ps {
		if i := t.search(p.ID); i < len(t.index) && t.index[i].at.ID == p.ID {
			t.index = slices.Delete(t.index, i, i+1)
		}
	}
}

// search returns the ordinal of the first indexed place at or after id, which
// is len(t.index) beyond the last.
func (t *table) search(id ID) int {
	high := id.high()
	return sort.Search(len(t.index), func(i int) bool { return !t.index[i].less(high, &id) })
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
func (t *table) bury(p *Record, left bool, now time.Time) {
	if len(t.departed) >= maxDeparted {
		var oldest *departed
		for _, d := range t.departed {
			if oldest == nil || d.at.Before(oldest.at) || d.at.Equal(oldest.at) && d.peer.ID < oldest.peer.ID {
				oldest = d
			}
		}
		delete(t.departed, oldest.peer.ID)
	}
	t.departed[p.ID] = &departed{peer: p, left: left, at: now, retryAt: now.Add(departedPause), pause: 2 * departedPause}
}

// inBucket returns the admitted members of a part of the table, sorted.
func (t *table) inBucket(bucket int) []*member {
	var ms []*member
	for _, m := range t.members {
		if m.admitted && m.peer.part == bucket {
			ms = append(ms, m)
		}
	}
	slices.SortFunc(ms, func(a, b *member) int { return comparePeerIDs(a.peer.ID, b.peer.ID) })
	return ms
}

// view takes a snapshot. self is part of it if it is a member.
func (t *table) view(self *Record, complete bool) *View {
	v := &View{
		self:     t.self,
		peers:    make([]Peer, 0, t.count+1),
		places:   make([]spot, len(t.index)),
		suspects: make(map[PeerID]bool),
		digest:   t.digest,
		complete: complete,
	}
	if self != nil {
		v.peers = append(v.peers, self.Peer)
	}
	for _, m := range t.members {
		if m.admitted {
			v.peers = append(v.peers, m.peer.Peer)
		}
		if m.suspect {
			v.suspects[m.peer.ID] = true
		}
	}
	slices.SortFunc(v.peers, func(a, b Peer) int { return comparePeerIDs(a.ID, b.ID) })
	at := make(map[PeerID]int32, len(v.peers))
	for i := range v.peers {
		at[v.peers[i].ID] = int32(i)
	}
	for i, p := range t.index {
		v.places[i] = spot{id: p.at.ID, peer: at[p.at.Peer]}
	}
	return v
}
