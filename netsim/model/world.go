package model

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// World is a set of peers and the network between them, in virtual time.
// Everything in it follows from the seed, so that a run can be repeated step by
// step. It is not safe for concurrent use.
type World struct {
	// Net shapes the network; it may be changed between calls.
	Net Network
	// Trace, if set, gets one line for each thing that happens.
	Trace io.Writer
	// Each, if set, sees every ring core before it is used.
	Each func(*chord.Ring)
	// AfterCall, if set, is called after each call of a core. An error ends Run.
	AfterCall func(*chord.Ring) error
	// AfterStep, if set, is called after each step of a core that changed its
	// ring state. An error ends Run.
	AfterStep func() error
	// OnSend, if set, sees every message that a peer sends.
	OnSend func(*chord.Message)
	// OnLookup, if set, is handed the lookups that end.
	OnLookup func(at *Peer, res chord.LookupResult)
	// OnMessage, if set, sees every message that is sent.
	OnMessage func(from *Peer, m *chord.Message)
	// Tamper, if set, may change a message before it is sent, and reports whether it is.
	Tamper func(from *Peer, m *chord.Message) bool
	// OnMove, if set, is called when a peer has become a member, or is none any
	// more.
	OnMove func()

	cfg    chord.Config
	rng    *rand.Rand
	now    time.Duration
	queue  events
	peers  []*Peer
	idle   []*chord.Message // not under way
	owners owners
	moves  int // how often somebody became a member, or ceased to be
	err    error

	// Counts of what the network carried.
	Messages, Bytes, Lost, Doubled uint64

	overtaken uint64                   // messages that came after later ones of their sender
	latest    map[[2]int]time.Duration // when the last of them comes, from whom to whom; nil: not counted
}

// Network says what happens to messages.
type Network struct {
	MinDelay, MaxDelay time.Duration // each message takes its own time in this range
	// Latency, if set, is added to the time that a message from a to b takes.
	Latency   func(a, b *Peer) time.Duration
	Loss      float64 // share of messages that vanish
	Duplicate float64 // share that arrives twice
	// Evidence: senders learn that a peer is unreachable from lost and refused
	// connections.
	Evidence bool
	// Side, if set, splits the network: messages pass only between peers of the
	// same side.
	Side func(*Peer) int
}

// Peer is one peer of the world, up or down.
type Peer struct {
	Number int
	Record chord.Peer
	Ring   *chord.Ring // nil while down
	tickAt time.Duration
	life   int32 // counts starts, so that events of an earlier life go nowhere
	seen   uint64
	joined time.Duration // when it last became a member
	left   bool          // it said farewell
	member int           // 1 + ordinal in owners.members; 0: it is none
	met    numbers       // peers that a connection is open to
	awake  time.Duration // stopped until then
}

// Up reports whether the peer runs.
func (p *Peer) Up() bool { return p.Ring != nil }

// Member reports whether the peer runs and is a member of a ring.
func (p *Peer) Member() bool { return p.Ring != nil && p.Ring.Member() }

func (p *Peer) String() string { return fmt.Sprintf("p%d", p.Number) }

// NewWorld returns an empty world.
func NewWorld(cfg chord.Config, seed uint64) *World {
	return &World{
		Net: Network{MinDelay: 5 * time.Millisecond, MaxDelay: 50 * time.Millisecond, Evidence: true},
		cfg: cfg,
		rng: rand.New(rand.NewPCG(seed, 0x63686f727573)),
	}
}

// Now returns the virtual time since the start.
func (w *World) Now() time.Duration { return w.now }

// Rand returns the world's source of randomness.
func (w *World) Rand() *rand.Rand { return w.rng }

// Peers returns all peers, up and down, in the order in which they were added.
func (w *World) Peers() []*Peer { return w.peers }

// Members returns the peers that are members of a ring.
func (w *World) Members() []*Peer {
	var ms []*Peer
	for _, p := range w.peers {
		if p.Member() {
			ms = append(ms, p)
		}
	}
	return ms
}

// Add makes a peer with the given indexes. It is down.
func (w *World) Add(indexes []uint32) *Peer {
	n := len(w.peers)
	p := &Peer{Number: n, Record: chord.Peer{
		ID: chord.PeerID(fmt.Sprintf("p%d", n)), Incarnation: w.rng.Uint64(), Seq: 1, Indexes: indexes, Weight: 100,
	}}
	w.peers = append(w.peers, p)
	return p
}

