package chord

import (
	"slices"
	"time"
)

// timer is when a request is due, or a lookup. It is out of date once that is
// gone or has another deadline.
type timer struct {
	at  time.Time
	req uint64
}

// before orders timers by time.
func (t timer) before(o timer) bool {
	if !t.at.Equal(o.at) {
		return t.at.Before(o.at)
	}
	return t.req < o.req
}

// timers is a heap, the next one first.
type timers []timer

func (h *timers) push(t timer) {
	q := append(*h, t)
	for i := len(q) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q[i].before(q[parent]) {
			break
		}
		q[i], q[parent] = q[parent], q[i]
		i = parent
	}
	*h = q
}

func (h *timers) pop() {
	q := *h
	last := len(q) - 1
	q[0] = q[last]
	q = q[:last]
	for i := 0; ; {
		next := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(q); child++ {
			if q[child].before(q[next]) {
				next = child
			}
		}
		if next == i {
			break
		}
		q[i], q[next] = q[next], q[i]
		i = next
	}
	*h = q
}

// file sets the time of a request that is under way.
func (r *Ring) file(q *request, at time.Time) {
	q.deadline = at
	r.timers.push(timer{at, q.req})
}

// nextRequest returns the request that is due next, nil if none is under way.
func (r *Ring) nextRequest() *request {
	for len(r.timers) > 0 {
		t := r.timers[0]
		if q := r.requests[t.req]; q != nil && q.deadline.Equal(t.at) {
			return q
		}
		r.timers.pop()
	}
	return nil
}

// due takes the timers of the requests whose time is over, and returns those
// requests, oldest first.
func (r *Ring) due() []*request {
	var qs []*request
	for q := r.nextRequest(); q != nil && !r.now.Before(q.deadline); q = r.nextRequest() {
		r.timers.pop()
		qs = append(qs, q)
	}
	slices.SortFunc(qs, func(a, b *request) int { return int(int64(a.req - b.req)) })
	return qs
}
