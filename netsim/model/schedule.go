package model

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// Schedule is one random history of a small ring, drawn from a seed: it
// grows, peers join, leave, crash and come back while it changes, and in the end
// it is left in peace and must be perfect.
//
// A clean schedule keeps to the assumptions of corrected Chord: no false
// suspicion, and never a crash that takes all live entries of a list or leaves
// fewer than r+1 principals (in a ring that is not larger than that: one that tears
// it apart). Half of them keep to it by looking at the lists, the other half by
// losing fewer than r peers in the time that a repair takes, which is harder on a
// protocol that lets its lists decay. Messages are late, overtaken and doubled. On it
// the invariant is checked after every step. A rough one also loses messages, delays them beyond
// all time-outs, splits the ring and crashes whom it likes; there only the end
// counts.
type Schedule struct {
	Seed  uint64
	Rough bool
	// Trace, if set, gets the transcript.
	Trace io.Writer
	// Each, if set, sees every ring core before it is used.
	Each func(*chord.Ring)
	// AfterCall, if set, is called after each call of a core; an error ends the
	// schedule.
	AfterCall func(*chord.Ring) error
}

// Done counts what a schedule did.
type Done struct {
	Peers, Positions, SuccessorPeers int
	Steps                            int // steps after which the invariant was checked
	Joins, Rejoins, Wipes            int
	Crashes, CrashedAtOnce, Leaves   int
	Splits                           int
	Refused                          int // crashes and leaves that the assumptions forbade
	MinPeers, MaxPeers               int
	Virtual                          time.Duration
	Converged                        time.Duration // after the last change
}

// Add sums up what schedules did.
func (d *Done) Add(o Done) {
	d.Peers = max(d.Peers, o.Peers)
	d.Positions = max(d.Positions, o.Positions)
	d.SuccessorPeers = max(d.SuccessorPeers, o.SuccessorPeers)
	d.Steps += o.Steps
	d.Joins += o.Joins
	d.Rejoins += o.Rejoins
	d.Wipes += o.Wipes
	d.Crashes += o.Crashes
	d.CrashedAtOnce = max(d.CrashedAtOnce, o.CrashedAtOnce)
	d.Leaves += o.Leaves
	d.Splits += o.Splits
	d.Refused += o.Refused
	d.MinPeers = min(d.MinPeers, o.MinPeers)
	if d.MaxPeers == 0 {
		d.MinPeers = o.MinPeers
	}
	d.MaxPeers = max(d.MaxPeers, o.MaxPeers)
	d.Virtual += o.Virtual
	d.Converged = max(d.Converged, o.Converged)
}

// ErrViolation marks an invariant that did not hold.
var ErrViolation = errors.New("invariant violated")

// run is a schedule under way.
type run struct {
	*World
	rng         *rand.Rand
	rough       bool
	rated       bool // crashes are limited by their rate, not by what they do
	r           int
	repair      time.Duration // what a repair takes at most
	positions   int
	established bool                          // there was a base of more than r peers
	gone        []time.Duration               // when peers crashed or left
	principal   map[chord.Place]time.Duration // positions that no list skips, since when
	done        Done
}

const (
	quietLimit = 90 * time.Second // for a ring left in peace to be perfect
	roughLimit = 4 * time.Minute

	// repairTime is what the repair of a list takes at most, spareRepairTime the
	// same where maintenance spares bytes.
	repairTime      = 12 * time.Second
	spareRepairTime = 40 * time.Second
)

// Run plays the schedule. The error says what was violated and when.
func (s Schedule) Run() (Done, error) {
	rng := rand.New(rand.NewPCG(s.Seed, 0x7363686564))
	x := &run{rng: rng, rough: s.Rough, r: []int{2, 3, 4, 8}[rng.IntN(4)], positions: 1 + rng.IntN(4)}
	cfg := chord.Config{SuccessorPeers: x.r, VerifyPeers: []int{0, 2, 1000}[rng.IntN(3)]}
	if x.rated = rng.IntN(2) == 0; !s.Rough && rng.IntN(3) == 0 {
		cfg.TableSize = -1 // lists and fingers alone
	}
	x.repair = repairTime
	if s.Seed%2 == 0 {
		cfg.SmallRing = -1 // maintained as a large one is
		x.repair = spareRepairTime
	}
	x.World = NewWorld(cfg, rng.Uint64())
	x.Trace, x.Each, x.AfterCall = s.Trace, s.Each, s.AfterCall
	x.Net.MaxDelay = time.Duration(10+rng.IntN(140)) * time.Millisecond
	x.Net.Evidence = rng.IntN(2) == 0
	x.Net.Duplicate = []float64{0, 0.05}[rng.IntN(2)]
	n := 4 + rng.IntN(29)
	x.done = Done{Peers: n, Positions: x.positions, SuccessorPeers: x.r, MinPeers: n}
	if !s.Rough {
		x.AfterStep = x.invariant
	}
	err := x.play(n)
	x.done.Virtual = x.Now()
	if err != nil {
		return x.done, fmt.Errorf("seed %d at %.3fs: %w", s.Seed, x.Now().Seconds(), err)
	}
	return x.done, nil
}