// Rename gives a peer that has never been up another ID.
func (w *World) Rename(p *Peer) {
	p.Record.ID = chord.PeerID(fmt.Sprintf("p%d.%x", p.Number, w.rng.Uint32()))
}

// find returns the peer of an ID that Add or Rename has given, nil if there is none.
func (w *World) find(id chord.PeerID) *Peer {
	number, _, _ := strings.Cut(strings.TrimPrefix(string(id), "p"), ".")
	if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < len(w.peers) {
		return w.peers[n]
	}
	return nil
}

// Create starts a peer as a ring of its own.
func (w *World) Create(p *Peer) {
	w.start(p)
	w.tracef("%s creates a ring", p)
	w.done(p, p.Ring.Create(w.clock()))
}

// Join starts a peer that joins through the contacts.
func (w *World) Join(p *Peer, contacts ...*Peer) {
	w.start(p)
	w.tracef("%s joins through %v", p, contacts)
	w.done(p, p.Ring.Join(w.clock(), ids(contacts)))
}

// Rejoin starts a peer that was a member before.
func (w *World) Rejoin(p *Peer, remembered ...*Peer) {
	w.start(p)
	w.tracef("%s rejoins, remembering %v", p, remembered)
	w.done(p, p.Ring.Rejoin(w.clock(), ids(remembered)))
}

// Stand starts peers that are down as the members of one ring at rest.
func (w *World) Stand(peers []*Peer) {
	roster := chord.NewRoster()
	for _, p := range peers {
		w.start(p)
		roster.Add(p.Record)
	}
	for _, p := range peers {
		w.done(p, p.Ring.Stand(w.clock(), roster))
	}
}

// Hint tells a peer of another one.
func (w *World) Hint(p, other *Peer) {
	w.tracef("%s hears of %s", p, other)
	w.done(p, p.Ring.Hint(w.clock(), chord.Peer{ID: other.Record.ID}))
}

// Lookup starts a lookup at a peer; its end comes to OnLookup.
func (w *World) Lookup(p *Peer, target chord.ID) uint64 {
	id, out := p.Ring.Lookup(w.clock(), target)
	w.done(p, out)
	return id
}

// Crash stops a peer without a word.
func (w *World) Crash(p *Peer) {
	w.tracef("%s crashes", p)
	w.stop(p)
}

func (w *World) moved() {
	w.moves++
	if w.OnMove != nil {
		w.OnMove()
	}
}

// stop takes a peer down. Its sockets close, which those with a connection to it
// notice, if the network gives evidence.
func (w *World) stop(p *Peer) {
	p.Ring = nil
	w.owners.quit(p)
	w.moved()
	for _, number := range p.met.sorted() {
		other := w.peers[number]
		other.met.remove(p.Number)
		w.unreachable(other, p)
	}
	p.met = numbers{}
}

// unreachable lets a peer know after a while that it cannot reach another.
func (w *World) unreachable(at, other *Peer) {
	if !w.Net.Evidence || !at.Up() || !w.connected(at, other) {
		return
	}
	w.queue.push(event{
		at: w.now + max(w.delay(), at.awake-w.now), kind: eventUnreachable, to: at, life: at.life, from: other,
	})
}

// Pause stops a peer for a while, as SIGSTOP does a process: connections stay
// open, and what arrives meanwhile is read afterwards. Its clock comes first.
func (w *World) Pause(p *Peer, d time.Duration) {
	w.tracef("%s stops for %v", p, d)
	p.awake = w.now + d
	life := p.life
	w.After(d, func() {
		if p.Up() && p.life == life {
			w.tracef("%s goes on", p)
			w.done(p, p.Ring.Tick(w.clock()))
		}
	})
}

// connected reports whether no split lies between two peers.
func (w *World) connected(a, b *Peer) bool {
	return w.Net.Side == nil || w.Net.Side(a) == w.Net.Side(b)
}

