package compute

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// What a thief gets: half of the tasks, and of what divides itself half of the work.
func TestHaul(t *testing.T) {
	for _, c := range []struct {
		name   string
		shares []uint8 // from the steal end on
		want   int
	}{
		{"one", []uint8{0}, 1},
		{"alike", []uint8{0, 0, 0, 0, 0}, 3},
		{"alike, of a division", []uint8{4, 4, 4, 4}, 2},
		{"halves", []uint8{1, 2, 3, 4, 4}, 1},
		{"halves of what is left", []uint8{5, 6, 7, 8, 9, 9}, 1},
		{"quarters", []uint8{2, 2, 2, 4, 4, 4, 4}, 2},
		{"small ones before a large one", []uint8{9, 9, 9, 0}, 2},
		{"too small to tell", []uint8{100, 120, 140, 160}, 2},
	} {
		now := time.Unix(1, 0)
		s, err := New(Config{Self: "victim", Session: 1, Slots: -1}, now, rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		for i, share := range c.shares {
			s.enqueue(&held{task: Task{ID: ID{byte(i)}, Code: Code{Func: "f/v1"}, Share: share}}, true)
		}
		p, err := s.meet("thief")
		if err != nil {
			t.Fatal(err)
		}
		p.funcs = []string{"f/v1"}
		got := s.choose(p, 100, 1<<20)
		for i, h := range got {
			if h.task.ID != (ID{byte(i)}) {
				t.Errorf("%s: task %x comes as number %d", c.name, h.task.ID[0], i)
			}
		}
		if err := s.checkQueue(); len(got) != c.want || err != nil {
			t.Errorf("%s: %d tasks, want %d; %v", c.name, len(got), c.want, err)
		}
	}
}

// The parts of a division, and theirs, know how small they are.
func TestShares(t *testing.T) {
	whole := Task{Attempt: 1}
	for _, c := range []struct{ parts, more, want int }{{1, 1, 0}, {2, 1, 1}, {2, 2, 2}, {3, 1, 2}, {8, 8, 6}, {1024, 1024, 20}} {
		p := part(&whole, 0, c.parts, nil)
		if q := part(&p, 0, c.more, nil); int(q.Share) != c.want {
			t.Errorf("a part of %d of a part of %d: share %d, want %d", c.more, c.parts, q.Share, c.want)
		}
	}
	deep := whole
	for range 300 {
		deep = part(&deep, 1, 2, nil)
	}
	if got := fmt.Sprint(deep.Share, deep.weight()); got != fmt.Sprint(maxShare, 1) {
		t.Errorf("share and weight after 300 divisions: %s", got)
	}
}
