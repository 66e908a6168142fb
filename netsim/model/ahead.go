package model

import (
	"runtime"
	"time"

	"github.com/chorus-net/chorus/netsim/ahead"
)

const (
	aheadRoom  = 256 // turns of which cores are called ahead at most
	fewPeers   = 500 // have too little to do at a time for more than one goroutine
	maxHelpers = 4   // the world itself takes a fourth of the time, and only one can have it
)

// helpersFor returns how many goroutines are to call the cores of so many peers.
func helpersFor(peers int) int {
	if peers < fewPeers {
		return 1
	}
	return min(runtime.GOMAXPROCS(0), maxHelpers)
}

// runAhead does what run does, with the same result to the bit, and sooner where several
// processors have time. Events of different peers that lie less apart than a message takes
// cannot affect each other but through the world. So the cores are called ahead by several
// goroutines, one turn a peer at a time, and the world sees what they answered in the
// order of events. What is no turn of a peer waits until all before it are over.
func (w *World) runAhead(until time.Duration) {
	line := ahead.New(aheadRoom, w.helpers, func(t *turn) { t.call(w) })
	defer line.Close()
	last := w.now
	for w.err == nil {
		w.fill(line, &last, until)
		if line.Len() == 0 {
			e, ok := w.queue.pop(until)
			if !ok {
				return
			}
			w.happens(&e)
			continue
		}
		t := line.Head()
		if e := w.queue.peek(t.at - 1); e != nil { // the last turn has put it before those that are filed
			e := w.queue.take()
			w.happens(&e)
			continue
		}
		line.First()
		w.now = t.at
		w.settle(t)
		t.to.ahead = false
		line.Drop()
	}
}

// fill files the turns that may be taken ahead. last is when that of the last one is.
func (w *World) fill(line *ahead.Line[turn], last *time.Duration, until time.Duration) {
	horizon := until
	for !line.Full() {
		if line.Len() > 0 {
			horizon = min(until, line.Head().at+w.Net.MinDelay-1)
		}
		e := w.queue.peek(horizon)
		if e == nil || e.kind == eventDo || e.to == nil || e.to.ahead || line.Len() > 0 && e.at < *last {
			return
		}
		e.to.ahead = true
		*last = e.at
		line.Put(turn{event: w.queue.take()})
	}
}
