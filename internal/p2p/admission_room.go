package p2p

import (
	"slices"
	"sync"
	"time"
)

const (
	maxAdmissions = 32                     // strangers that are served at a time
	makesWay      = 500 * time.Millisecond // after which one makes way for another
)

// room bounds the strangers that are served at a time. Where it is full, whoever has been
// served longest makes way for the next, unless that is so short a time that it may be
// honest and far away: who connects and is silent keeps nobody out.
type room struct {
	mu      sync.Mutex
	present []*visit // in the order in which they came
}

// visit is one stranger that is being served.
type visit struct {
	since time.Time
	end   func() // cuts it off; called without the room's lock, once at most
}

// enter takes a stranger in, whom end cuts off. leave must be called when it is served. ok is
// false if there is no room.
func (r *room) enter(now time.Time, end func()) (leave func(), ok bool) {
	v := &visit{now, end}
	r.mu.Lock()
	var first *visit
	if len(r.present) >= maxAdmissions {
		if first = r.present[0]; now.Sub(first.since) < makesWay {
			r.mu.Unlock()
			return nil, false
		}
		r.present = slices.Delete(r.present, 0, 1)
	}
	r.present = append(r.present, v)
	r.mu.Unlock()
	if first != nil {
		first.end()
	}
	return func() { r.leave(v) }, true
}

func (r *room) leave(v *visit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.present = slices.DeleteFunc(r.present, func(o *visit) bool { return o == v })
}
