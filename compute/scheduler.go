package compute

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// instant is a time since the scheduler was made, less the time that the
// whole process stood still.
type instant = time.Duration

const (
	never instant = math.MaxInt64
	// stallAfter is how late a driver may serve a deadline before the delay
	// counts as a pause of the process, in which no timer ran.
	stallAfter = time.Second
)

// Output is what the driver must do after a call. It owns everything in it.
type Output struct {
	Send     []Message // to Message.To; may be lost
	Run      []Task    // start each on a free worker, then report it by Ran
	Stop     []Ref     // end these runs early; each is still reported by Ran
	Changed  []ID      // own jobs whose state is not what it was
	Finished []ID      // own jobs that became final
}

// Scheduler is the state machine of one peer. It is not safe for concurrent
// use. See the package documentation for the duties of its driver.
type Scheduler struct {
	cfg     Config
	rng     *rand.Rand
	start   time.Time
	now     instant
	stalled time.Duration
	due     instant // when the earliest timer runs out
	seq     uint64
	out     Output
	stats   Stats
	bumps   uint64 // owners given up on; see abandon
	peers   peerTable

	can      []string // capabilities, sorted
	draining bool

	holder holder
	victim victim
	thief  thief
	owner  owner
	gossip gossip
}

// New returns the scheduler of a peer that knows nobody yet. It fails only for
// a Config out of bounds.
func New(cfg Config, now time.Time, rng *rand.Rand) (*Scheduler, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults(now)
	s := &Scheduler{cfg: cfg, rng: rng, start: now, due: never, seq: cfg.Session, peers: newPeerTable()}
	s.can = sortedSet(cfg.Funcs)
	s.holder = newHolder(cfg.Slots)
	s.thief = newThief()
	s.owner = newOwner()
	s.gossip = newGossip()
	s.holder.queue.setCan(s.can)
	return s, nil
}