// Wipe gives a peer that is down an empty disk: another incarnation, and the
// given indexes.
func (w *World) Wipe(p *Peer, indexes []uint32) {
	w.tracef("%s loses its disk", p)
	p.Record.Incarnation = w.rng.Uint64()
	p.Record.Indexes = indexes
}

// Leave lets a peer leave in good order; it stops a second later.
func (w *World) Leave(p *Peer) {
	w.tracef("%s leaves", p)
	p.left = true
	w.owners.quit(p)
	w.moved()
	w.done(p, p.Ring.Leave(w.clock()))
	life := p.life
	w.After(time.Second, func() {
		if p.life == life && p.Up() {
			w.stop(p)
		}
	})
}

// After calls do once the time has passed.
func (w *World) After(d time.Duration, do func()) {
	w.queue.push(event{at: w.now + d, kind: eventDo, do: do})
}

// Run lets time pass and returns the first error of AfterStep.
func (w *World) Run(d time.Duration) error {
	until := w.now + d
	for w.err == nil {
		e, ok := w.queue.pop(until)
		if !ok {
			break
		}
		w.now = e.at
		w.happens(&e)
	}
	if w.err == nil {
		w.now = until
	}
	return w.err
}

// happens does what an event says.
func (w *World) happens(e *event) {
	switch e.kind {
	case eventDo:
		e.do()
	case eventMessage:
		w.deliver(e)
	case eventTick:
		w.tick(e)
	case eventUnreachable:
		if e.to.Up() && e.to.life == e.life {
			w.done(e.to, e.to.Ring.Unreachable(w.clock(), e.from.Record.ID))
		}
	}
}

// RunUntil lets time pass until done holds, checked every step of the given
// length, and reports whether it came to hold within the limit.
func (w *World) RunUntil(limit, step time.Duration, done func() bool) (bool, error) {
	for end := w.now + limit; w.now < end; {
		if done() {
			return true, nil
		}
		if err := w.Run(step); err != nil {
			return false, err
		}
	}
	return done(), nil
}

func (w *World) start(p *Peer) {
	p.Record.Seq++
	ring, err := chord.New(w.cfg, p.Record, rand.New(rand.NewPCG(w.rng.Uint64(), w.rng.Uint64())))
	if err != nil {
		panic(fmt.Sprintf("model: a peer that cannot be: %v", err)) // our own records and config
	}
	if w.Each != nil {
		w.Each(ring)
	}
	p.Ring = ring
	p.met = numbers{}
	p.life++
	p.left = false
	p.tickAt = 0
	p.seen = 0
}

// epoch is the wall-clock time of the start of every world.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *World) clock() time.Time { return epoch.Add(w.now) }

// done handles what a call of a core returned.
func (w *World) done(p *Peer, out chord.Output) {
	out.Messages = w.tampered(p, out.Messages)
	w.count(p, out.Messages)
	for i := range out.Messages {
		if w.OnSend != nil {
			w.OnSend(&out.Messages[i])
		}
		w.post(p, &out.Messages[i])
	}
	if out.Joined {
		p.joined = w.now
		w.owners.enter(p)
		w.moved()
		w.tracef("%s is a member", p)
	}
	if out.Refused != nil {
		w.tracef("%s refuses: %v", p, out.Refused)
	}
	for _, res := range out.Lookups {
		w.traceLookup(p, &res)
		if w.OnLookup != nil {
			w.OnLookup(p, res)
		}
	}
	w.schedule(p)
	if w.AfterCall != nil && w.err == nil {
		w.err = w.AfterCall(p.Ring)
	}
	if rev := p.Ring.Revision(); rev != p.seen {
		p.seen = rev
		w.traceState(p)
		if w.AfterStep != nil && w.err == nil {
			w.err = w.AfterStep()
		}
	}
}

// tampered returns what a peer sends of what its core wants to send.
func (w *World) tampered(p *Peer, ms []chord.Message) []chord.Message {
	if w.Tamper == nil {
		return ms
	}
	sent := ms[:0]
	for _, m := range ms {
		if w.Tamper(p, &m) {
			sent = append(sent, m)
		}
	}
	return sent
}

