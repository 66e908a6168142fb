package compute

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// MaxFork bounds the parts into which one run may divide its task.
const MaxFork = 1024

// maxParts bounds the bytes of a fork, and of what a join is handed.
const maxParts = MaxBlob

// checkFork says what is wrong with the parts of a result.
func (r *Result) checkFork() error {
	switch n := sizeOf(r.Fork); {
	case len(r.Fork) == 0:
		return nil
	case len(r.Fork) > MaxFork:
		return fmt.Errorf("%d parts, the limit is %d", len(r.Fork), MaxFork)
	case n > maxParts:
		return fmt.Errorf("parts of %s, the limit is %s", bytesOf(n), bytesOf(maxParts))
	}
	return nil
}

func sizeOf(blobs [][]byte) int {
	n := 0
	for _, b := range blobs {
		n += len(b)
	}
	return n
}

// divisionOf tells divisions apart: two runs of one attempt may divide a task in
// different ways.
func divisionOf(r *Result) [8]byte {
	h := sha256.New()
	for _, in := range r.Fork {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(in))))
		h.Write(in)
	}
	return [8]byte(h.Sum(nil))
}

// part returns part i of n of a task that its present attempt has divided. The
// attempt is part of the index, and so of the ID: another attempt may divide the
// task in another way.
func part(of *Task, i, n int, input []byte) Task {
	index := of.Attempt*MaxFork + uint32(i)
	return Task{
		ID: TaskID(of.Job, of.ID, index), Job: of.Job, Parent: of.ID, Index: index,
		Code: of.Code, Input: input, Limits: of.Limits, Owner: of.Owner, Attempt: 1, Priority: of.Priority,
		Share: uint8(min(int(of.Share)+bits.Len(uint(n-1)), maxShare)),
	}
}

// fork takes the parts of an own task, which an attempt at p, or here, has
// divided. The parts are at p if it kept them. The task itself waits until all
// parts are done, and then runs again, to join their outputs.
func (s *Scheduler) fork(o *owned, p *peer, r *Result) {
	n, more := len(r.Fork), int64(0)
	for _, in := range r.Fork {
		more += int64(taskOverhead + len(in))
	}
	switch {
	case s.owner.left+n > s.cfg.MaxTasks:
		s.failFork(o, r, fmt.Sprintf("%d parts would pass the limit of %d unfinished tasks", n, s.cfg.MaxTasks))
		return
	case s.owner.bytes+more > s.cfg.MaxBytes:
		s.failFork(o, r, "parts would pass the limit of "+bytesOf(s.cfg.MaxBytes)+" of inputs")
		return
	}
	if len(o.copies) > 0 {
		s.cancelParts(o) // backups of the run that has divided it
	}
	s.endAttempt(o, r.Peer, OutcomeForked, r)
	s.setState(o, TaskForked, nil)
	o.forker, o.division = p, divisionOf(r)
	s.owner.bytes += more - int64(len(o.task.Input)+sizeOf(o.task.Parts)) + int64(len(r.Output))
	o.task.Input, o.task.Parts, o.task.Avoid = r.Output, nil, nil
	j := o.job
	j.spawned += n
	j.left += n
	j.count[TaskQueued] += n
	s.owner.left += n
	o.parts, o.open = make([]owned, n), n
	for i, in := range r.Fork {
		c := &o.parts[i]
		*c = owned{job: j, parent: o, state: TaskQueued, task: part(&o.task, i, n, in)}
		s.owner.tasks[c.task.ID] = c
	}
	if p != nil && r.Kept {
		for i := range o.parts {
			s.setState(&o.parts[i], TaskAway, p)
		}
		return
	}
	for i := range slices.Backward(o.parts) {
		s.enqueue(&held{task: o.parts[i].task}, true)
	}
}

// failFork fails a task that may not be divided.
func (s *Scheduler) failFork(o *owned, r *Result, why string) {
	r.Output, r.Fork, r.Err = nil, nil, why
	s.endAttempt(o, r.Peer, OutcomeError, r)
	o.result = *r
	s.finish(o, TaskFailed)
}

// partEnded tells a task that one of its parts is final. The last one queues
// it again, to join them; one that failed fails it.
func (s *Scheduler) partEnded(c *owned) {
	o := c.parent
	o.open--
	switch {
	case o.state.Final() || c.state == TaskCancelled:
	case c.state == TaskFailed:
		o.result = Result{
			Task: o.task.ID, Attempt: o.task.Attempt, Peer: c.result.Peer, Log: c.result.Log,
			Err: fmt.Sprintf("part %d of %d: %s", c.task.Index%MaxFork, len(o.parts), c.result.Err),
		}
		s.finish(o, TaskFailed)
	case o.open == 0:
		s.joinParts(o)
	}
}

// joinParts queues a task whose parts are done, with what they put out.
func (s *Scheduler) joinParts(o *owned) {
	outputs := make([][]byte, len(o.parts))
	for i := range o.parts {
		outputs[i] = o.parts[i].result.Output
	}
	if n := len(o.task.Input) + sizeOf(outputs); n > maxParts {
		r := Result{Task: o.task.ID, Attempt: o.task.Attempt, Peer: s.cfg.Self}
		s.failFork(o, &r, "outputs of the parts take "+bytesOf(n)+", the limit is "+bytesOf(maxParts))
		return
	}
	s.fold(o)
	s.owner.bytes += int64(sizeOf(outputs))
	o.task.Parts, o.task.Join = outputs, true
	o.task.Attempt++
	o.task.Hop = 0
	s.setState(o, TaskQueued, nil)
	s.enqueue(&held{task: o.task}, true)
}

