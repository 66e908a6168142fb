package p2p

import (
	"testing"
	"time"
)

// TestRoomOfStrangers fills the room with silent strangers: the one that came first makes way,
// once it has had time enough.
func TestRoomOfStrangers(t *testing.T) {
	var r room
	now := time.Now()
	var ended []int
	var leave []func()
	enter := func(i int) bool {
		out, ok := r.enter(now, func() { ended = append(ended, i) })
		leave = append(leave, out)
		return ok
	}
	for i := range maxAdmissions {
		if !enter(i) {
			t.Fatalf("no room for number %d", i)
		}
		now = now.Add(time.Millisecond)
	}
	if enter(100) {
		t.Error("one more than there is room for, and nobody made way")
	}
	now = now.Add(makesWay - maxAdmissions*time.Millisecond)
	if !enter(101) || len(ended) != 1 || ended[0] != 0 {
		t.Errorf("after %v: %v made way, want the first", makesWay, ended)
	}
	if enter(102) || len(ended) != 1 {
		t.Errorf("%v made way, the second had no time yet", ended)
	}
	leave[0]() // it was cut off, and frees no second place
	if enter(103) {
		t.Error("a place was freed twice")
	}
	leave[1]()
	if !enter(104) || len(ended) != 1 {
		t.Errorf("no room for the next when one has left; cut off: %v", ended)
	}
}
