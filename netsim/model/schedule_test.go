package model

import (
	"errors"
	"flag"
	"os"
	"testing"
)

var (
	schedules  = flag.Int("schedules", 0, "random schedules of each kind; 0: a few")
	seed       = flag.Uint64("seed", 1, "seed of the first schedule")
	transcript = flag.Bool("transcript", false, "print the first schedule")
)

// TestCleanSchedules checks the invariant after every step. A seed that fails
// is replayed by
//
//	go test ./netsim/model -run Clean -schedules 1 -seed SEED -transcript -v
func TestCleanSchedules(t *testing.T) { playSchedules(t, 25, false) }

// TestRoughSchedules checks that rings that were mistreated become whole.
func TestRoughSchedules(t *testing.T) { playSchedules(t, 15, true) }

// A joiner that was a member before may be told of the sender by a reference to a record
// that it holds.
func TestScheduleOfKnownSender(t *testing.T) {
	if done, err := (Schedule{Seed: 887}).Run(); err != nil {
		t.Errorf("%v (%+v)", err, done)
	}
}

// A joiner whose positions lie before the same successor, of which each asks it for its state,
// tells one answer from the other; and what joiners are told is followed by position.
func TestSchedulesOfNeighbouringPositions(t *testing.T) {
	for _, seed := range []uint64{5117, 5303} {
		if done, err := (Schedule{Seed: seed}).Run(); err != nil {
			t.Errorf("seed %d: %v (%+v)", seed, err, done)
		}
	}
}

// A joiner gets in even if all whom it asks refer it to a dead peer, a finger of theirs that
// they would not have asked whether it lives.
func TestSchedulesOfDeadReferrals(t *testing.T) {
	for _, seed := range []uint64{4362, 9748} {
		if done, err := (Schedule{Seed: seed}).Run(); err != nil {
			t.Errorf("seed %d: %v (%+v)", seed, err, done)
		}
	}
}

// A peer whose two successors stand close by chance does not take the ring for one that is
// too large for a table.
func TestScheduleOfCrowdedPositions(t *testing.T) {
	if done, err := (Schedule{Seed: 286, Rough: true}).Run(); err != nil {
		t.Errorf("%v (%+v)", err, done)
	}
}

// TestSoakSchedules plays ten thousand clean ones.
func TestSoakSchedules(t *testing.T) {
	if os.Getenv("CHORUS_SOAK") == "" {
		t.Skip("a long run: set CHORUS_SOAK")
	}
	playSchedules(t, 10_000, false)
}

func playSchedules(t *testing.T, n int, rough bool) {
	if *schedules > 0 {
		n = *schedules
	}
	if testing.Short() {
		n = min(n, 5)
	}
	var sum Done
	for i := range n {
		s := Schedule{Seed: *seed + uint64(i), Rough: rough}
		if *transcript && i == 0 {
			s.Trace = os.Stdout
		}
		done, err := s.Run()
		sum.Add(done)
		if err != nil && !errors.Is(err, ErrViolation) {
			t.Fatal(err)
		}
		if err != nil {
			t.Errorf("%v (%+v)", err, done)
		}
	}
	t.Logf("%d schedules: %+v", n, sum)
}
