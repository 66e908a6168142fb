package model

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
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
	// OnMove, if set, is called when a peer has become a member, or is none any
	// more.
	OnMove func()

	cfg    chord.Config
	rng    *rand.Rand
	now    time.Duration
	queue  events
	serial uint64
	peers  []*Peer
	byID   map[chord.PeerID]*Peer
	owners owners
	err    error

	// Counts of what the network carried.
	Messages, Bytes, Lost uint64
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
	life   int // counts starts, so that events of an earlier life go nowhere
	seen   uint64
	joined time.Duration // when it last became a member
	met    peerSet       // peers that a connection is open to
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
		Net:  Network{MinDelay: 5 * time.Millisecond, MaxDelay: 50 * time.Millisecond, Evidence: true},
		cfg:  cfg,
		rng:  rand.New(rand.NewPCG(seed, 0x63686f727573)),
		byID: make(map[chord.PeerID]*Peer),
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
	w.byID[p.Record.ID] = p
	return p
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
	for _, other := range w.peers {
		if p.met.has(other) {
			other.met.remove(p)
			w.unreachable(other, p)
		}
	}
	p.met = nil
}

// unreachable lets a peer know after a while that it cannot reach another.
func (w *World) unreachable(at, other *Peer) {
	if !w.Net.Evidence || !at.Up() || !w.connected(at, other) {
		return
	}
	life := at.life
	w.After(max(w.delay(), at.awake-w.now), func() {
		if at.Up() && at.life == life {
			w.done(at, at.Ring.Unreachable(w.clock(), other.Record.ID))
		}
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
	w.serial++
	w.queue.push(event{at: w.now + d, serial: w.serial, do: do})
}

// Run lets time pass and returns the first error of AfterStep.
func (w *World) Run(d time.Duration) error {
	until := w.now + d
	for w.err == nil && len(w.queue) > 0 && w.queue[0].at <= until {
		e := w.queue.pop()
		w.now = e.at
		e.do()
	}
	if w.err == nil {
		w.now = until
	}
	return w.err
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
	p.met = nil
	p.life++
	p.tickAt = 0
	p.seen = 0
}

// epoch is the wall-clock time of the start of every world.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *World) clock() time.Time { return epoch.Add(w.now) }

// done handles what a call of a core returned.
func (w *World) done(p *Peer, out chord.Output) {
	w.count(out.Messages)
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
	life := p.life
	w.After(at-w.now, func() {
		if p.life != life || p.Ring == nil || p.tickAt != at {
			return
		}
		p.tickAt = 0
		if p.awake > w.now {
			return
		}
		w.done(p, p.Ring.Tick(w.clock()))
	})
}

// count adds up what messages take. Those of one moment to one peer share
// packets.
func (w *World) count(ms []chord.Message) {
	w.Messages += uint64(len(ms))
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
	to := w.byID[m.To]
	copies := 1
	if w.chance(w.Net.Duplicate) {
		copies = 2
	}
	for range copies {
		if w.chance(w.Net.Loss) {
			w.Lost++
			w.traceMessage("lost", from, m)
			continue
		}
		life := from.life
		delay := w.delay()
		if w.Net.Latency != nil && to != nil {
			delay += w.Net.Latency(from, to)
		}
		w.After(delay, func() { w.deliver(from, life, to, m) })
	}
}

func (w *World) deliver(from *Peer, life int, to *Peer, m *chord.Message) {
	if to == nil || !w.connected(from, to) {
		w.Lost++
		return
	}
	if to.Up() && to.awake > w.now {
		w.After(to.awake-w.now, func() { w.deliver(from, life, to, m) })
		return
	}
	if to.Up() {
		if w.Net.Evidence && from.Up() && from.life == life {
			from.met.add(to)
			to.met.add(from)
		}
		w.traceMessage("", from, m)
		w.done(to, to.Ring.Step(w.clock(), *m))
		return
	}
	w.traceMessage("to nobody", from, m)
	if from.life == life {
		w.unreachable(from, to)
	}
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