func (x *run) play(n int) error {
	if err := x.grow(n); err != nil {
		return err
	}
	if x.rough {
		x.Net.Loss = 0.2 * x.rng.Float64()
		if x.rng.IntN(3) == 0 {
			x.Net.MaxDelay = 700 * time.Millisecond
		}
	}
	for range 10 + x.rng.IntN(30) {
		if err := x.World.Run(time.Duration(x.rng.ExpFloat64() * float64(900*time.Millisecond))); err != nil {
			return err
		}
		if err := x.act(); err != nil {
			return err
		}
		up := len(x.Members())
		x.done.MinPeers, x.done.MaxPeers = min(x.done.MinPeers, up), max(x.done.MaxPeers, up)
	}
	return x.settle()
}

// settle leaves the ring in peace and waits for it to be perfect.
func (x *run) settle() error {
	limit := quietLimit
	if x.rough {
		x.Net.Loss, x.Net.Side = 0, nil
		x.Net.MaxDelay = min(x.Net.MaxDelay, 150*time.Millisecond)
		limit = roughLimit
	}
	if x.rough {
		x.rendezvous()
	}
	at := x.Now()
	for _, p := range x.peers {
		if p.Up() && !p.Ring.Member() {
			x.Hint(p, x.contacts()[0]) // those that it knew may be gone
		}
	}
	ok, err := x.RunUntil(limit, 100*time.Millisecond, func() bool { return x.allMembers() && x.Converged() == nil })
	x.done.Converged = x.Now() - at
	switch {
	case err != nil:
		return err
	case !ok && !x.allMembers():
		return fmt.Errorf("%w: after %v in peace some peers are still joining", ErrViolation, limit)
	case !ok:
		return fmt.Errorf("%w: after %v in peace %w", ErrViolation, limit, x.Converged())
	}
	return nil
}

// rendezvous lets a random peer hear of another one now and then, as a
// Kademlia lookup would: parts of a ring that have lost all memory of each other
// need it.
func (x *run) rendezvous() {
	x.After(10*time.Second, func() {
		if ms := draw(x.rng, x.Members(), 2); len(ms) == 2 {
			x.Hint(ms[0], ms[1])
		}
		x.rendezvous()
	})
}

func (x *run) allMembers() bool {
	for _, p := range x.peers {
		if p.Up() && !p.Ring.Member() {
			return false
		}
	}
	return true
}

// grow starts n peers, some of them at once.
func (x *run) grow(n int) error {
	x.Create(x.Add(x.indexes()))
	for range n - 1 {
		x.joinNew()
		if x.rng.IntN(3) > 0 {
			if err := x.World.Run(time.Duration(x.rng.IntN(400)) * time.Millisecond); err != nil {
				return err
			}
		}
	}
	if x.rng.IntN(2) == 0 {
		return nil // the rest happens while it still grows
	}
	_, err := x.RunUntil(quietLimit, 100*time.Millisecond, func() bool { return x.allMembers() && x.Converged() == nil })
	return err
}

func (x *run) indexes() []uint32 {
	first := uint32(x.rng.IntN(100))
	is := make([]uint32, x.positions)
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
	default:
		x.crash()
	}
	if x.AfterStep != nil {
		return x.AfterStep()
	}
	return nil
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
	} else {
		x.done.Refused++
	}
}

// crash stops up to r-1 peers at once.
func (x *run) crash() {
	ms := x.Members()
	victims := draw(x.rng, ms, min(1+x.rng.IntN(max(1, x.r-1)), len(ms)-1))
	if len(victims) == 0 {
		return
	}
	if !x.survives(victims...) {
		x.done.Refused++
		return
	}
	x.done.Crashes += len(victims)
	x.done.CrashedAtOnce = max(x.done.CrashedAtOnce, len(victims))
	for _, p := range victims {
		x.gone = append(x.gone, x.Now())
		x.Crash(p)
	}
}

