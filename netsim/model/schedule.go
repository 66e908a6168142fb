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

// ErrViolation marks an invariant that did not hold.
var ErrViolation = errors.New("invariant violated")

// run is a schedule under way.
type run struct {
	*World
	rng         *rand.Rand
	lies        *rand.Rand // of false reports, apart from what else is drawn
	rough       bool
	rated       bool // crashes are limited by their rate, not by what they do
	r           int
	repair      time.Duration    // what a repair takes at most
	positions   int              // of a peer
	mixed       bool             // of some, fewer
	established bool             // there was a base of more than r peers
	gone        []time.Duration  // when peers crashed or left
	flying      []inFlight       // lists under way
	asked       map[askKey]asked // requests
	seen        *truth           // the last look at the ring,
	seenAt      int              // when so many had become members or ceased to be
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
	x := &run{rng: rng, lies: rand.New(rand.NewPCG(s.Seed, 0x6c696573)), rough: s.Rough, r: []int{2, 3, 4, 8}[rng.IntN(4)], positions: []int{1, 1, 2, 2, 3, 3, 4, 4, 8}[rng.IntN(9)]}
	x.mixed = rng.IntN(3) == 0
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
	x.done = Done{Schedules: 1, Lists: map[int]int{x.r: 1}, Positions: map[int]int{}, MinPeers: n}
	if !s.Rough {
		x.AfterStep, x.OnSend = x.invariant, x.overhear
	}
	x.latest, x.asked = make(map[[2]int]time.Duration), make(map[askKey]asked)
	err := x.play(n)
	x.done.Virtual = x.Now()
	x.done.Messages, x.done.Overtaken, x.done.Doubled, x.done.Lost = x.Messages, x.overtaken, x.Doubled, x.Lost
	if err != nil {
		x.tracef("%v", err)
		x.done.Violations = 1
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
		x.done.Sizes[ordinal(sizes[:], up)]++
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
	x.done.Times[ordinal(times[:], x.done.Converged)]++
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

// rest waits for the ring to be perfect.
func (x *run) rest() (bool, error) {
	return x.RunUntil(quietLimit, 100*time.Millisecond, func() bool { return x.allMembers() && x.Converged() == nil })
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
	_, err := x.rest()
	return err
}
