package chord

import (
	"errors"
	"fmt"
	"slices"
)

// Kind says what a Message is.
type Kind uint8

// The kinds of message.
const (
	// KindAsk is a request. All that one peer wants of another at one moment
	// travels in one Ask, whatever the number of their positions: states of
	// positions, notices, targets to find, a comparison of tables. An Ask that
	// asks nothing is a probe.
	KindAsk Kind = 1
	// KindReply answers one Ask and carries its number.
	KindReply Kind = 2
	// KindLeave says that the sender leaves for good.
	KindLeave Kind = 3
	// KindTell tells unasked what has changed: States, to one whose successor the
	// sender is. One that is Same has not changed since it was told, and nobody
	// has asked for it since: the receiver is to do so.
	KindTell Kind = 4
)

// Limits of one message; a larger one is refused.
const (
	maxPeers   = 640
	maxWants   = 4 * MaxIndexes
	maxFinds   = 2 * MaxIndexes
	maxNotes   = 2 * MaxIndexes
	maxHolds   = 4 * MaxIndexes
	maxList    = 1 + MaxIndexes*(MaxIndexes+1)
	maxRefs    = 1 << 15
	maxEvents  = 64
	maxVets    = 16
	maxTable   = 1 << 20
	buckets    = 64
	maxSynced  = 64 // records that answer one comparison of tables
	maxReferal = 4  // nodes of a Found that is not Done
	maxFound   = 64 // nodes of one that is
)

// Message is what peers of a ring send to each other: one-way, at most once,
// in any order. Which fields count depends on Kind. The driver sets From to the
// peer that the transport has authenticated, and checks the signatures of Peers.
type Message struct {
	Kind     Kind
	From, To PeerID
	Ring     uint64 // Config.Ring of the sender
	Req      uint64 // number of the request; a reply repeats it

	Member bool // the sender is a member of the ring
	Left   bool // the sender has left for good
	Who    bool // a reply: the sender wants the receiver's record
	// Know is in an ask the mark of the receiver's record that the sender holds, 0 if
	// none, and in a tell or farewell that of the sender's own, which tells its lives apart.
	Know   uint32
	Digest uint64 // the sender's View.Digest

	// Peers are the records of those that Refs name and of others of which the
	// sender has news; the sender's own may be among them.
	Peers []*Record

	Wants   []Want   // an ask: positions of the receiver whose state is wanted
	Notes   []Note   // an ask: positions of the sender right before positions of the receiver
	Finds   []ID     // an ask: whose successors are wanted
	Vets    []PeerID // an ask: members that do not answer the sender; does the receiver reach them?
	Most    uint32   // an ask: how many nodes an answer to one of Finds is to name at most; 0: all. Below 3, one that is not Done names a single one
	Anchors bool     // an ask: of the successors that Finds are to name, anchors of peers come first
	Sync    []uint64 // an ask: digests of parts of the sender's table; empty or 64 of them

	States []State  // a reply: answers to Wants, named by their index
	Found  []Found  // a reply: answers to Finds, in their order
	Synced []uint32 // a reply: parts of the table that Peers holds completely

	News   []News   // an ask: events to be passed on
	New    bool     // an ask: the sender is new, or its record; its successor is to announce it
	Narrow bool     // the sender keeps no table, and wants no news
	Meet   bool     // an ask: the sender comes from another part of a ring that was split
	Part   uint32   // an ask: the part of the table at which the answer to Sync is to begin
	Keys   []uint32 // a reply: the keys of the records in the parts Synced, instead of Peers
	Fetch  []uint32 // an ask: keys of records that are wanted
	Rate   uint32   // a reply: hundredths of events a second, as the sender estimates

	Events []Event // departures, and what became of Vets
}

// Ref names a position in a message: one of Message.Peers and one of its
// Indexes. In a State that has a Base, Peer may be Known: then Index is an ordinal
// in that state, its predecessor behind its list. In a Found Known is the sender
// itself, where the receiver said (Message.Know) that it holds its record.
type Ref struct {
	Peer  uint32 // ordinal in Message.Peers, or Known
	Index uint32
}

