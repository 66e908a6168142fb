package model

import (
	"cmp"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// event is something that happens at a moment. Those of one moment happen in
// the order in which they were pushed.
type event struct {
	at     time.Duration
	serial uint64
	kind   eventKind
	life   int32 // of the peer, or of the sender: events of an earlier life go nowhere
	to     *Peer
	from   *Peer          // sender of the message, or who cannot be reached
	m      *chord.Message // that arrives
	do     func()
}

// eventKind says what an event is.
type eventKind uint8

const (
	eventDo          eventKind = iota // do is called
	eventMessage                      // m arrives
	eventTick                         // the clock of a peer ticks
	eventUnreachable                  // a peer learns that it cannot reach another
)

func (e *event) compare(o *event) int {
	if c := cmp.Compare(e.at, o.at); c != 0 {
		return c
	}
	return cmp.Compare(e.serial, o.serial)
}

// events is a queue: a wheel of spans, each with the events of one stretch of
// time, and a heap of those beyond the wheel's turn. A span is put in order when its
// time comes.
type events struct {
	wheel  [wheelSpans][]event
	span   int64 // the one under way
	next   int   // of its events the next one
	near   int   // events in the wheel
	far    heap
	spare  [][]event // emptied spans
	serial uint64
}

const (
	spanBits   = 20 // a span is 2^20 ns, about a millisecond
	wheelSpans = 1 << 13
)

func spanOf(at time.Duration) int64 { return int64(at) >> spanBits }

// push puts an event in, and numbers it.
func (q *events) push(e event) {
	q.serial++
	e.serial = q.serial
	switch span := spanOf(e.at); {
	case span >= q.span+wheelSpans:
		q.far.push(e)
		return
	case span > q.span:
		q.file(span, e)
	default: // the span under way is in order
		now := q.wheel[q.span%wheelSpans]
		i, _ := slices.BinarySearchFunc(now[q.next:], e, func(a, b event) int { return a.compare(&b) })
		q.wheel[q.span%wheelSpans] = slices.Insert(now, q.next+i, e)
	}
	q.near++
}

// file puts an event into a span to come.
func (q *events) file(span int64, e event) {
	s := &q.wheel[span%wheelSpans]
	if *s == nil && len(q.spare) > 0 {
		*s = q.spare[len(q.spare)-1]
		q.spare = q.spare[:len(q.spare)-1]
	}
	*s = append(*s, e)
}

// pop takes out the next event if it comes at the given time or before.
func (q *events) pop(until time.Duration) (event, bool) {
	if q.peek(until) == nil {
		return event{}, false
	}
	return q.take(), true
}

// peek returns the next event if it comes at the given time or before, nil otherwise.
// It may be read until the queue is used again.
func (q *events) peek(until time.Duration) *event {
	for {
		now := q.wheel[q.span%wheelSpans]
		if q.next < len(now) {
			if e := &now[q.next]; e.at <= until {
				return e
			}
			return nil
		}
		if q.span >= spanOf(until) {
			return nil
		}
		q.turn(spanOf(until))
	}
}

// take takes out the event that peek has returned.
func (q *events) take() event {
	e := &q.wheel[q.span%wheelSpans][q.next]
	taken := *e
	*e = event{}
	q.next++
	q.near--
	return taken
}

// turn goes on to the next span, or over a wheel that is empty at one time, but
// not beyond limit.
func (q *events) turn(limit int64) {
	if now := q.wheel[q.span%wheelSpans]; now != nil {
		q.spare = append(q.spare, now[:0])
		q.wheel[q.span%wheelSpans] = nil
	}
	q.next = 0
	q.span++
	if q.near == 0 {
		q.span = limit
		if len(q.far) > 0 {
			q.span = min(limit, spanOf(q.far[0].at))
		}
	}
	for len(q.far) > 0 && spanOf(q.far[0].at) < q.span+wheelSpans {
		e := q.far.pop()
		q.file(spanOf(e.at), e)
		q.near++
	}
	slices.SortFunc(q.wheel[q.span%wheelSpans], func(a, b event) int { return a.compare(&b) })
}

// heap holds events, the next one first.
type heap []event

func (h *heap) push(e event) {
	q := append(*h, e)
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if e.compare(&q[parent]) > 0 {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = e
	*h = q
}

func (h *heap) pop() event {
	q := *h
	next, last := q[0], q[len(q)-1]
	q[len(q)-1] = event{}
	q = q[:len(q)-1]
	i := 0
	for len(q) > 0 {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1].compare(&q[child]) < 0 {
			child++
		}
		if q[child].compare(&last) > 0 {
			break
		}
		q[i] = q[child]
		i = child
	}
	if len(q) > 0 {
		q[i] = last
	}
	*h = q
	return next
}