// cancelParts ends what is left of the parts and copies of a task that needs
// them no more, and forgets them.
func (s *Scheduler) cancelParts(o *owned) {
	drop := make(map[*peer][]Ref)
	var order []*peer
	var open []*owned
	o.each(func(c *owned) {
		if c == o || c.state.Final() {
			return
		}
		open = append(open, c)
		if p := c.at; p != nil {
			if drop[p] == nil {
				order = append(order, p)
			}
			drop[p] = append(drop[p], c.task.ref())
		}
	})
	s.cancelAll(open, "")
	for _, p := range order {
		for refs := range slices.Chunk(drop[p], MaxMessageRefs) {
			s.send(p, Message{Kind: KindCancel, Refs: refs})
		}
	}
	s.fold(o)
}

// cancelAll makes tasks final that were listed by each: parts before what they
// are parts of. If there is a reason, it is their error.
func (s *Scheduler) cancelAll(open []*owned, why string) {
	for _, o := range slices.Backward(open) {
		switch {
		case o.state == TaskForked:
		case o.of != nil && o.job.verify == 0 && why == "" && !o.job.cancelled:
			s.endAttempt(o, s.whoHas(o), OutcomeOvertaken, nil)
		default:
			s.endAttempt(o, s.whoHas(o), OutcomeCancelled, nil)
		}
		if why != "" {
			o.result = Result{Task: o.task.ID, Attempt: o.task.Attempt, Err: why}
		}
		s.finish(o, TaskCancelled)
	}
}

// fold forgets the parts of a task, all of them final, but for their number, and
// its copies.
func (s *Scheduler) fold(o *owned) {
	j := o.job
	for i := range o.parts {
		c := &o.parts[i]
		s.fold(c)
		delete(s.owner.tasks, c.task.ID)
		j.count[c.state]--
		j.folded[c.state]++
		j.bytes -= int64(c.result.size())
	}
	for _, c := range o.copies {
		delete(s.owner.tasks, c.task.ID)
		j.copied[c.state]--
		j.bytes -= int64(c.result.size())
	}
	o.parts, o.copies, o.open = nil, nil, 0
}

// each calls do for a task, for all that it was divided into, and for copies.
func (o *owned) each(do func(*owned)) {
	do(o)
	for i := range o.parts {
		o.parts[i].each(do)
	}
	for _, c := range o.copies {
		do(c)
	}
}

// each calls do for every task of the job that is not folded.
func (j *job) each(do func(*owned)) {
	for i := range j.tasks {
		j.tasks[i].each(do)
	}
}

// keepParts takes the parts of a foreign task, which was divided here, into
// hand, and reports whether there is room. They may run at once, but they are
// provisional until the owner has taken the division: until then nobody else
// hears of them.
func (s *Scheduler) keepParts(h *held, r *Result) bool {
	var size int64
	for _, in := range r.Fork {
		size += int64(taskOverhead + len(in))
	}
	if s.draining || s.holder.foreign+len(r.Fork) > s.cfg.MaxQueue || s.holder.bytes+size > s.cfg.MaxBytes {
		return false
	}
	c := h.client
	for i, in := range r.Fork {
		k := &held{task: part(&h.task, i, len(r.Fork), in), client: c, provisional: true}
		if s.holder.held[k.task.ID] != nil || s.holder.running[run{k.task.ID, 1}] != nil {
			// An earlier run of the same attempt left it here. The owner's word on
			// that one is still to come.
			s.dropParts(h)
			return false
		}
		h.parts = append(h.parts, k)
		c.n++
		c.list = append(c.list, k)
		s.holder.bytes += int64(k.task.size())
	}
	for _, k := range slices.Backward(h.parts) {
		s.enqueue(k, true)
	}
	return true
}

// partsTaken makes the parts of a task what others are: the owner knows them.
func (s *Scheduler) partsTaken(h *held) {
	for _, k := range h.parts {
		if !k.provisional {
			continue // gone
		}
		s.holder.queue.unbind(k)
		s.victim.surplus = true
		if r := k.parked; r != nil {
			s.unpark(k)
			s.post(k, r)
		}
	}
	h.parts = nil
}

// dropParts forgets the parts of a task whose division the owner has no use for.
func (s *Scheduler) dropParts(h *held) {
	for _, k := range h.parts {
		s.dropPart(k)
	}
	h.parts = nil
}

// dropPart forgets one provisional part, and what it was divided into.
func (s *Scheduler) dropPart(k *held) {
	if !k.provisional {
		return // gone by itself
	}
	s.dropParts(k)
	s.unpark(k)
	s.stats.Dropped++
	s.unhold(k)
	s.release(k)
}

// park keeps the result of a provisional part until its owner knows of it.
func (s *Scheduler) park(k *held, r *Result) {
	k.parked = r
	s.holder.outbox += int64(r.size())
}

func (s *Scheduler) unpark(k *held) {
	if k.parked != nil {
		s.holder.outbox -= int64(k.parked.size())
		k.parked = nil
	}
}

// refusedIn reports whether an acknowledgement names an attempt among those
// whose division does not count.
func refusedIn(refs []Ref, r *Result) bool {
	return slices.ContainsFunc(refs, func(x Ref) bool {
		return x.Attempt == r.Attempt && x.Task == r.Task
	})
}
