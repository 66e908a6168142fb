package disk

import (
	"context"
	"errors"
	"sync"

	"github.com/chorus-net/chorus/store"
)

// The queue's bounds: what may wait for the disk.
const (
	maxQueued      = 16 << 10
	maxQueuedBytes = 64 << 20
)

type kind uint8

const (
	putRecord    kind = iota // if it is newer than what is held
	putValue                 // of a shard's state or of Meta
	eraseValue               // of a promise, or of Meta
	stepRegister             // has it answer, and keeps what that changes
	remove                   // a record, if it is of that version
	barrier                  // nothing: answered when all before is on disk
)

// request is one change on its way through the queue.
type request struct {
	kind    kind
	shard   store.ShardID
	key     string
	value   []byte        // owned by the request
	record  store.View    // of value, for putRecord
	version store.Version // for remove

	cas   *store.CASRequest // for stepRegister
	reply *store.CASReply   // to cas

	outcome Outcome
	err     error
	done    chan struct{} // receives once, when outcome and err are set
}

func (r *request) size() int {
	n := len(r.key) + len(r.value) + opOverhead
	if r.cas != nil {
		n += len(r.key) + len(r.cas.State.Value) + casOverhead
	}
	return n
}

// casOverhead is more than what a register, its record and a promise take beside
// their keys and the value.
const casOverhead = 512

var requests = sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }}

// maxKeptBuffer bounds the buffers that wait in the pool.
const maxKeptBuffer = 64 << 10

// newRequest takes over a copy of value.
func newRequest(k kind, shard store.ShardID, key string, value []byte) *request {
	r := requests.Get().(*request)
	r.kind, r.shard, r.key = k, shard, key
	r.value = append(r.value[:0], value...)
	return r
}

func (r *request) recycle() {
	if cap(r.value) > maxKeptBuffer {
		r.value = nil
	}
	*r = request{value: r.value[:0], done: r.done}
	requests.Put(r)
}

// queue hands requests to the committer, in order. Any goroutine pushes.
type queue struct {
	mu     sync.Mutex
	list   []*request
	head   int // list[:head] was taken
	bytes  int
	closed bool
	wake   chan struct{} // holds a token when the committer should look
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// push appends requests, and tells how many it took before it had to refuse one.
func (q *queue) push(requests ...*request) (taken int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.signal()
	for _, r := range requests {
		switch {
		case q.closed:
			return taken, ErrClosed
		case len(q.list)-q.head >= maxQueued || q.bytes+r.size() > maxQueuedBytes:
			return taken, ErrBusy
		}
		q.list = append(q.list, r)
		q.bytes += r.size()
		taken++
	}
	return taken, nil
}

// take moves what fits one group to group. It reports false when the queue is
// closed and empty.
func (q *queue) take(group []*request) ([]*request, bool) {
	for {
		q.mu.Lock()
		size := 0
		for q.head < len(q.list) && len(group) < maxGroupOps {
			r := q.list[q.head]
			if size += r.size(); size > maxGroupBytes && len(group) > 0 {
				break
			}
			q.list[q.head] = nil
			q.head++
			q.bytes -= r.size()
			group = append(group, r)
		}
		if q.head == len(q.list) {
			q.list, q.head = q.list[:0], 0
		}
		closed := q.closed
		q.mu.Unlock()
		if len(group) > 0 || closed {
			return group, len(group) > 0
		}
		<-q.wake
	}
}

// close refuses what comes from now on. What waits is still taken, or dropped.
func (q *queue) close(drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if drop {
		for _, r := range q.list[q.head:] {
			r.err = ErrClosed
			r.done <- struct{}{}
		}
		q.list, q.head, q.bytes = nil, 0, 0
	}
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Ticket stands for a change that has its place in the queue.
type Ticket struct{ r *request }

// Wait returns when the change is on disk, or failed. It is called once. When
// ctx ends first the change may still happen.
func (t *Ticket) Wait(ctx context.Context) (Outcome, error) {
	r := t.r
	if r == nil {
		return Outcome{}, errors.New("wait for a ticket twice")
	}
	t.r = nil
	select {
	case <-r.done:
	case <-ctx.Done():
		return Outcome{}, ctx.Err() // the committer has r: it is not recycled
	}
	outcome, err := r.outcome, r.err
	r.recycle()
	return outcome, err
}
