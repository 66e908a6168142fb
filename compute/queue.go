package compute

import (
	"slices"
	"strings"
)

// queue holds the tasks that wait here, in one lane for each capability, so
// that tasks which this peer or a thief cannot run cost nothing to skip. Across
// lanes tasks keep one order. The top is the own end: workers take from there.
// The bottom is the steal end. Tasks of a new job join at the bottom, tasks to
// be run again at the top; so a peer works through jobs in the order they came,
// while thieves start with the newest.
type queue struct {
	lanes  []*lane // sorted by capability
	n      int     // queued tasks, the shelf included
	lo, hi int64   // positions at the top and at the bottom
	can    []string
	// shelf holds tasks that this peer will not or cannot run because of where
	// they crashed before, oldest first. They wait there for another peer, for a while.
	shelf []*held
}

type lane struct {
	capability string
	here       bool // this peer can run it
	n          int  // queued tasks
	bound      int  // of them, provisional ones, which must not leave
	deque      deque
}

func (q *queue) setCan(can []string) {
	q.can = can
	for _, l := range q.lanes {
		_, l.here = slices.BinarySearch(can, l.capability)
	}
}

func (q *queue) lane(capability string) *lane {
	i, ok := slices.BinarySearchFunc(q.lanes, capability, func(l *lane, c string) int {
		return strings.Compare(l.capability, c)
	})
	if !ok {
		_, here := slices.BinarySearch(q.can, capability)
		q.lanes = slices.Insert(q.lanes, i, &lane{capability: capability, here: here})
	}
	return q.lanes[i]
}

func (q *queue) pushTop(h *held) {
	q.lo--
	h.pos = q.lo
	l := q.lane(h.task.Code.Cap())
	l.deque.pushFront(h)
	l.n++
	q.added(h)
}

func (q *queue) pushBottom(h *held) {
	q.hi++
	h.pos = q.hi
	l := q.lane(h.task.Code.Cap())
	l.deque.pushBack(h)
	l.n++
	q.added(h)
}

// shelve keeps a task for others until the given time.
func (q *queue) shelve(h *held, until instant) {
	h.until, h.shelved = until, true
	q.shelf = append(q.shelf, h)
	q.added(h)
}

func (q *queue) added(h *held) {
	if h.provisional {
		q.lane(h.task.Code.Cap()).bound++
	}
	h.state = heldQueued
	q.n++
}

// popTop takes the next task for a worker of this peer, nil if there is none.
func (q *queue) popTop() *held {
	var best *lane
	for _, l := range q.lanes {
		if !l.here || l.n == 0 {
			continue
		}
		if best == nil || l.deque.front().pos < best.deque.front().pos {
			best = l
		}
	}
	if best == nil {
		return nil
	}
	h := best.deque.front().held
	q.remove(h)
	return h
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
	l := q.lane(h.task.Code.Cap())
	l.n--
	if h.provisional {
		l.bound--
	}
	l.deque.trim(l.n)
	if l.n == 0 && !l.here {
		q.lanes = slices.DeleteFunc(q.lanes, func(x *lane) bool { return x == l })
	}
}

// unbind lets a provisional task go where it likes.
func (q *queue) unbind(h *held) {
	h.provisional = false
	if h.state == heldQueued {
		q.lane(h.task.Code.Cap()).bound--
	}
}

// has reports whether this peer can run tasks that need a capability.
func (q *queue) has(capability string) bool {
	_, ok := slices.BinarySearch(q.can, capability)
	return ok
}
