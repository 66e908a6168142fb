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

	cfg     chord.Config
	rng     *rand.Rand
	now     time.Duration
	queue   events
	peers   []*Peer
	idle    []*chord.Message // not under way
	helpers int              // goroutines that call cores, the owner's among them; 0: only that
	owners  owners
	moves   int     // how often somebody became a member, or ceased to be
	counted *census // the last one
	err     error

	// Counts of what the network carried.
	Messages, Bytes, Lost, Doubled uint64

	overtaken uint64                   // messages that came after later ones of their sender
	latest    map[[2]int]time.Duration // when the last of them comes, from whom to whom; nil: not counted
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
	ahead  bool          // its core is called ahead of its turn, or was
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
		ID: chord.PeerID(fmt.Sprintf("p%d", n)), Incarnation: w.rng.Uint64(), Seq: 1, Indexes: indexes, Weight: chord.DefaultWeight,
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
	w.handle(p, p.Ring.Create(w.clock()))
}

// Join starts a peer that joins through the contacts.
func (w *World) Join(p *Peer, contacts ...*Peer) {
	w.start(p)
	w.tracef("%s joins through %v", p, contacts)
	w.handle(p, p.Ring.Join(w.clock(), ids(contacts)))
}

// Rejoin starts a peer that was a member before.
func (w *World) Rejoin(p *Peer, remembered ...*Peer) {
	w.start(p)
	w.tracef("%s rejoins, remembering %v", p, remembered)
	w.handle(p, p.Ring.Rejoin(w.clock(), ids(remembered)))
}

// Stand starts peers that are down as the members of one ring at rest.
func (w *World) Stand(peers []*Peer) {
	roster := chord.NewRoster()
	for _, p := range peers {
		w.start(p)
		roster.Add(p.Record)
	}
	for _, p := range peers {
		w.handle(p, p.Ring.Stand(w.clock(), roster))
	}
}

// Hint tells a peer of another one.
func (w *World) Hint(p, other *Peer) {
	w.tracef("%s hears of %s", p, other)
	w.handle(p, p.Ring.Hint(w.clock(), chord.Peer{ID: other.Record.ID}))
}

// Lookup starts a lookup at a peer; its end comes to OnLookup.
func (w *World) Lookup(p *Peer, target chord.ID) uint64 {
	id, out := p.Ring.Lookup(w.clock(), target)
	w.handle(p, out)
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

// Pause stops a peer for a while, as SIGSTOP does a process: connections stay
// open, and what arrives meanwhile is read afterwards. Its clock comes first.
func (w *World) Pause(p *Peer, d time.Duration) {
	w.tracef("%s stops for %v", p, d)
	p.awake = w.now + d
	life := p.life
	w.After(d, func() {
		if p.Up() && p.life == life {
			w.tracef("%s goes on", p)
			w.handle(p, p.Ring.Tick(w.clock()))
		}
	})
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
	w.handle(p, p.Ring.Leave(w.clock()))
	life := p.life
	w.After(time.Second, func() {
		if p.life == life && p.Up() {
			w.stop(p)
		}
	})
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
