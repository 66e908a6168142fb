package store

import (
	"testing"
	"time"
)

func TestAdmit(t *testing.T) {
	joint := Config{Epoch: 5, Voters: vs("abc"), Next: vs("abd2")}
	pending := State{Config: joint, Promised: Ballot{Counter: 1}, Accepted: Ballot{Counter: 1}, Value: joint.Settle()}
	for _, tt := range []struct {
		name        string
		state       State
		self        string
		incarnation uint64
		epoch       uint64
		want        Status
	}{
		{"voter", State{Config: joint}, "a", 1, 5, StatusOK},
		{"learner", State{Config: joint}, "d2", 2, 5, StatusOK},
		{"pending", pending, "a", 1, 5, StatusOK},
		{"old request", State{Config: joint}, "a", 1, 4, StatusReferral},
		{"old request, not a member", State{Config: joint}, "x", 1, 4, StatusReferral},
		{"new request", State{Config: joint}, "a", 1, 6, StatusBehind},
		{"nothing known", State{}, "a", 1, 5, StatusBehind},
		{"nothing known, nothing named", State{}, "a", 1, 0, StatusBehind},
		{"stranger", State{Config: joint}, "x", 1, 5, StatusNotMember},
		{"member's next life", State{Config: joint}, "a2", 2, 5, StatusNotMember},
		{"meant for a former life", State{Config: joint}, "d2", 1, 5, StatusNotMember},
	} {
		if got := tt.state.Admit(vs(tt.self)[0], tt.incarnation, tt.epoch); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	at := func(d time.Duration) Version { return Version{Clock: uint64(now.Add(d).UnixMilli()) << 16} }
	for _, tt := range []struct {
		name    string
		held, v Version
		status  Status
		store   bool
	}{
		{"first", Version{}, at(0), StatusOK, true},
		{"newer", at(0), at(1 * time.Second), StatusOK, true},
		{"same again", at(0), at(0), StatusOK, false},
		{"older", at(1 * time.Second), at(0), StatusSuperseded, false},
		{"as far ahead as may be", Version{}, at(time.Minute), StatusOK, true},
		{"too far ahead", Version{}, at(time.Minute + time.Millisecond), StatusSkewed, false},
		{"too far ahead of what is held", at(0), at(time.Hour), StatusSkewed, false},
		{"too far ahead, held already", at(time.Hour), at(time.Hour), StatusOK, false},
		{"older than what somebody's clock ran ahead with", at(time.Hour), at(0), StatusSuperseded, false},
		{"from 1970", Version{}, Version{Clock: 1}, StatusOK, true},
	} {
		status, store := Judge(tt.held, tt.v, now, time.Minute)
		if status != tt.status || store != tt.store {
			t.Errorf("%s: %v, store %v", tt.name, status, store)
		}
	}
}
