package drive

import (
	"context"
	"sync/atomic"
	"time"
)

// keepInbox bounds the spare buffer that a loop keeps after a burst.
const keepInbox = 1024

func (l *Loop[C, In, Out]) run() {
	defer close(l.done)
	var (
		batch    []item[C, In, Out]
		lastTick time.Time
		alarm    = newAlarm()
	)
	defer alarm.stop()
	alarm.set(l.core.Deadline(), time.Now())
	for {
		select {
		case <-l.quit:
			return
		case <-l.wake:
		case <-alarm.C():
			alarm.fired()
		}
		batch = l.take(batch)
		for i := range batch {
			if l.stopped() {
				return
			}
			l.handle(&batch[i])
		}
		clear(batch) // let go of messages and closures

		now, due := time.Now(), l.core.Deadline()
		if !due.IsZero() && !due.After(now) && now.Sub(lastTick) >= l.cfg.MinTick {
			lastTick = now
			l.ticks.Add(1)
			l.out(l.core.Tick(now))
			due = l.core.Deadline()
		}
		if least := lastTick.Add(l.cfg.MinTick); !due.IsZero() && due.Before(least) {
			due = least
		}
		alarm.set(due, now)
	}
}

// take swaps the inbox for the empty buffer and returns what had arrived.
func (l *Loop[C, In, Out]) take(buf []item[C, In, Out]) []item[C, In, Out] {
	if cap(buf) > keepInbox {
		buf = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.inbox
	l.inbox, l.msgs = buf[:0], 0
	return batch
}

func (l *Loop[C, In, Out]) handle(it *item[C, In, Out]) {
	switch j := it.job; {
	case j == nil:
		l.steps.Add(1)
		l.out(l.core.Step(time.Now(), it.in))
	case j.claim():
		if j.query != nil {
			j.query(l.core)
		} else {
			l.out(j.act(l.core, time.Now()))
		}
		close(j.ran)
	}
}

func (l *Loop[C, In, Out]) stopped() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}

// job is one call of Do or Act; exactly one of query and act is set. It is
// claimed once: by the loop that runs it, or by the caller that gave up.
type job[C, Out any] struct {
	query   func(C)
	act     func(C, time.Time) Out
	claimed atomic.Bool
	ran     chan struct{}
}

func (j *job[C, Out]) claim() bool { return j.claimed.CompareAndSwap(false, true) }

func (l *Loop[C, In, Out]) call(ctx context.Context, j *job[C, Out]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.ran = make(chan struct{})
	if err := l.enqueue(item[C, In, Out]{job: j}); err != nil {
		return err
	}
	var err error
	select {
	case <-j.ran:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.done:
		err = ErrClosed
	}
	if j.claim() {
		return err
	}
	<-j.ran // it runs or has run: it never blocks, and its effects are the caller's
	return nil
}
