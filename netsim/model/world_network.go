package model

import (
	"time"

	"github.com/chorus-net/chorus/chord"
)

// Network says what happens to messages.
type Network struct {
	MinDelay, MaxDelay time.Duration // each message takes its own time in this range
	// Latency, if set, is added to the time that a message from a to b takes.
	Latency   func(a, b *Peer) time.Duration
	Loss      float64 // share of messages that vanish
	Duplicate float64 // share that arrives twice
	// Evidence: senders learn that a peer is unreachable from lost and refused
	// connections.
	Evidence bool
	// Side, if set, splits the network: messages pass only between peers of the
	// same side.
	Side func(*Peer) int
}

// connected reports whether no split lies between two peers.
func (w *World) connected(a, b *Peer) bool {
	return w.Net.Side == nil || w.Net.Side(a) == w.Net.Side(b)
}

// unreachable lets a peer know after a while that it cannot reach another.
func (w *World) unreachable(at, other *Peer) {
	if !w.Net.Evidence || !at.Up() || !w.connected(at, other) {
		return
	}
	w.queue.push(event{
		at: w.now + max(w.delay(), at.awake-w.now), kind: eventUnreachable, to: at, life: at.life, from: other,
	})
}

// count adds up what messages take.
func (w *World) count(from *Peer, ms []chord.Message, bytes int) {
	w.Messages += uint64(len(ms))
	w.Bytes += uint64(bytes)
	if w.OnMessage != nil {
		for i := range ms {
			w.OnMessage(from, &ms[i])
		}
	}
}

// post puts a message on the network.
func (w *World) post(from *Peer, m *chord.Message) {
	to := w.find(m.To)
	copies := 1
	if w.chance(w.Net.Duplicate) {
		copies = 2
		w.Doubled++
	}
	for range copies {
		if w.chance(w.Net.Loss) {
			w.Lost++
			w.traceMessage("lost", from, m)
			continue
		}
		delay := w.delay()
		if w.Net.Latency != nil && to != nil {
			delay += w.Net.Latency(from, to)
		}
		w.order(from, to, w.now+delay)
		w.queue.push(event{at: w.now + delay, kind: eventMessage, to: to, from: from, life: from.life, m: w.keep(m)})
	}
}

// order counts a message that overtakes an earlier one.
func (w *World) order(from, to *Peer, at time.Duration) {
	if w.latest == nil || to == nil {
		return
	}
	pair := [2]int{from.Number, to.Number}
	if w.latest[pair] > at {
		w.overtaken++
	}
	w.latest[pair] = max(w.latest[pair], at)
}

// keep returns a copy of a message for the time that it is under way.
func (w *World) keep(m *chord.Message) *chord.Message {
	if len(w.idle) == 0 {
		w.idle = append(w.idle, new(chord.Message))
	}
	kept := w.idle[len(w.idle)-1]
	w.idle = w.idle[:len(w.idle)-1]
	*kept = *m
	return kept
}

// deliver lets a message arrive.
func (w *World) deliver(t *turn) {
	from, to, m := t.from, t.to, t.m
	if to != nil && to.Up() && to.awake > w.now && w.connected(from, to) {
		t.at = to.awake
		w.queue.push(t.event)
		return
	}
	switch {
	case to == nil || !w.connected(from, to):
		w.Lost++
	case t.called:
		if w.Net.Evidence && from.Up() && from.life == t.life {
			if to.met.add(from.Number) {
				from.met.add(to.Number)
			}
		}
		w.traceMessage("", from, m)
		w.done(to, t.out, t.bytes)
	default:
		w.traceMessage("to nobody", from, m)
		if from.life == t.life {
			w.unreachable(from, to)
		}
	}
	*m = chord.Message{}
	w.idle = append(w.idle, m)
}

func (w *World) delay() time.Duration {
	return w.Net.MinDelay + time.Duration(w.rng.Int64N(int64(w.Net.MaxDelay-w.Net.MinDelay)+1))
}

func (w *World) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }
