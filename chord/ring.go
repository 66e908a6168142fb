package chord

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Ring is one peer's part in the ring: a state machine without I/O. It is not
// safe for concurrent use: one goroutine owns it, calls it, and sends what it
// returns.
type Ring struct {
	cfg  Config
	self *Record
	rng  *rand.Rand
	now  time.Time

	phase  phase
	join   joining
	slots  []*slot // own positions, ascending
	anchor *slot   // of them, where our fingers begin
	table  *table

	out      map[PeerID]*outgoing // what this call asks of whom
	requests map[uint64]*request
	timers   timers // of requests
	nextReq  uint64
	answers  uint64 // states that were told
	lookups  map[uint64]*lookup
	nextLook uint64
	hedges   timers // of lookups
	usual    rtt    // of all peers

	stabiliseAt time.Time // the next round, be it of some slots only
	roundAt     time.Time // the next round of all
	tellAt      time.Time // zero: nothing to tell predecessors
	period      time.Duration
	lastRound   time.Time
	urgent      bool
	gossipAt    time.Time // zero: nothing to spread
	syncAt      time.Time // no comparison of tables before
	reunion     time.Time // until when parts of the ring grow together
	unifyAt     time.Time // no lookups in another part of the ring before
	meetAt      time.Time // no parts of the ring meet for want of records before
	soundAt     time.Time // no lookup that sounds whether there is one before
	rumours     map[PeerID]*rumour

	items    []item // news to be passed on
	carried  map[newsKey]time.Time
	newsAt   time.Time // zero: none
	newsLast time.Time
	newsRate rate
	fresh    bool // our successor is to announce us
	budget   budget
	narrow   bool   // no table is kept, as it would cost too much
	filled   bool   // the table was filled by a comparison, or grew with the ring
	listedAt uint64 // 1 + revision as of which the own lists name listedOf peers
	listedOf int
	denseAt  uint64 // 1 + revision as of which dense is what density returns
	dense    float64
	spanAt   uint64 // the same of span, which is what listSpan returns
	span     float64
	smallAt  stamp
	smallOf  int
	isSmall  bool

	vetting vetting // suspects of others

	fingers    []finger // by ordinal, as far as there were any yet
	nextFinger int
	fixes      uint64 // rounds in which no finger was missing
	fixing     uint64 // lookup of a finger under way
	contest    int    // the finger that was looked up last
	contested  bool   // its places are to be ranked

	prunedAt stamp  // the table needs no pruning while this is the stamp
	pinnings uint32 // rounds of pinning

	view     *View
	result   Output
	outbox   []Message // of the call before, to be used again
	reuse    reuse
	wakeAt   time.Time // Deadline
	revision uint64
	stats    Stats
	mutant   mutant
}

// phase is where a peer stands in its life.
type phase uint8

const (
	phaseNew phase = iota
	phaseJoining
	phaseMember
	phaseLeft
)

// mutant breaks the protocol in one way; tests plant it to see it caught.
type mutant uint8

const (
	mutantNone            mutant = iota
	mutantAdoptBlindly           // a successor's predecessor is adopted before it answered
	mutantTrustPred              // a predecessor need not prove that it lives
	mutantKeepDeadHead           // a dead first successor stays
	mutantSkipCopy               // the successor's list is not copied
	mutantDropOnePosition        // a crash takes one position of a peer out, not all
	mutantJoinShort              // a joiner starts before it has fetched a list
	mutantAnyAnswer              // the list of whoever answers is copied, be it too far away
	mutantAnyPred                // whoever gives notice becomes the predecessor
	mutantHearsay                // who is said to have died is evicted
	mutantOwnersWord             // a joiner takes the nodes that the owner of its place names, unchecked
)

// Output is what one call of the Ring asks of its driver.
type Output struct {
	// Messages are to be sent, each to its To. One that cannot be sent is
	// reported through Unreachable. The slice, not what it holds, is used again by the
	// next call of the Ring.
	Messages []Message
	// Learned are records that are new or have changed: where to reach peers.
	Learned []*Record
	// Lookups that ended in this call.
	Lookups []LookupResult
	// Joined: the peer became a member in this call.
	Joined bool
	// Changed: View returns another view than it last did.
	Changed bool
	// Refused says why the message was refused, which then changed nothing, or one of
	// its records, which was passed over; nil if none was. RefusedFrom sent it.
	Refused     error
	RefusedFrom PeerID
}

// Stats counts what happened since the Ring was made.
type Stats struct {
	Refused     uint64 // messages, and records in them, that were refused, for whatever reason
	Unsolicited uint64 // of these, replies that nobody asked for
	Late        uint64 // replies after their time-out
	Timeouts    uint64 // requests without an answer in time
	Suspected   uint64 // peers that fell under suspicion
	Vetted      uint64 // suspects of others that were probed for them
	Vouched     uint64 // times that a helper had heard of a suspect
	Overslept   uint64 // calls that came much too late: the peer was stopped, or busy
	Evicted     uint64 // peers that were taken out of the view
	Readmitted  uint64 // peers that came back after that
	Rounds      uint64 // rounds of stabilisation
	Joins       uint64 // attempts to join

	RefusedBy [Reasons]uint64 // Refused by reason
}

const (
	minRound    = 50 * time.Millisecond // between two rounds of stabilisation
	gossipPause = 100 * time.Millisecond
	maxProbes   = 32 // probes under way at once
	maxLookups  = 1024
)

// New returns the ring core of peer self, in no ring yet. rng must be its own.
func New(cfg Config, self Peer, rng *rand.Rand) (*Ring, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := self.validate(); err != nil {
		return nil, fmt.Errorf("own record: %w", err)
	}
	r := &Ring{
		cfg:      cfg,
		self:     completed(self),
		rng:      rng,
		table:    newTable(self.ID),
		out:      make(map[PeerID]*outgoing),
		requests: make(map[uint64]*request),
		nextReq:  uint64(rng.Uint32() >> 5),
		lookups:  make(map[uint64]*lookup),
		rumours:  make(map[PeerID]*rumour),
		carried:  make(map[newsKey]time.Time),
		budget:   budget{rate: float64(cfg.Budget) / compareShare, saved: keysCost},
		vetting:  newVetting(),
		period:   cfg.Stabilise,
		view:     emptyView(self.ID),
	}
	slots := make([]slot, len(r.self.places)) // side by side, as a round looks at all
	for i, p := range r.self.places {
		slots[i].Place = p
		r.slots = append(r.slots, &slots[i])
	}
	r.anchor = r.slots[0]
	slices.SortFunc(r.slots, func(a, b *slot) int { return a.ID.Compare(b.ID) })
	return r, nil
}

// Create makes the peer a ring of one.
func (r *Ring) Create(now time.Time) Output {
	r.begin(now)
	if r.phase != phaseMember {
		r.create()
	}
	return r.finish()
}

// Leave tells the neighbours that this peer leaves for good. The Ring then
// answers questions with that word only; drive it a moment longer, so that
// those who check can hear it.
func (r *Ring) Leave(now time.Time) Output {
	r.begin(now)
	if r.phase == phaseMember {
		for _, id := range r.circle() {
			r.send(Message{Kind: KindLeave, To: id, Know: r.self.mark(), Left: true})
		}
	}
	r.phase = phaseLeft
	r.table.changed = true
	r.touch()
	clear(r.lookups)
	for _, q := range r.requests {
		r.release(q)
	}
	clear(r.requests)
	r.timers, r.hedges = nil, nil
	return r.finish()
}

// circle lists who is to hear at once what a peer has to say of itself: its
// neighbours, and all others where they are few.
func (r *Ring) circle() []PeerID {
	told := make(map[PeerID]bool)
	for _, s := range r.slots {
		for _, p := range s.list {
			told[p.Peer] = true
		}
		if s.pred != nil {
			told[s.pred.Peer] = true
		}
	}
	if r.table.count <= maxCircle {
		for id, m := range r.table.members {
			told[id] = told[id] || m.admitted
		}
	}
	delete(told, r.self.ID)
	ids := make([]PeerID, 0, len(told))
	for id := range told {
		ids = append(ids, id)
	}
	sortPeerIDs(ids)
	return ids
}

const maxCircle = 64

// Step handles a message. A message that is refused changes nothing but a
// counter.
func (r *Ring) Step(now time.Time, m Message) Output {
	r.begin(now)
	if err := r.receive(&m); err != nil {
		r.refuse(m.From, err)
	}
	return r.finish()
}

// Tick does what has become due. Call it when Deadline has come; calling it
// more often does no harm.
func (r *Ring) Tick(now time.Time) Output {
	r.begin(now)
	r.expire()
	if r.phase == phaseJoining && !now.Before(r.join.retryAt) {
		r.tryJoin()
	}
	if r.phase == phaseMember && !now.Before(r.stabiliseAt) {
		r.round()
	}
	r.probe()
	if r.phase == phaseMember && !r.tellAt.IsZero() && !now.Before(r.tellAt) {
		r.tell()
	}
	if r.phase == phaseMember && !r.newsAt.IsZero() && !now.Before(r.newsAt) {
		r.passOn()
	}
	if r.phase == phaseMember && !r.gossipAt.IsZero() && !now.Before(r.gossipAt) {
		r.gossip()
	}
	return r.finish()
}

// Unreachable tells the core that the driver could not reach a peer: it
// refused a connection, or one was lost. That is evidence, not proof: the peer is
// suspected and probed.
func (r *Ring) Unreachable(now time.Time, id PeerID) Output {
	r.begin(now)
	r.unreachable(id)
	return r.finish()
}

// Hint tells the core of a peer that the driver remembers or has heard of.
// Only ID is needed. If it answers and its ring is another one, the two become
// one.
func (r *Ring) Hint(now time.Time, p Peer) Output {
	r.begin(now)
	switch {
	case p.ID == r.self.ID || len(p.ID) == 0 || len(p.ID) > maxPeerID:
	case r.phase == phaseJoining:
		r.addContact(p.ID)
	case r.phase == phaseMember && !r.table.trusted(p.ID):
		r.ask(p.ID)
		if !r.wide() {
			r.sound(p.ID)
		}
	}
	return r.finish()
}

// Deadline returns when Tick next has something to do; the zero time if never,
// until a message arrives.
func (r *Ring) Deadline() time.Time { return r.wakeAt }

func (r *Ring) deadline() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if q := r.nextRequest(); q != nil {
		sooner(q.deadline)
	}
	if t := r.nextHedge(); !t.IsZero() {
		sooner(t)
	}
	switch r.phase {
	case phaseJoining:
		sooner(r.join.retryAt)
	case phaseMember:
		sooner(r.stabiliseAt)
		if !r.tellAt.IsZero() {
			sooner(r.tellAt)
		}
		if !r.newsAt.IsZero() {
			sooner(r.newsAt)
		}
		if !r.gossipAt.IsZero() {
			sooner(r.gossipAt)
		}
		if t := r.nextProbe(); !t.IsZero() {
			sooner(t)
		}
	case phaseNew, phaseLeft:
		// They answer, and do nothing of their own.
	}
	return at
}

// Self returns the peer's own record.
func (r *Ring) Self() Peer { return r.self.Peer }

// Member reports whether the peer is a member of a ring.
func (r *Ring) Member() bool { return r.phase == phaseMember }

// Stats returns the counters.
func (r *Ring) Stats() Stats { return r.stats }

// Revision grows with each change of the peer's phase, successor lists and
// predecessors.
func (r *Ring) Revision() uint64 { return r.revision }

// View returns the ring as this peer sees it. It is cheap where nothing
// changed since the last call. Before joining it is empty.
func (r *Ring) View() *View {
	if r.table.changed {
		r.table.changed = false
		r.view = r.takeView()
	}
	return r.view
}

// Sees tells how many peers View shows and its Digest, without taking a view.
func (r *Ring) Sees() (peers int, digest uint64) {
	if r.phase != phaseMember {
		return 0, 0
	}
	return r.table.count + 1, r.table.digest
}

func (r *Ring) takeView() *View {
	if r.phase != phaseMember {
		return emptyView(r.self.ID)
	}
	return r.table.view(r.self, r.complete())
}

// Agreement tells how many of the other peers in the view reported the same
// view when they were last heard, and who did not.
func (r *Ring) Agreement() (agree, of int, differ []PeerID) {
	for id, m := range r.table.members {
		if !m.admitted {
			continue
		}
		of++
		if m.digest == r.table.digest {
			agree++
		} else {
			differ = append(differ, id)
		}
	}
	sortPeerIDs(differ)
	return agree, of, differ
}

// Neighbours is the ring state of one own position.
type Neighbours struct {
	At         Place
	Pred       Place   // Peer is empty while unknown
	Successors []Place // while the peer joins, those that it will begin with, empty until known
	Joining    []Place // while it joins: where it may come to stand
}

// Neighbours returns the ring state of the own positions, ascending.
func (r *Ring) Neighbours() []Neighbours {
	ns := make([]Neighbours, len(r.slots))
	for i := range r.slots {
		ns[i] = r.Neighbour(i)
		ns[i].Successors, ns[i].Joining = slices.Clone(ns[i].Successors), slices.Clone(ns[i].Joining)
	}
	return ns
}

// Neighbour returns what Neighbours has at i, without copies: its lists must
// not be changed, and not be read after the next call of the Ring.
func (r *Ring) Neighbour(i int) Neighbours {
	s := r.slots[i]
	n := Neighbours{At: s.Place, Successors: s.list, Joining: s.joining}
	if s.pred != nil {
		n.Pred = *s.pred
	}
	return n
}

func (r *Ring) begin(now time.Time) {
	r.now = now
	r.result = Output{Messages: r.outbox[:0]}
	if late := now.Sub(r.wakeAt); !r.wakeAt.IsZero() && late > drowsy {
		r.oversleep(late)
	}
}

func (r *Ring) finish() Output {
	r.advanceLookups()
	r.hurry()
	r.flush()
	if r.wakeAt = r.deadline(); !r.wakeAt.IsZero() && r.wakeAt.Before(r.now) {
		r.wakeAt = r.now // what was due before is due now
	}
	out := r.result
	out.Changed = r.table.changed
	r.result, r.outbox = Output{}, out.Messages
	return out
}

func (r *Ring) slotAt(index uint32) *slot {
	for _, s := range r.slots {
		if s.Index == index {
			return s
		}
	}
	return nil
}

func sortPeerIDs(ids []PeerID) { slices.Sort(ids) }
