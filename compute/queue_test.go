package compute

import (
	"math/rand/v2"
	"testing"
)

// slowQueue is the obvious twin of a queue: a list from top to bottom.
type slowQueue struct {
	list   []*held
	pops   uint64
	served map[laneKey]uint64
	can    map[string]bool
}

func (q *slowQueue) here(h *held) bool { return q.can[h.task.Code.Func] && !h.barred }

func (q *slowQueue) push(h *held, top bool) {
	fresh := true
	for _, x := range q.list {
		fresh = fresh && x.lane() != h.lane()
	}
	if fresh {
		q.served[h.lane()] = q.pops
	}
	if top {
		q.list = append([]*held{h}, q.list...)
	} else {
		q.list = append(q.list, h)
	}
}

func (q *slowQueue) remove(h *held) {
	for i, x := range q.list {
		if x == h {
			q.list = append(q.list[:i:i], q.list[i+1:]...)
			return
		}
	}
}

func (q *slowQueue) popTop() *held {
	var best *held
	for _, h := range q.list {
		if q.here(h) && (best == nil || h.task.Priority > best.task.Priority) {
			best = h
		}
	}
	if best == nil {
		return nil
	}
	if q.pops%fairTurn == fairTurn-1 {
		var oldest *held
		for _, h := range q.list {
			lower := q.here(h) && h.task.Priority < best.task.Priority && h.task.Priority > spare
			if !lower {
				continue
			}
			if oldest == nil || q.served[h.lane()] < q.served[oldest.lane()] ||
				q.served[h.lane()] == q.served[oldest.lane()] && h.lane().compare(oldest.lane()) < 0 {
				oldest = h
			}
		}
		if oldest != nil {
			best = oldest
		}
	}
	q.served[best.lane()] = q.pops
	q.pops++
	q.remove(best)
	return best
}

// TestQueue compares the queue with its twin under random use.
func TestQueue(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var q queue
		q.setCan([]string{"f/v1", "g/v1"})
		twin := slowQueue{served: make(map[laneKey]uint64), can: map[string]bool{"f/v1": true, "g/v1": true}}
		for step := range 600 {
			switch n := rng.IntN(10); {
			case n < 5:
				h := &held{barred: rng.IntN(8) == 0}
				h.task.Code.Func = []string{"f/v1", "g/v1", "h/v1"}[rng.IntN(3)]
				h.task.Priority = []int8{-MaxPriority, 0, 0, 3, spare}[rng.IntN(5)]
				top := rng.IntN(3) == 0
				twin.push(h, top)
				if top {
					q.pushTop(h)
				} else {
					q.pushBottom(h)
				}
			case n < 6 && len(twin.list) > 0:
				h := twin.list[rng.IntN(len(twin.list))]
				twin.remove(h)
				q.remove(h)
			default:
				want, got := twin.popTop(), q.popTop()
				if want != got {
					t.Fatalf("seed %d step %d: popped %+v, want %+v", seed, step, got, want)
				}
			}
			if q.n != len(twin.list) {
				t.Fatalf("seed %d step %d: %d queued, want %d", seed, step, q.n, len(twin.list))
			}
			s := Scheduler{holder: holder{queue: q}}
			if err := s.checkQueue(); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, step, err)
			}
		}
	}
}