// Known is the Peer of a Ref to what the receiver holds.
const Known = 1<<32 - 1

// Want asks for the state of the receiver's position Index. Have is the
// Digest of the state that the sender already holds, 0 for none; then Holds may
// name entries of another list that it holds, which is likely to be similar.
type Want struct {
	Index uint32
	Have  uint32
	Holds []uint32
}

// BaseHolds is the State.Base of a state that refers to Want.Holds.
const BaseHolds = 2

// Note tells the receiver that the sender's position Mine takes the
// receiver's position Yours for its successor.
type Note struct {
	Yours, Mine uint32
}

// State is the state of one position of the sender of a reply or a word.
type State struct {
	Index  uint32
	Same   bool   // nothing changed since Want.Have; the rest is empty
	Digest uint32 // of predecessor and list; odd
	// Base is the digest of the state that Refs to what is Known count in, 0 for
	// none: what the receiver said that it holds, or was last told.
	Base uint32
	// Version grows with each change in the sender's life.
	Version uint64
	// HasPred says that Pred, the predecessor, is known.
	HasPred bool
	Pred    Ref
	List    []Ref // the successor list, clockwise
}

// Found answers a target to find. Done: Nodes are the target's successors,
// the owner first. Not done: Nodes are better placed to know.
type Found struct {
	Done  bool
	Nodes []Ref
}

// EventKind says what happened to a peer.
type EventKind uint8

// The kinds of events.
const (
	EventDead  EventKind = 1 // it does not answer any more
	EventLeft  EventKind = 2 // it said that it leaves
	EventAlive EventKind = 4 // it came, or its record changed; in News only
	EventHeard EventKind = 3 // it answered when the receiver wanted to know
)

// Event reports what happened to a peer: a hint, until the receiver has
// checked it.
type Event struct {
	Kind        EventKind
	Peer        PeerID
	Incarnation uint64
	Seq         uint64
}

// Reasons to refuse a message; test with errors.Is.
var (
	ErrMessage     = errors.New("malformed message")
	ErrOtherRing   = errors.New("message of another ring")
	ErrMisrouted   = errors.New("message to or from the wrong peer")
	ErrUnsolicited = errors.New("reply that nobody asked for")
)

// envelope checks what can be checked without the records.
func (m *Message) envelope() error {
	over := func(n, limit int, what string) error {
		if n > limit {
			return fmt.Errorf("%w: %d %s, limit %d", ErrMessage, n, what, limit)
		}
		return nil
	}
	if m.Kind < KindAsk || m.Kind > KindTell {
		return fmt.Errorf("%w: kind %d", ErrMessage, m.Kind)
	}
	for i := range m.Wants {
		if err := over(len(m.Wants[i].Holds), maxHolds, "entries of a list"); err != nil {
			return err
		}
	}
	if len(m.Sync) != 0 && len(m.Sync) != buckets {
		return fmt.Errorf("%w: %d table digests, want %d", ErrMessage, len(m.Sync), buckets)
	}
	for _, b := range m.Synced {
		if b >= buckets {
			return fmt.Errorf("%w: part %d of a table of %d", ErrMessage, b, buckets)
		}
	}
	for _, e := range m.Events {
		if e.Kind < EventDead || e.Kind > EventHeard || len(e.Peer) == 0 || len(e.Peer) > maxPeerID {
			return fmt.Errorf("%w: event of kind %d", ErrMessage, e.Kind)
		}
	}
	for _, id := range m.Vets {
		if len(id) == 0 || len(id) > maxPeerID {
			return fmt.Errorf("%w: a peer ID of %d bytes", ErrMessage, len(id))
		}
	}
	for i := range m.News {
		n := &m.News[i]
		switch {
		case n.Kind == EventAlive && int64(n.Peer) >= int64(len(m.Peers)):
			return fmt.Errorf("%w: news of record %d of %d", ErrMessage, n.Peer, len(m.Peers))
		case n.Kind != EventAlive && n.Kind != EventDead && n.Kind != EventLeft:
			return fmt.Errorf("%w: news of kind %d", ErrMessage, n.Kind)
		}
	}
	if m.Part >= buckets {
		return fmt.Errorf("%w: part %d of a table of %d", ErrMessage, m.Part, buckets)
	}
	refs := 0
	for i := range m.States {
		refs += len(m.States[i].List)
		if err := over(len(m.States[i].List), maxList, "list entries"); err != nil {
			return err
		}
	}
	for i := range m.Found {
		refs += len(m.Found[i].Nodes)
	}
	return errors.Join(
		over(len(m.Peers), maxPeers, "records"), over(len(m.Wants), maxWants, "wants"),
		over(len(m.Notes), maxNotes, "notes"), over(len(m.Finds), maxFinds, "targets"), over(len(m.Vets), maxVets, "suspects"),
		over(len(m.States), maxWants, "states"), over(len(m.Found), maxFinds, "answers"),
		over(len(m.Synced), buckets, "parts of a table"),
		over(len(m.News), maxNews, "news"), over(len(m.Keys), maxKeys, "keys"), over(len(m.Fetch), maxFetch, "keys"),
		over(len(m.Events), maxEvents, "events"),
		over(refs, maxRefs, "references"))
}

