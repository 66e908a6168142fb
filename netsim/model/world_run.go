package model

import (
	"time"

	"github.com/chorus-net/chorus/chord"
)

// After calls do once the time has passed.
func (w *World) After(d time.Duration, do func()) {
	w.queue.push(event{at: w.now + d, kind: eventDo, do: do})
}

// Run lets time pass and returns the first error of AfterStep.
func (w *World) Run(d time.Duration) error {
	until := w.now + d
	if w.helpers > 1 && w.AfterStep == nil {
		w.runAhead(until)
	} else {
		w.run(until)
	}
	if w.err == nil {
		w.now = until
	}
	return w.err
}

// run lets what is to come until then happen, one after another.
func (w *World) run(until time.Duration) {
	for w.err == nil {
		e, ok := w.queue.pop(until)
		if !ok {
			break
		}
		w.happens(&e)
	}
}

// happens does what an event says.
func (w *World) happens(e *event) {
	w.now = e.at
	if e.kind == eventDo {
		e.do()
		return
	}
	t := turn{event: *e}
	t.call(w)
	w.settle(&t)
}

// turn is an event of one peer, and what its core made of it.
type turn struct {
	event
	called bool // the core saw it
	out    chord.Output
	bytes  int // of the messages in out, if nobody tampers with them
}

// call lets the core see the event, if it does. It looks at nothing that can change
// before the event has its turn, as long as none of another peer has taken place that
// had more time than a message takes.
func (t *turn) call(w *World) {
	p, now := t.to, epoch.Add(t.at)
	if p == nil || !p.Up() {
		return
	}
	switch t.kind {
	case eventMessage:
		if t.called = p.awake <= t.at && w.connected(t.from, p); t.called {
			t.out = p.Ring.Step(now, *t.m)
		}
	case eventTick:
		if t.called = p.awake <= t.at && p.life == t.life && p.tickAt == t.at && !p.Ring.Deadline().After(now); t.called {
			t.out = p.Ring.Tick(now)
		}
	case eventUnreachable:
		if t.called = p.life == t.life; t.called {
			t.out = p.Ring.Unreachable(now, t.from.Record.ID)
		}
	case eventDo:
	}
	if w.Tamper == nil {
		t.bytes = wireBytes(t.out.Messages)
	}
}

// settle lets the world see what has happened.
func (w *World) settle(t *turn) {
	switch t.kind {
	case eventMessage:
		w.deliver(t)
	case eventTick:
		w.tick(t)
	case eventUnreachable:
		if t.called {
			w.done(t.to, t.out, t.bytes)
		}
	case eventDo:
	}
}

// RunUntil lets time pass until done holds, checked every step of the given
// length, and reports whether it came to hold within the limit.
func (w *World) RunUntil(limit, step time.Duration, done func() bool) (bool, error) {
	for end := w.now + limit; w.now < end; {
		if done() {
			return true, nil
		}
		if err := w.Run(step); err != nil {
			return false, err
		}
	}
	return done(), nil
}

// epoch is the wall-clock time of the start of every world.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *World) clock() time.Time { return epoch.Add(w.now) }

// handle handles what a call of a core outside of a turn returned.
func (w *World) handle(p *Peer, out chord.Output) {
	bytes := 0
	if w.Tamper == nil {
		bytes = wireBytes(out.Messages)
	}
	w.done(p, out, bytes)
}

// done handles what a call of a core returned. bytes are those of the messages, if
// nobody tampers with them.
func (w *World) done(p *Peer, out chord.Output, bytes int) {
	if w.Tamper != nil {
		out.Messages = w.tampered(p, out.Messages)
		bytes = wireBytes(out.Messages)
	}
	w.count(p, out.Messages, bytes)
	for i := range out.Messages {
		if w.OnSend != nil {
			w.OnSend(&out.Messages[i])
		}
		w.post(p, &out.Messages[i])
	}
	if out.Joined {
		p.joined = w.now
		w.owners.enter(p)
		w.moved()
		w.tracef("%s is a member", p)
	}
	if out.Refused != nil {
		w.tracef("%s refuses: %v", p, out.Refused)
	}
	for _, res := range out.Lookups {
		w.traceLookup(p, &res)
		if w.OnLookup != nil {
			w.OnLookup(p, res)
		}
	}
	w.schedule(p)
	if w.AfterCall != nil && w.err == nil {
		w.err = w.AfterCall(p.Ring)
	}
	if rev := p.Ring.Revision(); rev != p.seen {
		p.seen = rev
		w.traceState(p)
		if w.AfterStep != nil && w.err == nil {
			w.err = w.AfterStep()
		}
	}
}

// tampered returns what a peer sends of what its core wants to send.
func (w *World) tampered(p *Peer, ms []chord.Message) []chord.Message {
	sent := ms[:0]
	for _, m := range ms {
		if w.Tamper(p, &m) {
			sent = append(sent, m)
		}
	}
	return sent
}

// schedule makes sure that the peer's next tick comes in time.
func (w *World) schedule(p *Peer) {
	deadline := p.Ring.Deadline()
	if deadline.IsZero() {
		return
	}
	at := max(deadline.Sub(epoch), w.now)
	if p.tickAt > w.now && p.tickAt <= at {
		return // it comes early enough
	}
	p.tickAt = at
	w.queue.push(event{at: at, kind: eventTick, to: p, life: p.life})
}

// tick lets a peer do what has become due, unless another tick took the place of
// this one.
func (w *World) tick(t *turn) {
	p := t.to
	if p.life != t.life || p.Ring == nil || p.tickAt != t.at {
		return
	}
	p.tickAt = 0
	switch {
	case t.called:
		w.done(p, t.out, t.bytes)
	case p.awake <= w.now:
		w.schedule(p) // what was due is done
	}
}
