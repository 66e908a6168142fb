package store

import (
	"testing"
	"time"
)

var horizonNow = time.UnixMilli(1_700_000_000_000)

// A voter closes and confirms only for the stable configuration that it serves,
// and a confirmation is good for the next epoch alone.
func TestStateHorizon(t *testing.T) {
	a, b := vs("a")[0], vs("b")[0]
	stable := Config{Epoch: 3, Voters: vs("abc")}
	past, future := ClockAt(horizonNow)-1<<16, ClockAt(horizonNow)+1
	s := State{Config: stable}
	for _, tt := range []struct {
		name    string
		self    Voter
		epoch   uint64
		horizon uint64
		want    Status
	}{
		{"an older epoch", a, 2, past, StatusReferral},
		{"a newer epoch", a, 4, past, StatusBehind},
		{"no voter", vs("d")[0], 3, past, StatusNotMember},
		{"another incarnation", vs("a2")[0], 3, past, StatusNotMember},
		{"the future", a, 3, future, StatusSkewed},
	} {
		if got, changed := s.Close(tt.self, tt.epoch, tt.horizon, horizonNow); got != tt.want || changed || s.Closed != 0 {
			t.Errorf("close, %s: %v, changed %t", tt.name, got, changed)
		}
	}
	if status, changed := s.Confirm(a, 3, past); status == StatusOK || changed {
		t.Errorf("confirmed before it closed: %v", status)
	}
	if status, changed := s.Close(a, 3, past, horizonNow); status != StatusOK || !changed || s.Settled() != past {
		t.Errorf("close: %v, settled %x", status, s.Settled())
	}
	if _, changed := s.Close(a, 3, past-1, horizonNow); changed || s.Closed != past {
		t.Error("opened again")
	}
	if status, changed := s.Confirm(a, 3, past); status != StatusOK || !changed {
		t.Errorf("confirm: %v", status)
	}

	raised := stable.Raise(past)
	other := State{Config: stable}
	for _, st := range []*State{&s, &other} {
		if _, err := st.Learn(raised); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Unclean(a); got != 0 {
		t.Errorf("who confirmed is to drop all up to %x", got)
	}
	if got := other.Unclean(b); got != past {
		t.Errorf("who did not confirm is to drop all up to %x, want %x", got, past)
	}
	if got := other.Unclean(vs("d")[0]); got != 0 {
		t.Errorf("who has no seat is to drop all up to %x", got)
	}
	if status, _ := other.Confirm(b, raised.Epoch, past); status == StatusOK {
		t.Error("confirmed before it was clean")
	}
	other.Cleaned()
	if other.Unclean(b) != 0 {
		t.Error("clean, and still to drop records")
	}
	// Away at the next raise, to the same horizon or not, it counts as unclean again.
	later := raised
	later.Epoch, later.Raised = 9, 8
	for _, st := range []*State{&s, &other} {
		if _, err := st.Learn(later); err != nil || st.Unclean(a) != past {
			t.Errorf("after a raise without it: %x, %v", st.Unclean(a), err)
		}
	}
}

// A raise goes through its phases one voter at a time, the leader pulling from
// others only.
func TestRaise(t *testing.T) {
	base := Config{Epoch: 3, Voters: vs("abc")}
	for _, bad := range []Config{base.Joint(vs("abd")), base.Raise(8)} {
		if _, err := NewRaise(vs("a")[0], bad, 7); err == nil {
			t.Errorf("raises %v", bad)
		}
	}
	r, err := NewRaise(vs("b")[0], base, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		phase RaisePhase
		left  string
	}{{RaiseClose, "abc"}, {RaiseCollect, "ac"}, {RaiseConfirm, "abc"}} {
		phase, left := r.Next()
		if phase != want.phase || !sameSet(left, vs(want.left)) || r.Request().Confirm != (phase == RaiseConfirm) {
			t.Fatalf("phase %d of %v, want %d of %s", phase, left, want.phase, want.left)
		}
		r.Done(left[0])
		r.Done(left[0]) // twice is once
		if again, _ := r.Next(); again != phase {
			t.Fatalf("phase %d ended with one voter", phase)
		}
		for _, v := range left[1:] {
			r.Done(v)
		}
	}
	if phase, _ := r.Next(); phase != RaisePropose || base.CheckNext(r.Value()) != nil || r.Value().Horizon != 7 {
		t.Errorf("in the end phase %d, %v", phase, r.Value())
	}
}

func TestEntryDead(t *testing.T) {
	past, v := horizonNow.UnixMilli()-1, Version{Clock: 5}
	for _, tt := range []struct {
		name    string
		e       Entry
		horizon uint64
		want    bool
	}{
		{"value", Entry{Version: v}, 9, false},
		{"tombstone", Entry{Version: v, Deleted: true}, 5, true},
		{"tombstone above the horizon", Entry{Version: v, Deleted: true}, 4, false},
		{"expired", Entry{Version: v, Expires: past}, 5, true},
		{"expires", Entry{Version: v, Expires: past + 2}, 9, false},
		{"expired above the horizon", Entry{Version: v, Expires: past}, 4, false},
	} {
		if got := tt.e.Dead(tt.horizon, horizonNow); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// A write that is settled already is stamped anew, and does not count as stored
// before that; nor does it count as having outlived what a replica did not say
// that it holds.
func TestWriteStale(t *testing.T) {
	c := Config{Epoch: 1, Voters: vs("abc")}
	stale := func(clock uint64) WriteReply { return WriteReply{Status: StatusStale, Version: Version{Clock: clock}} }
	var w Write
	st := w.Start(c, LevelQuorum, Version{Clock: 5})
	st = w.Reply(st.Round, 0, WriteReply{Status: StatusOK})
	if st = w.Reply(st.Round, 1, stale(7)); st.Outcome != Stamp || w.Newest().Clock != 7 {
		t.Fatalf("outcome %d, newest %v", st.Outcome, w.Newest())
	}
	st = w.Again(Version{Clock: 8})
	w.Reply(st.Round, 0, WriteReply{Status: StatusOK})
	if st = w.Reply(st.Round, 1, WriteReply{Status: StatusSuperseded, Version: Version{Clock: 9}}); st.Outcome != Stamp {
		t.Fatalf("superseded by what may have been acknowledged: outcome %d", st.Outcome)
	}
	st = w.Again(Version{Clock: 10})
	w.Reply(st.Round, 0, stale(12))
	w.Reply(st.Round, 1, WriteReply{Status: StatusOK})
	if st = w.Reply(st.Round, 2, WriteReply{Status: StatusOK}); st.Outcome != Stamp {
		t.Fatalf("ended with a replica that refused: outcome %d", st.Outcome)
	}
	for n := uint64(20); ; n++ {
		if n > 30 {
			t.Fatal("stamped anew for ever")
		}
		st = w.Again(Version{Clock: n})
		w.Reply(st.Round, 0, stale(n))
		if st = w.Reply(st.Round, 1, stale(n)); st.Outcome == Failed {
			break
		}
	}
}

// One replica's word for a version far ahead of the clock is not taken; a
// quorum's is.
func TestDoubtfulVersions(t *testing.T) {
	const latest = 100
	c := Config{Epoch: 1, Voters: vs("abc")}
	reply := func(clock uint64) ReadReply {
		v := Version{Clock: clock}
		return ReadReply{Version: v, Record: opRecord("k", v)}
	}
	for _, tt := range []struct {
		name    string
		clocks  [3]uint64 // 0: no answer
		outcome Outcome
		want    uint64
	}{
		{"one is ahead", [3]uint64{500, 5, 4}, Done, 5},
		{"one is ahead, one fails", [3]uint64{500, 5, 0}, Failed, 0},
		{"two are ahead", [3]uint64{500, 5, 400}, Done, 500},
		{"all are ahead", [3]uint64{500, 600, 400}, Done, 600},
	} {
		var op Read
		op.Believe(latest)
		st := op.Start(c, LevelQuorum, "ns", "k", nil)
		asked, round := st.Send, st.Round
		for i := range 3 {
			if !asked.Has(i) || st.Outcome != Running {
				continue
			}
			if tt.clocks[i] == 0 {
				st = op.Fail(round, i)
			} else {
				st = op.Reply(round, i, reply(tt.clocks[i]))
			}
			asked |= st.Send
		}
		if _, v := op.Result(); st.Outcome != tt.outcome || st.Outcome == Done && v.Clock != tt.want {
			t.Errorf("%s: outcome %d, %v", tt.name, st.Outcome, v)
		}
	}

	var w Write
	w.Believe(latest)
	st := w.Start(c, LevelQuorum, Version{Clock: 50})
	w.Reply(st.Round, 0, WriteReply{Status: StatusSuperseded, Version: Version{Clock: 500}})
	w.Reply(st.Round, 1, WriteReply{Status: StatusOK})
	if st = w.Reply(st.Round, 2, WriteReply{Status: StatusOK}); st.Outcome != Done || w.Skewed() != 0b001 {
		t.Errorf("write: outcome %d, skewed %b", st.Outcome, w.Skewed())
	}
}
