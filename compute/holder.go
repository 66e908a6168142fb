package compute

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// holder is the part of a scheduler that queues and runs tasks, its own and
// those it stole.
type holder struct {
	slots   int
	queue   queue
	clients []*client    // sorted by owner
	held    map[ID]*held // queued or running here, at most one attempt of a task
	running map[run]*held
	foreign int                    // tasks of other peers that are queued or running here
	bytes   int64                  // inputs of other peers' tasks, copies of those given away included
	outbox  int64                  // bytes of results that owners have not acknowledged
	costs   map[kind]time.Duration // of a run
}

func newHolder(slots int) holder {
	return holder{
		slots:   slots,
		held:    make(map[ID]*held),
		running: make(map[run]*held),
		costs:   make(map[kind]time.Duration),
	}
}

// run names an attempt that occupies a worker, until the driver reports it.
type run struct {
	task    ID
	attempt uint32
}

// held is an attempt at a task in this peer's hands.
type held struct {
	task    Task
	state   heldState
	client  *client  // of its owner; nil for a task of this peer's own
	arrival *arrival // the transfer that brought it, until the owner knows
	pos     int64    // in the queue
	began   instant  // to run
	until   instant  // on the shelf
	shelved bool
	barred  bool // it must not run here

	parts       []*held // that it was divided into here, until the owner knows
	provisional bool    // a part whose owner may not know of it yet
	parked      *Result // of a provisional part
}

type heldState uint8

const (
	heldGone    heldState = iota // dropped, or the owner has its result
	heldQueued                   // in the queue
	heldRunning                  // on a worker
	heldGiven                    // a copy, until the thief's acknowledgement
	heldRan                      // its result waits for the owner's acknowledgement
)

// enqueue takes a task into hand: at the own end of the queue, or at the
// steal end.
func (s *Scheduler) enqueue(h *held, top bool) {
	s.holder.held[h.task.ID] = h
	if h.client != nil {
		s.holder.foreign++
	}
	q := &s.holder.queue
	h.barred = h.task.Apart && slices.Contains(h.task.Avoid, s.cfg.Self)
	switch {
	case !h.task.Apart && len(h.task.Avoid) > 0 && (slices.Contains(h.task.Avoid, s.cfg.Self) || !q.has(h.task.Code.Cap())):
		q.shelve(h, s.now+s.cfg.Avoid)
	case top:
		q.pushTop(h)
	default:
		q.pushBottom(h)
	}
	s.victim.surplus = true
}

// unhold takes a task out of hand, whether it waits or runs. A run is told to
// stop and keeps its slot until the driver reports it.
func (s *Scheduler) unhold(h *held) {
	switch h.state {
	case heldQueued:
		s.holder.queue.remove(h)
	case heldRunning:
		s.out.Stop = append(s.out.Stop, Ref{Task: h.task.ID, Attempt: h.task.Attempt, Hop: h.task.Hop, Running: true})
	case heldGone, heldGiven, heldRan:
		return
	}
	s.letGo(h, heldGone)
}

func (s *Scheduler) letGo(h *held, next heldState) {
	h.state = next
	delete(s.holder.held, h.task.ID)
	if h.client != nil {
		s.holder.foreign--
	}
}

// startTasks puts tasks on free workers.
func (s *Scheduler) startTasks() {
	for s.freeSlots() > 0 {
		h := s.holder.queue.popTop()
		if h == nil {
			return
		}
		h.state, h.began = heldRunning, s.now
		s.holder.running[run{h.task.ID, h.task.Attempt}] = h
		s.out.Run = append(s.out.Run, h.task)
		if h.client == nil {
			s.ownStarted(h)
		}
	}
}

// freeSlots counts workers that may take a task now.
func (s *Scheduler) freeSlots() int {
	if s.draining || s.holder.outbox > s.cfg.MaxOutbox {
		return 0
	}
	return s.holder.slots - len(s.holder.running)
}

// Ran reports how runs ended, those that were stopped included. The driver
// calls it once for each task of Output.Run.
func (s *Scheduler) Ran(now time.Time, results ...Result) Output {
	s.advance(now)
	for i := range results {
		s.ran(&results[i])
	}
	return s.settle()
}

func (s *Scheduler) ran(r *Result) {
	key := run{r.Task, r.Attempt}
	h, ok := s.holder.running[key]
	if !ok {
		s.stats.Unknown++
		return
	}
	delete(s.holder.running, key)
	r.Peer = s.cfg.Self
	s.stats.Done++
	if h.state != heldRunning {
		return // dropped meanwhile
	}
	s.learnCost(h.task.kind(), r.Elapsed)
	s.letGo(h, heldRan)
	s.bound(r)
	if h.client == nil {
		s.outcome(nil, r)
		return
	}
	r.Kept = len(r.Fork) > 0 && s.keepParts(h, r)
	if h.provisional {
		s.park(h, r)
		return
	}
	s.post(h, r)
}

// Limits of what a result carries beside its output.
const (
	logLimit = 64 << 10
	errLimit = 4 << 10
)

// maxRunningRefs bounds how many running tasks one report names.
const maxRunningRefs = 256

// bound makes a result fit: an output over the limit is an error of the code.
func (s *Scheduler) bound(r *Result) {
	if len(r.Output) > s.cfg.MaxOutput {
		r.Output, r.Err = nil, "output of "+bytesOf(len(r.Output))+", the limit is "+bytesOf(s.cfg.MaxOutput)
	}
	if err := r.checkFork(); err != nil {
		r.Output, r.Err = nil, err.Error()
	}
	if !r.OK() {
		r.Fork = nil
	}
	r.Err = strings.ToValidUTF8(r.Err[:min(len(r.Err), errLimit)], "")
	r.Log = r.Log[:min(len(r.Log), logLimit)]
}

// expireShelf lets tasks run where they failed before: nobody else took them.
func (s *Scheduler) expireShelf() {
	q := &s.holder.queue
	for len(q.shelf) > 0 && q.shelf[0].until <= s.now {
		h := q.shelf[0]
		q.remove(h)
		h.task.Avoid = nil
		q.pushTop(h)
		s.victim.surplus = true
	}
}

func (s *Scheduler) shelfTimer() instant {
	if q := &s.holder.queue; len(q.shelf) > 0 {
		return q.shelf[0].until
	}
	return never
}

// runningFor lists what runs here for an owner, in order of task ID.
func (s *Scheduler) runningFor(owner chord.PeerID) []Ref {
	var refs []Ref
	for _, h := range s.holder.running {
		if h.task.Owner == owner && h.state == heldRunning && !h.provisional {
			ref := h.task.ref()
			ref.Running = true
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return bytes.Compare(a.Task[:], b.Task[:]) })
	return refs[:min(len(refs), maxRunningRefs)]
}