// survives reports whether the assumptions allow these peers to go at once.
func (x *run) survives(victims ...*Peer) bool {
	t := observe(x.World, victims...)
	switch {
	case t.peers == 0 || x.rough:
		return t.peers > 0
	case !x.joinersSurvive(t):
		return false
	case x.established && x.rated:
		return x.lately()+len(victims) < x.r && x.base(t.principals()) > x.r
	case x.established:
		return t.liveEntries(x.settled()) == nil && x.copiesSurvive(t, victims) && x.base(t.principals()) > x.r
	default:
		return t.shape() == nil
	}
}

// copiesSurvive reports whether the lists that the victims may just have sent
// leave whoever copies them a live entry: as a copy they begin with the victim and
// lose their end.
func (x *run) copiesSurvive(t *truth, victims []*Peer) bool {
	for _, v := range victims {
		for _, n := range v.Ring.Neighbours() {
			n.Successors = distinct(n.Successors, x.r-1)
			if len(n.Successors) > 0 && !t.anyLive(n, x.settled()) {
				return false
			}
		}
	}
	return true
}

// distinct cuts a list behind the first n distinct peers that it names.
func distinct(list []chord.Place, n int) []chord.Place {
	named := make(map[chord.PeerID]bool)
	for i, p := range list {
		if named[p.Peer] = true; len(named) > n {
			return list[:i]
		}
	}
	return list
}

// settled is the time before which a member must have become one for nobody to
// mistake it for its former self, on the strength of a message still under way.
func (x *run) settled() time.Duration { return x.Now() - 3*x.Net.MaxDelay }

// lately counts the peers that went within the time that a repair takes at
// most.
func (x *run) lately() int {
	n := 0
	for _, at := range x.gone {
		if at+x.repair > x.Now() {
			n++
		}
	}
	return n
}

// joinersSurvive reports whether whoever has found its place could still join
// there: joining is atomic in the assumptions.
func (x *run) joinersSurvive(t *truth) bool {
	for _, p := range x.peers {
		if !p.Up() || p.Member() {
			continue
		}
		for _, n := range p.Ring.Neighbours() {
			if len(n.Successors) > 0 && !t.anyLive(n, x.settled()) {
				return false
			}
		}
	}
	return true
}

// base counts the peers with a lasting principal: a position that no list has
// skipped for longer than a round and its messages take, so that its successor
// knows of it and no message under way skips it.
func (x *run) base(principals []chord.Place) int {
	peers := make(map[chord.PeerID]bool)
	for _, p := range principals {
		if since, ok := x.principal[p]; ok && x.lasting(since) {
			peers[p.Peer] = true
		}
	}
	return len(peers)
}

func (x *run) lasting(since time.Duration) bool {
	const round = 500 * time.Millisecond
	return since+round+3*x.Net.MaxDelay < x.Now()
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

// invariant is checked after every step of a clean schedule.
func (x *run) invariant() error {
	x.done.Steps++
	t := observe(x.World)
	if err := t.shape(); err != nil {
		return fmt.Errorf("%w: %w", ErrViolation, err)
	}
	principals := t.principals()
	if err := x.lastingPrincipals(t, principals); err != nil {
		return err
	}
	n := x.base(principals)
	if !x.established {
		x.established = n > x.r && t.liveEntries(x.settled()) == nil
		return nil
	}
	if n <= x.r {
		return fmt.Errorf("%w: %d peers are principals, want more than %d", ErrViolation, n, x.r)
	}
	if err := t.liveEntries(x.Now()); err != nil {
		return fmt.Errorf("%w: %w", ErrViolation, err)
	}
	return nil
}

// lastingPrincipals keeps the time since when positions are principals. One that has
// been for long must remain it while its peer lives.
func (x *run) lastingPrincipals(t *truth, principals []chord.Place) error {
	now := make(map[chord.Place]time.Duration)
	for _, p := range principals {
		since, ok := x.principal[p]
		if !ok {
			since = x.Now()
		}
		now[p] = since
	}
	if x.established {
		for _, n := range t.nodes {
			_, still := now[n.At]
			if since, was := x.principal[n.At]; was && !still && x.lasting(since) {
				return fmt.Errorf("%w: %s is skipped by %s after %v as a principal", ErrViolation, name(n.At), t.skipper(n.At), x.Now()-since)
			}
		}
	}
	x.principal = now
	return nil
}