// resolved is a checked message with its references resolved to places.
type resolved struct {
	peers  []*Record // Message.Peers, complete
	sender int       // ordinal of the sender's own record, or -1
	states []answered
	found  [][]Place // of Message.Found, in their order
}

// answered is a State with its references resolved.
type answered struct {
	pred Place // Peer is empty if unknown
	list []Place
	// unknown: it refers to a state that the receiver does not hold. The rest is
	// empty.
	unknown bool
}

// resolve checks records, references and orders, completes the records, and fills rs.
// known returns the record that is known of a peer, nil if none is; base the entries
// of the state that a state refers to, if the receiver holds that.
func (m *Message) resolve(rs *resolved, known func(PeerID) *Record, base func(*State) ([]Place, bool)) error {
	*rs = resolved{sender: -1, peers: m.Peers}
	for i, p := range m.Peers {
		if err := p.check(); err != nil {
			return err
		}
		if p.ID == m.From {
			rs.sender = i
		}
	}
	if twice(m.Peers) {
		return fmt.Errorf("%w: two records of one peer", ErrMessage)
	}
	for _, p := range m.Peers {
		if p.places == nil {
			p.complete(known(p.ID))
		}
	}
	for i := range m.States {
		var held []Place
		if st := &m.States[i]; st.Base != 0 {
			var ok bool
			if held, ok = base(st); !ok && m.Kind == KindReply {
				return fmt.Errorf("%w: a state that refers to another one than was said", ErrMessage)
			} else if !ok {
				rs.states = append(rs.states, answered{unknown: true})
				continue
			}
		}
		a, err := m.resolveState(&m.States[i], rs, held)
		if err != nil {
			return err
		}
		rs.states = append(rs.states, a)
	}
	for i := range m.Found {
		f := &m.Found[i]
		if f.Done && len(f.Nodes) == 0 || len(f.Nodes) > maxFound || !f.Done && len(f.Nodes) > maxReferal {
			return fmt.Errorf("%w: an answer of %d nodes", ErrMessage, len(f.Nodes))
		}
		nodes, err := rs.nodes(f.Nodes, known(m.From))
		if err != nil {
			return err
		}
		rs.found = append(rs.found, nodes)
	}
	return nil
}

// named returns the peers of which the states and the nodes that were found speak.
func (rs *resolved) named() map[PeerID]bool {
	ids := make(map[PeerID]bool)
	for i := range rs.states {
		for _, p := range rs.states[i].entries() {
			ids[p.Peer] = true
		}
	}
	for _, nodes := range rs.found {
		for _, p := range nodes {
			ids[p.Peer] = true
		}
	}
	return ids
}

// twice reports whether a peer has two records among ps.
func twice(ps []*Record) bool {
	if len(ps) <= fewPeers {
		for i := range ps {
			if slices.ContainsFunc(ps[:i], func(o *Record) bool { return o.ID == ps[i].ID }) {
				return true
			}
		}
		return false
	}
	seen := make(map[PeerID]bool, len(ps))
	for i := range ps {
		seen[ps[i].ID] = true
	}
	return len(seen) < len(ps)
}