func sortedSet(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// Step handles a message from another peer. The error wraps ErrBadMessage, or
// says why the message was refused; nothing has changed then, and the refusal
// is counted.
func (s *Scheduler) Step(now time.Time, m Message) (Output, error) {
	s.advance(now)
	if err := s.step(&m); err != nil {
		s.stats.Refused++
		return s.settle(), err
	}
	return s.settle(), nil
}

func (s *Scheduler) step(m *Message) error {
	if m.To != s.cfg.Self || m.From == s.cfg.Self || m.From == "" || len(m.From) > MaxPeerID {
		return fmt.Errorf("%w: %s: from %q to %q", ErrBadMessage, m.Kind, m.From, m.To)
	}
	if err := m.Validate(); err != nil {
		return err
	}
	p, err := s.meet(m.From)
	if err != nil {
		return err
	}
	switch {
	case m.Session < p.session:
		return fmt.Errorf("%s from %s: an earlier session: %w", m.Kind, p.id, ErrStale)
	case m.Session > p.session:
		if p.session != 0 {
			s.restarted(p)
		}
		p.session = m.Session
	}
	p.heard = s.now
	if p.client != nil {
		p.client.downAt = never
	}
	s.stats.Received[m.Kind]++
	switch m.Kind {
	case KindLoad:
		s.onLoad(p, m)
	case KindWake:
		s.onWake(p, m)
	case KindSteal:
		s.onSteal(p, m)
	case KindGive:
		s.onGive(p, m)
	case KindTaken:
		s.onTaken(p, m)
	case KindHold:
		s.onHold(p, m)
	case KindHeld:
		s.onHeld(p, m)
	case KindResult:
		s.onResult(p, m)
	case KindSettled:
		s.onSettled(p, m)
	case KindCancel:
		s.onCancel(p, m)
	case KindReturn:
		s.onReturn(p, m)
	}
	return nil
}

// ErrStale is wrapped by the error for a message from an earlier life of its sender.
var ErrStale = errors.New("stale message")

// Tick lets timers run out. Call it at Deadline; calling it more often does no harm.
func (s *Scheduler) Tick(now time.Time) Output {
	s.advance(now)
	return s.settle()
}

// Deadline returns when Tick must be called next, unless another call comes
// first; the zero time means not at all.
func (s *Scheduler) Deadline() time.Time {
	if s.due == never {
		return time.Time{}
	}
	return s.start.Add(s.due + s.stalled)
}

// advance sets the clock. A deadline served far too late means that the
// process was paused: that time is taken out, so that a peer that wakes up
// does not take its own silence for everybody else's.
func (s *Scheduler) advance(now time.Time) {
	t := now.Sub(s.start) - s.stalled
	if s.due != never && t-s.due > stallAfter {
		s.stalled += t - s.due
		if s.owner.endAt != never {
			s.owner.endAt -= t - s.due // a deadline is by the clock, not by what this process saw of it
		}
		t = s.due
	}
	s.now = max(t, s.now)
}

// settle ends every call: it runs timers, starts tasks, looks for work or for
// takers of work, and hands out what has gathered.
func (s *Scheduler) settle() Output {
	if s.now >= s.due {
		s.expire()
	}
	s.startTasks()
	s.seek()
	s.wakeSleepers()
	s.spread()
	s.flush()
	s.due = s.nextTimer()
	out := s.out
	s.out = Output{}
	for _, id := range out.Changed {
		if j := s.owner.jobs[id]; j != nil {
			j.touched = false
		}
	}
	return out
}

// expire runs the timers whose time has come.
func (s *Scheduler) expire() {
	s.expireThief()
	s.expireVictim()
	s.expireShelf()
	s.expireClients()
	s.expireLeases()
	s.expireJobs()
	s.expireStragglers()
}

func (s *Scheduler) nextTimer() instant {
	return min(s.thiefTimer(), s.victimTimer(), s.shelfTimer(), s.clientTimer(), s.leaseTimer(), s.owner.endAt, s.owner.lagAt, s.gossipTimer())
}

func (s *Scheduler) send(p *peer, m Message) {
	m.From, m.To, m.Session = s.cfg.Self, p.id, s.sessionFor(p)
	s.stats.Sent[m.Kind]++
	s.out.Send = append(s.out.Send, m)
}

func (s *Scheduler) nextSeq() uint64 {
	s.seq++
	return s.seq
}

// backoff returns the pause before repeat number tries of an unanswered message.
func (s *Scheduler) backoff(tries int) time.Duration {
	return s.cfg.Resend << min(tries, 3)
}

// SetFuncs replaces the capabilities of this peer.
func (s *Scheduler) SetFuncs(now time.Time, names []string) (Output, error) {
	if err := validFuncs(names); err != nil {
		return Output{}, err
	}
	s.advance(now)
	s.can = sortedSet(names)
	s.holder.queue.setCan(s.can)
	s.gossip.force = true
	s.thief.rouse()
	return s.settle(), nil
}

// Neighbor is a peer that the driver can reach.
type Neighbor struct {
	ID  chord.PeerID
	RTT time.Duration // measured round trip, 0 if unknown
	// Lifeline marks the peers that this one asks to be woken by: its Chord
	// fingers and successors.
	Lifeline bool
}

// SetPeers replaces the set of peers that are gossiped with and stolen from.
// Call it when the ring's view has changed, and now and then for the round trips.
func (s *Scheduler) SetPeers(now time.Time, neighbors []Neighbor) Output {
	s.advance(now)
	s.setNeighbors(neighbors)
	return s.settle()
}

// PeerDown tells that a peer is gone for now: a connection broke, or the ring
// has dropped it. What it held runs again.
func (s *Scheduler) PeerDown(now time.Time, id chord.PeerID) Output {
	s.advance(now)
	if p := s.peers.get(id); p != nil {
		s.lost(p, "peer down")
		if p.client != nil {
			p.client.downAt = min(p.client.downAt, s.now)
		}
		p.session = 0
		p.load, p.funcs = Load{}, nil
	}
	return s.settle()
}

// Drain stops taking and starting tasks and gives queued ones back to their
// owners. The peer may stop when Drained.
func (s *Scheduler) Drain(now time.Time) Output {
	s.advance(now)
	s.draining = true
	s.returnTasks()
	return s.settle()
}

// Drained reports whether nothing of other peers is left here.
func (s *Scheduler) Drained() bool {
	return s.draining && len(s.holder.running) == 0 && len(s.holder.clients) == 0
}
