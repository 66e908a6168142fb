package compute

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A thief is given cheap joins only if no worker is about to run them, and
// costly ones like other tasks.
func TestJoinsStay(t *testing.T) {
	const f = "f/v1"
	for _, c := range []struct {
		name  string
		part  time.Duration // what a part takes, as far as is known
		join  time.Duration
		ran   time.Duration // how long one has been running
		gives int           // of two parts and four joins
	}{
		{name: "nothing is known", gives: 1},
		{name: "cheap", part: 10 * time.Millisecond, join: 50 * time.Microsecond, gives: 1},
		{name: "costly", part: 10 * time.Millisecond, join: 10 * time.Millisecond, gives: 3},
		{name: "late", part: 10 * time.Millisecond, join: 50 * time.Microsecond, ran: time.Second, gives: 3},
		{name: "behind long ones", part: time.Second, join: 50 * time.Microsecond, gives: 3},
		{name: "soon", part: time.Second, join: 50 * time.Microsecond, ran: 950 * time.Millisecond, gives: 1},
	} {
		now := time.Unix(1, 0)
		s, err := New(Config{Self: "victim", Session: 1, Funcs: []string{f}}, now, rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			s.enqueue(&held{task: Task{ID: ID{byte(i)}, Code: Code{Func: f}, Join: i >= 2}}, false)
		}
		s.holder.running[run{ID{99}, 1}] = &held{task: Task{ID: ID{99}, Code: Code{Func: f}}, state: heldRunning}
		if c.part > 0 {
			s.learnCost(kind{f, false}, c.part)
			s.learnCost(kind{f, true}, c.join)
		}
		s.advance(now.Add(c.ran))
		p, err := s.meet("thief")
		if err != nil {
			t.Fatal(err)
		}
		p.funcs = []string{f}
		offered, load := s.offer(p), s.load()
		got := s.choose(p, 100, 1<<20)
		joins := 0
		for _, h := range got {
			if h.task.Join {
				joins++
			}
		}
		if len(got) != c.gives || c.gives == 1 && joins > 0 || offered != load.queued() {
			t.Errorf("%s: %d tasks, %d of them joins, want %d; it offers %d and says %d", c.name, len(got), joins, c.gives, offered, load.queued())
		}
		if err := s.checkQueue(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
