package compute

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// A peer keeps what it would soon start itself, going by what such tasks took;
// once those that run take much longer, thieves may have the rest.
func TestKeepFollowsRunningTasks(t *testing.T) {
	now := time.Unix(1, 0)
	s, err := New(Config{Self: chord.PeerID("a"), Slots: 1, Funcs: []string{"f/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{Code: Code{Func: "f/v1"}, Inputs: make([][]byte, 11)}
	_, out, err := s.Submit(now, spec)
	if err != nil {
		t.Fatal(err)
	}
	run := out.Run[0]
	now = now.Add(time.Millisecond)
	s.Ran(now, Result{Task: run.ID, Attempt: run.Attempt, Elapsed: time.Millisecond})
	lane := s.holder.queue.lane(laneKey{capability: "f/v1"})
	if got := s.keep(lane, 100*time.Millisecond, false); got != 9 {
		t.Errorf("keeps %d of 9 queued tasks of a millisecond each", got)
	}
	now = now.Add(time.Second)
	s.Tick(now)
	if got := s.keep(lane, 100*time.Millisecond, false); got != 0 {
		t.Errorf("keeps %d tasks while one has been running for a second", got)
	}
}

// A peer whose workers are taken by others for long starts nothing soon, however short it is.
func TestKeepNothingBehindOthers(t *testing.T) {
	now := time.Unix(1, 0)
	s, err := New(Config{Self: "victim", Session: 1, Slots: 1, Funcs: []string{"short/v1", "long/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	s.learnCost(kind{capability: "short/v1"}, time.Microsecond)
	s.holder.running[run{ID{99}, 1}] = &held{task: Task{ID: ID{99}, Code: Code{Func: "long/v1"}}, state: heldRunning}
	for i := range 10 {
		s.enqueue(&held{task: Task{ID: ID{byte(i)}, Code: Code{Func: "short/v1"}}}, false)
	}
	lane := s.holder.queue.lane(laneKey{capability: "short/v1"})
	if got := s.keep(lane, 0, false); got != 10 {
		t.Errorf("keeps %d of 10 tasks of a microsecond each behind one that has just begun", got)
	}
	s.advance(now.Add(time.Second))
	load := s.load()
	if got := s.keep(lane, 100*time.Millisecond, false); got != 0 || load.queued() != 10 {
		t.Errorf("keeps %d tasks behind one that goes on, and tells of %d", got, load.queued())
	}
}

// Of parts a peer keeps as many as come to that much work, going by the smallest.
func TestKeepFewParts(t *testing.T) {
	for _, c := range []struct {
		shares []uint8 // from the own end on
		join   bool    // the first is one
		want   int     // of ten as small as the first
	}{
		{shares: []uint8{6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6}, want: 10},
		{shares: []uint8{9, 9, 8, 7, 6, 5, 4, 3, 2, 1}, want: 5},
		{shares: []uint8{0, 9, 9, 8, 7, 6, 5, 4, 3, 2, 1}, join: true, want: 5},
		{shares: []uint8{4, 3, 2}, want: 3},
	} {
		s, err := New(Config{Self: "a", Session: 1, Slots: -1}, time.Unix(1, 0), rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		for i, share := range c.shares {
			s.enqueue(&held{task: Task{ID: ID{byte(i)}, Code: Code{Func: "f/v1"}, Share: share, Join: c.join && i == 0}}, false)
		}
		if got := s.holder.queue.lanes[0].first(10, c.join); got != c.want {
			t.Errorf("%v: keeps %d, want %d", c.shares, got, c.want)
		}
	}
}
