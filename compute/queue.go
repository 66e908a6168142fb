package compute

import (
	"cmp"
	"slices"
	"strings"
)

// Priorities of jobs go from -MaxPriority to MaxPriority; higher ones go first.
const (
	MaxPriority = 9
	// spare is the priority of runs that only an idle worker should make.
	spare = -MaxPriority - 1
	// fairTurn is how many tasks start until one starts that has a lower priority
	// than others and has waited longest for that.
	fairTurn = 8
)

// queue holds the tasks that wait here, in one lane for each capability and
// priority, so that tasks which this peer or a thief cannot run cost nothing to skip.
// Across the lanes of a priority tasks keep one order. The top is the own end: workers
// take from there. The bottom is the steal end. Tasks of a new job join at the bottom,
// tasks to be run again at the top; so a peer works through jobs of a priority in the
// order they came, while thieves start with the newest.
type queue struct {
	lanes  []*lane // sorted by key
	n      int     // queued tasks, the shelf included
	lo, hi int64   // positions at the top and at the bottom
	pops   uint64  // tasks taken from the top so far
	can    []string
	// shelf holds tasks that this peer will not or cannot run because of where
	// they failed before, oldest first. They wait there for another peer, for a while.
	shelf []*held
}

type lane struct {
	laneKey
	here   bool   // this peer can run it
	n      int    // queued tasks
	bound  int    // of them, provisional ones, which must not leave
	joins  int    // of them, joins
	weight uint64 // of the queued tasks together
	deque  deque
	served uint64 // the queue's pops when it was last popped, or made
}

type laneKey struct {
	capability string
	priority   int8
	barred     bool // not for this peer, whatever it can run
}

func (k laneKey) compare(to laneKey) int {
	switch c := strings.Compare(k.capability, to.capability); {
	case c != 0:
		return c
	case k.priority != to.priority:
		return cmp.Compare(to.priority, k.priority)
	case k.barred == to.barred:
		return 0
	case k.barred:
		return 1
	default:
		return -1
	}
}

func (h *held) lane() laneKey { return laneKey{h.task.Code.Cap(), h.task.Priority, h.barred} }

func (q *queue) setCan(can []string) {
	q.can = can
	for _, l := range q.lanes {
		l.here = !l.barred && q.has(l.capability)
	}
}

func (q *queue) lane(k laneKey) *lane {
	i, ok := slices.BinarySearchFunc(q.lanes, k, func(l *lane, k laneKey) int { return l.compare(k) })
	if !ok {
		q.lanes = slices.Insert(q.lanes, i, &lane{laneKey: k, here: !k.barred && q.has(k.capability), served: q.pops})
	}
	return q.lanes[i]
}

func (q *queue) pushTop(h *held) {
	q.lo--
	h.pos = q.lo
	l := q.lane(h.lane())
	l.deque.pushFront(h)
	q.added(l, h)
}

func (q *queue) pushBottom(h *held) {
	q.hi++
	h.pos = q.hi
	l := q.lane(h.lane())
	l.deque.pushBack(h)
	q.added(l, h)
}

func (q *queue) added(l *lane, h *held) {
	if l.n++; l.n == 1 {
		l.served = q.pops
	}
	if h.provisional {
		l.bound++
	}
	if h.task.Join {
		l.joins++
	}
	l.weight += h.task.weight()
	h.state = heldQueued
	q.n++
}

// shelve keeps a task for others until the given time.
func (q *queue) shelve(h *held, until instant) {
	h.until, h.shelved = until, true
	q.shelf = append(q.shelf, h)
	h.state = heldQueued
	q.n++
}

// popTop takes the next task for a worker of this peer, nil if there is none.
func (q *queue) popTop() *held {
	l := q.next()
	if l == nil {
		return nil
	}
	l.served = q.pops
	q.pops++
	h := l.deque.front().held
	q.remove(h)
	return h
}

// next returns the lane whose turn it is: of those with the highest priority the one
// with the oldest task; every so often, the lower one that has waited longest.
func (q *queue) next() *lane {
	var best *lane
	for _, l := range q.lanes {
		if l.here && l.n > 0 && (best == nil || l.priority > best.priority ||
			l.priority == best.priority && l.deque.front().pos < best.deque.front().pos) {
			best = l
		}
	}
	if best == nil || q.pops%fairTurn != fairTurn-1 {
		return best
	}
	var oldest *lane
	for _, l := range q.lanes {
		if l.here && l.n > 0 && l.priority < best.priority && l.priority > spare && (oldest == nil || l.served < oldest.served) {
			oldest = l
		}
	}
	if oldest != nil {
		return oldest
	}
	return best
}

// runnable reports whether popTop would find a task.
func (q *queue) runnable() bool {
	for _, l := range q.lanes {
		if l.here && l.n > 0 {
			return true
		}
	}
	return false
}

// remove takes a queued task out. Its place in the deque is cleared when it
// comes to an end of it.
func (q *queue) remove(h *held) {
	q.n--
	h.state = heldGone
	if h.shelved {
		h.shelved = false
		i := slices.Index(q.shelf, h)
		q.shelf = slices.Delete(q.shelf, i, i+1)
		return
	}
	l := q.lane(h.lane())
	l.n--
	if h.provisional {
		l.bound--
	}
	if h.task.Join {
		l.joins--
	}
	l.weight -= h.task.weight()
	l.deque.trim(l.n)
	if l.n == 0 && (!l.here || l.priority != 0) {
		q.lanes = slices.DeleteFunc(q.lanes, func(x *lane) bool { return x == l })
	}
}

// unbind lets a provisional task go where it likes.
func (q *queue) unbind(h *held) {
	h.provisional = false
	if h.state == heldQueued {
		q.lane(h.lane()).bound--
	}
}

// has reports whether this peer can run tasks that need a capability.
func (q *queue) has(capability string) bool {
	_, ok := slices.BinarySearch(q.can, capability)
	return ok
}
