package rpc

import (
	"slices"
	"sync"
	"time"
)

// Workers run the handlers that may block. They are goroutines that come when
// there is work and go when there has been none for a while; all connections of
// a peer share them. Those who call take turns, and none waits for all that
// another one asked for. All methods may be called from any goroutine.
type Workers struct {
	max, room int

	mu      sync.Mutex
	running int
	idle    []chan *served // of workers that wait; the last came last
	turn    *share         // whose request is next, of those that wait and may run; a ring
	waiting int
	closed  bool
	wg      sync.WaitGroup
}

// share is what one caller has of the workers, guarded by their lock.
type share struct {
	held        int     // workers that have its requests
	active      int     // of those, the ones whose handler has not parked
	waiting     int     // requests that wait
	first, last *served // those requests, a list through served.next
	prev, next  *share  // in the ring; nil: not in it
}

const (
	// idleWorker is how long a worker waits for more before it goes.
	idleWorker = time.Second
	// ownWorkers is how many workers each caller can have, and how many of its requests can
	// wait, whatever all others have: so many beyond the bounds of Workers, each.
	ownWorkers = 4
)

// NewWorkers returns workers that run up to max handlers at a time, with room
// for so many more requests to wait. What exceeds both is answered with
// ErrBusy, unless its caller has next to nothing under way.
func NewWorkers(max, room int) *Workers {
	return &Workers{max: max, room: room}
}

// Close lets the workers finish what they have and waits for them. Close the
// connections first, which cancels the handlers' contexts.
func (w *Workers) Close() {
	w.mu.Lock()
	w.closed = true
	idle := w.idle
	w.idle = nil
	w.mu.Unlock()
	for _, jobs := range idle {
		jobs <- nil
	}
	w.wg.Wait()
}

// submit queues a request, or returns why it cannot: there is no room, or the
// workers are closing.
func (w *Workers) submit(s *served) *Error {
	if w == nil {
		return ErrBusy
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	h := s.share()
	switch {
	case w.closed:
		return &Error{Code: CodeUnavailable, Message: "shutting down"}
	case h.waiting == 0 && h.active < s.mostActive() && w.free(h):
		h.held++
		h.active++
		w.hire(s)
		return nil
	case w.waiting >= w.room && h.waiting >= ownWorkers:
		return ErrBusy
	}
	if h.last == nil {
		h.first = s
	} else {
		h.last.next = s
	}
	h.last = s
	h.waiting++
	w.waiting++
	w.enlist(h)
	return nil
}

// free reports, under the lock, whether there is a worker for a caller's next request.
func (w *Workers) free(h *share) bool {
	return len(w.idle) > 0 || w.running < w.max || h.held < ownWorkers
}

// hire gives a request a worker that waits, or a new one, under the lock.
func (w *Workers) hire(s *served) {
	if last := len(w.idle) - 1; last >= 0 {
		jobs := w.idle[last]
		w.idle = w.idle[:last]
		jobs <- s // has room for one, and its worker has none
		return
	}
	w.running++
	w.wg.Add(1)
	go w.work(s)
}

// enlist puts a caller at the end of the ring if a request of it waits and may run, under the lock.
func (w *Workers) enlist(h *share) {
	if h.next != nil || h.first == nil || h.active >= h.first.mostActive() {
		return
	}
	if w.turn == nil {
		w.turn, h.next, h.prev = h, h, h
		return
	}
	h.next, h.prev = w.turn, w.turn.prev
	h.prev.next, h.next.prev = h, h
}

// take takes the next request of a caller in the ring, for a worker, under the lock. If it was its
// turn, that is the next one's now.
func (w *Workers) take(h *share) *served {
	s := h.first
	if h.first, s.next = s.next, nil; h.first == nil {
		h.last = nil
	}
	h.waiting--
	w.waiting--
	h.held++
	h.active++
	if w.turn == h {
		w.turn = h.next
	}
	if h.first == nil || h.active >= h.first.mostActive() {
		if w.turn == h {
			w.turn = nil
		}
		h.prev.next, h.next.prev = h.next, h.prev
		h.prev, h.next = nil, nil
	}
	return s
}

// park is called by a request whose handler is about to wait for something else than a
// processor: the next one of its caller may run.
func (w *Workers) park(s *served) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.parked {
		return
	}
	s.parked = true
	h := s.share()
	h.active--
	w.enlist(h)
	if h.next != nil && w.free(h) {
		w.hire(w.take(h))
	}
}

// work is a worker: it runs s and what comes after.
func (w *Workers) work(s *served) {
	defer w.wg.Done()
	jobs := make(chan *served, 1)
	timer := time.NewTimer(idleWorker)
	defer timer.Stop()
	for s != nil {
		h := s.share()
		s.run()
		s = w.next(jobs, timer, h, s.parked)
	}
}

// next returns what a worker shall run now that had a request of h, or nil when it shall go.
func (w *Workers) next(jobs chan *served, timer *time.Timer, h *share, parked bool) *served {
	w.mu.Lock()
	h.held--
	if !parked {
		h.active--
	}
	w.enlist(h)
	var s *served
	switch {
	case h.next != nil && h.held < ownWorkers:
		s = w.take(h)
	case w.running <= w.max && w.turn != nil:
		s = w.take(w.turn)
	}
	if s != nil || w.closed || w.running > w.max {
		if s == nil {
			w.running--
		}
		w.mu.Unlock()
		return s
	}
	w.idle = append(w.idle, jobs)
	w.mu.Unlock()

	timer.Reset(idleWorker)
	select {
	case s := <-jobs:
		return s
	case <-timer.C:
	}
	w.mu.Lock()
	i := slices.Index(w.idle, jobs)
	if i >= 0 {
		w.idle = slices.Delete(w.idle, i, i+1)
		w.running--
	}
	w.mu.Unlock()
	if i >= 0 {
		return nil
	}
	return <-jobs // somebody picked this worker meanwhile
}