// fewPeers are searched faster one by one than through a map.
const fewPeers = 12

// resolveState checks a state; held are the entries of its base.
func (m *Message) resolveState(s *State, rs *resolved, held []Place) (a answered, err error) {
	if s.Index >= MaxIndex {
		return a, fmt.Errorf("%w: state of index %d", ErrMessage, s.Index)
	}
	if len(s.List) == 0 && !s.HasPred {
		return a, nil
	}
	if a.list, err = rs.all(s.List, held); err != nil {
		return a, err
	}
	at := Position(m.From, s.Index)
	last := at
	for _, p := range a.list {
		if !between(last, p.ID, at) {
			return a, fmt.Errorf("%w: a list out of order or through its own position", ErrMessage)
		}
		last = p.ID
	}
	if s.HasPred {
		if a.pred, err = rs.place(s.Pred, held); err != nil {
			return a, err
		}
		if a.pred.ID == at {
			return a, fmt.Errorf("%w: a position that precedes itself", ErrMessage)
		}
	}
	return a, nil
}

func (rs *resolved) all(refs []Ref, held []Place) ([]Place, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	ps := make([]Place, len(refs))
	for i, ref := range refs {
		p, err := rs.place(ref, held)
		if err != nil {
			return nil, err
		}
		ps[i] = p
	}
	return ps, nil
}

// nodes resolves the nodes of a Found; sender is the record of the message's sender
// that the receiver holds. It returns none if they name the sender by a record that
// the receiver has forgotten.
func (rs *resolved) nodes(refs []Ref, sender *Record) ([]Place, error) {
	var ps []Place
	for _, ref := range refs {
		if ref.Peer != Known {
			p, err := rs.place(ref, nil)
			if err != nil {
				return nil, err
			}
			ps = append(ps, p)
			continue
		}
		if sender == nil {
			return nil, nil
		}
		p, ok := sender.place(ref.Index)
		if !ok {
			return nil, nil
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func (rs *resolved) place(ref Ref, held []Place) (Place, error) {
	if ref.Peer == Known {
		if int64(ref.Index) < int64(len(held)) {
			return held[ref.Index], nil
		}
		return Place{}, fmt.Errorf("%w: entry %d of a state of %d", ErrMessage, ref.Index, len(held))
	}
	if int64(ref.Peer) < int64(len(rs.peers)) {
		if p, ok := rs.peers[ref.Peer].place(ref.Index); ok {
			return p, nil
		}
	}
	return Place{}, fmt.Errorf("%w: position %d of peer %d is in no record", ErrMessage, ref.Index, ref.Peer)
}

// packer collects the records that a message's references need.
type packer struct {
	peers []*Record
	at    map[PeerID]uint32 // nil while they are few
}

// add makes sure that the record travels and reports whether it fits.
func (k *packer) add(p *Record) bool {
	if k.find(p.ID) >= 0 {
		return true
	}
	if len(k.peers) >= maxPeers {
		return false
	}
	k.peers = append(k.peers, p)
	switch n := len(k.peers); {
	case n > fewPeers && k.at == nil:
		k.at = make(map[PeerID]uint32, 4*fewPeers)
		for i := range k.peers {
			k.at[k.peers[i].ID] = uint32(i)
		}
	case k.at != nil:
		k.at[p.ID] = uint32(n - 1)
	}
	return true
}

// find returns the ordinal of a peer's record, -1 if it was not added.
func (k *packer) find(id PeerID) int {
	if k.at != nil {
		if i, ok := k.at[id]; ok {
			return int(i)
		}
		return -1
	}
	for i := range k.peers {
		if k.peers[i].ID == id {
			return i
		}
	}
	return -1
}

// ref returns the reference to a place whose record was added.
func (k *packer) ref(p Place) Ref { return Ref{Peer: uint32(k.find(p.Peer)), Index: p.Index} }
