package rpc

import (
	"slices"
	"sync"
	"time"
)

// Workers run the handlers that may block. They are goroutines that come when
// there is work and go when there has been none for a while; all connections of
// a peer share them. All methods may be called from any goroutine.
type Workers struct {
	max, room int

	mu          sync.Mutex
	running     int
	idle        []chan *served // of workers that wait; the last came last
	first, last *served        // requests that wait, a list through served.next
	waiting     int
	closed      bool
	wg          sync.WaitGroup
}

// idleWorker is how long a worker waits for more before it goes.
const idleWorker = time.Second

// NewWorkers returns workers that run up to max handlers at a time, with room
// for so many more requests to wait. What exceeds both is answered with
// ErrBusy.
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
	switch {
	case w.closed:
		return &Error{Code: CodeUnavailable, Message: "shutting down"}
	case len(w.idle) > 0:
		jobs := w.idle[len(w.idle)-1]
		w.idle = w.idle[:len(w.idle)-1]
		jobs <- s // has room for one, and its worker has none
	case w.running < w.max:
		w.running++
		w.wg.Add(1)
		go w.work(s)
	case w.waiting < w.room:
		if w.last == nil {
			w.first = s
		} else {
			w.last.next = s
		}
		w.last = s
		w.waiting++
	default:
		return ErrBusy
	}
	return nil
}

// work is a worker: it runs s and what comes after.
func (w *Workers) work(s *served) {
	defer w.wg.Done()
	jobs := make(chan *served, 1)
	timer := time.NewTimer(idleWorker)
	defer timer.Stop()
	for s != nil {
		s.run()
		s = w.next(jobs, timer)
	}
}

// next returns what the worker shall run now, or nil when it shall go.
func (w *Workers) next(jobs chan *served, timer *time.Timer) *served {
	w.mu.Lock()
	if s := w.first; s != nil {
		w.first, s.next = s.next, nil
		if w.first == nil {
			w.last = nil
		}
		w.waiting--
		w.mu.Unlock()
		return s
	}
	if w.closed {
		w.running--
		w.mu.Unlock()
		return nil
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