// schedule makes sure that the peer's next tick comes in time.
func (w *World) schedule(p *Peer) {
	deadline := p.Ring.Deadline()
	if deadline.IsZero() {
		return
	}
	at := max(deadline.Sub(epoch), w.now)
	if p.tickAt > w.now && p.tickAt <= at {
		return // it comes early enough
	}
	p.tickAt = at
	w.queue.push(event{at: at, kind: eventTick, to: p, life: p.life})
}

// tick lets a peer do what has become due, unless another tick took the place of
// this one.
func (w *World) tick(e *event) {
	p := e.to
	if p.life != e.life || p.Ring == nil || p.tickAt != e.at {
		return
	}
	p.tickAt = 0
	switch now := w.clock(); {
	case p.awake > w.now:
	case p.Ring.Deadline().After(now):
		w.schedule(p) // what was due is done
	default:
		w.done(p, p.Ring.Tick(now))
	}
}

// count adds up what messages take. Those of one moment to one peer share
// packets.
func (w *World) count(from *Peer, ms []chord.Message) {
	w.Messages += uint64(len(ms))
	for i := range ms {
		if w.OnMessage != nil {
			w.OnMessage(from, &ms[i])
		}
	}
	for i := range ms {
		to := ms[i].To
		if slices.ContainsFunc(ms[:i], func(m chord.Message) bool { return m.To == to }) {
			continue
		}
		n := 0
		for k := range ms[i:] {
			if m := &ms[i+k]; m.To == to {
				n += WireSize(m)
			}
		}
		w.Bytes += uint64(packets(n))
	}
}

// post puts a message on the network.
func (w *World) post(from *Peer, m *chord.Message) {
	to := w.find(m.To)
	copies := 1
	if w.chance(w.Net.Duplicate) {
		copies = 2
		w.Doubled++
	}
	for range copies {
		if w.chance(w.Net.Loss) {
			w.Lost++
			w.traceMessage("lost", from, m)
			continue
		}
		delay := w.delay()
		if w.Net.Latency != nil && to != nil {
			delay += w.Net.Latency(from, to)
		}
		w.order(from, to, w.now+delay)
		w.queue.push(event{at: w.now + delay, kind: eventMessage, to: to, from: from, life: from.life, m: w.keep(m)})
	}
}

// order counts a message that overtakes an earlier one.
func (w *World) order(from, to *Peer, at time.Duration) {
	if w.latest == nil || to == nil {
		return
	}
	pair := [2]int{from.Number, to.Number}
	if w.latest[pair] > at {
		w.overtaken++
	}
	w.latest[pair] = max(w.latest[pair], at)
}

// keep returns a copy of a message for the time that it is under way.
func (w *World) keep(m *chord.Message) *chord.Message {
	if len(w.idle) == 0 {
		w.idle = append(w.idle, new(chord.Message))
	}
	kept := w.idle[len(w.idle)-1]
	w.idle = w.idle[:len(w.idle)-1]
	*kept = *m
	return kept
}

// deliver lets a message arrive.
func (w *World) deliver(e *event) {
	from, to, m := e.from, e.to, e.m
	if to != nil && to.Up() && to.awake > w.now && w.connected(from, to) {
		e.at = to.awake
		w.queue.push(*e)
		return
	}
	switch {
	case to == nil || !w.connected(from, to):
		w.Lost++
	case to.Up():
		if w.Net.Evidence && from.Up() && from.life == e.life {
			if to.met.add(from.Number) {
				from.met.add(to.Number)
			}
		}
		w.traceMessage("", from, m)
		w.done(to, to.Ring.Step(w.clock(), *m))
	default:
		w.traceMessage("to nobody", from, m)
		if from.life == e.life {
			w.unreachable(from, to)
		}
	}
	*m = chord.Message{}
	w.idle = append(w.idle, m)
}

func (w *World) delay() time.Duration {
	return w.Net.MinDelay + time.Duration(w.rng.Int64N(int64(w.Net.MaxDelay-w.Net.MinDelay)+1))
}

func (w *World) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func ids(peers []*Peer) []chord.PeerID {
	ids := make([]chord.PeerID, len(peers))
	for i, p := range peers {
		ids[i] = p.Record.ID
	}
	return ids
}

// draw returns n distinct elements of s at random.
func draw[T any](rng *rand.Rand, s []T, n int) []T {
	s = slices.Clone(s)
	rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	return s[:min(n, len(s))]
}
