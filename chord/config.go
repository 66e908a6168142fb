package chord

import (
	"fmt"
	"time"
)

// Config tunes a Ring. The zero value works.
type Config struct {
	// Ring names the ring: messages that carry another number are refused, so
	// that two rings never merge by accident. Any value, 0 included.
	Ring uint64

	// SuccessorPeers is how many distinct other peers a successor list names
	// (r). All peers but one of such a list may crash at once. 1 to 64; 0 means
	// 8.
	SuccessorPeers int

	// TableSize bounds the peers that the ring remembers beside its neighbours
	// and fingers. In a ring that fits, every peer knows every other. 0 means
	// 4096; a negative number keeps no table at all: neighbours and fingers
	// only.
	TableSize int

	// Classic leaves out what Chord of 2001 lacks in lookups, for comparison:
	// fingers are the first peers after powers of two, whatever their round trips,
	// a lookup asks whoever is nearest to the target, and nobody beside one whose
	// answer is late. It takes a negative TableSize and one position to be plain
	// Chord.
	Classic bool

	// Wary makes lookups believe no peer alone: they take disjoint ways, and the owner is
	// the first peer behind the target that answers, whatever others say of it. That
	// is for rings that anybody may join.
	Wary bool

	// Budget is how many bytes a second the peer is to spend, on average, on news of
	// joins and departures, on passing them on and on filling the tables of newcomers.
	// Where the ring changes faster than that allows, newcomers fill their tables
	// little by little; where news alone cost too much, peers keep neighbours and fingers
	// only until it is calmer. A small ring spares no bytes. 0 means 2200.
	Budget int

	// VerifyPeers is the size of ring up to which a peer that others speak of
	// enters the view only once it has answered us itself. Beyond it a report is
	// believed until evidence speaks against it. 0 means 256.
	VerifyPeers int

	// Stabilise is the period of maintenance while things change, and Calm the
	// one it backs off to while nothing does. 0 means 500 ms and 1 s. They hold in
	// small rings; in others both are six times as long, and a change hastens
	// only what it concerns.
	Stabilise, Calm time.Duration

	// SmallRing is the number of other peers up to which a ring is small:
	// everybody hears of everything at once, and bytes are not spared. 0 means 32,
	// a negative number that no ring is.
	SmallRing int

	// MinTimeout and MaxTimeout bound the time-out of a request, which is
	// computed from the measured round trips; FirstTimeout is used before the
	// first measurement. 0 means 500 ms, 2 s and 1 s.
	MinTimeout, MaxTimeout, FirstTimeout time.Duration

	// Probes is how many further probes a suspect must leave unanswered before
	// it is evicted, and ProbePause the wait before another probe of a peer that
	// the driver cannot reach. 0 means 3 and 250 ms.
	Probes     int
	ProbePause time.Duration

	// Silence is how long a suspect must have been silent before it is evicted,
	// unless it cannot be reached at all: a process that is stopped for a moment
	// is no dead one. Helpers is how many others are asked meanwhile whether they
	// can reach it. 0 means 5 s and 3; a negative Helpers means none.
	Silence time.Duration
	Helpers int

	// Patience is how long Rejoin looks for a member before it starts a ring of
	// its own. 0 means 3 s.
	Patience time.Duration
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	setInt := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	setInt(&c.SuccessorPeers, 8)
	setInt(&c.TableSize, 4096)
	setInt(&c.Budget, 2200)
	setInt(&c.VerifyPeers, 256)
	setInt(&c.SmallRing, 32)
	setInt(&c.Probes, 3)
	setInt(&c.Helpers, 3)
	set(&c.Silence, 5*time.Second)
	set(&c.Stabilise, 500*time.Millisecond)
	set(&c.Calm, max(time.Second, c.Stabilise))
	set(&c.MinTimeout, 500*time.Millisecond)
	set(&c.MaxTimeout, max(2*time.Second, c.MinTimeout))
	set(&c.FirstTimeout, min(max(time.Second, c.MinTimeout), c.MaxTimeout))
	set(&c.ProbePause, 250*time.Millisecond)
	set(&c.Patience, 3*time.Second)
	return c
}

func (c Config) validate() error {
	switch {
	case c.SuccessorPeers < 1 || c.SuccessorPeers > MaxIndexes:
		return fmt.Errorf("chord config: SuccessorPeers is %d, want 1 to %d", c.SuccessorPeers, MaxIndexes)
	case c.TableSize > maxTable:
		return fmt.Errorf("chord config: TableSize is %d, want at most %d", c.TableSize, maxTable)
	case c.Budget < 0:
		return fmt.Errorf("chord config: Budget is %d, want 0 or more", c.Budget)
	case c.VerifyPeers < 0:
		return fmt.Errorf("chord config: VerifyPeers is %d, want 0 or more", c.VerifyPeers)
	case c.Probes < 1:
		return fmt.Errorf("chord config: Probes is %d, want 1 or more", c.Probes)
	case c.Stabilise <= 0 || c.Calm < c.Stabilise:
		return fmt.Errorf("chord config: Stabilise is %v and Calm %v, want 0 < Stabilise <= Calm", c.Stabilise, c.Calm)
	case c.MinTimeout <= 0 || c.MaxTimeout < c.MinTimeout:
		return fmt.Errorf("chord config: MinTimeout is %v and MaxTimeout %v, want 0 < MinTimeout <= MaxTimeout", c.MinTimeout, c.MaxTimeout)
	case c.FirstTimeout < c.MinTimeout || c.FirstTimeout > c.MaxTimeout:
		return fmt.Errorf("chord config: FirstTimeout is %v, want MinTimeout to MaxTimeout", c.FirstTimeout)
	case c.ProbePause <= 0:
		return fmt.Errorf("chord config: ProbePause is %v, want more than 0", c.ProbePause)
	case c.Silence <= 0:
		return fmt.Errorf("chord config: Silence is %v, want more than 0", c.Silence)
	case c.Helpers > maxHelpers:
		return fmt.Errorf("chord config: Helpers is %d, want at most %d", c.Helpers, maxHelpers)
	case c.Patience <= 0:
		return fmt.Errorf("chord config: Patience is %v, want more than 0", c.Patience)
	}
	return nil
}

// tabled reports whether the ring keeps a table of all peers that it hears of.
func (c *Config) tabled() bool { return c.TableSize > 0 }
