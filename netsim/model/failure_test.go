package model

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// sum adds up what the cores that run have counted.
func (w *World) sum() (s chord.Stats) {
	for _, p := range w.Members() {
		c := p.Ring.Stats()
		s.Suspected += c.Suspected
		s.Vetted += c.Vetted
		s.Vouched += c.Vouched
		s.Overslept += c.Overslept
		s.Evicted += c.Evicted
		s.Readmitted += c.Readmitted
	}
	return s
}

// trustful reports whether nobody suspects anybody.
func (w *World) trustful() bool {
	for _, p := range w.Members() {
		for _, q := range w.peers {
			if p.Ring.View().Suspect(q.Record.ID) {
				return false
			}
		}
	}
	return true
}

// TestLossEvictsNobody loses one message in twenty for an hour.
func TestLossEvictsNobody(t *testing.T) {
	lasts := time.Hour
	if testing.Short() {
		lasts = 5 * time.Minute
	}
	w := formed(t, 10, 4, 3*time.Second)
	w.Net.Loss = 0.05
	if err := w.Run(lasts); err != nil {
		t.Fatal(err)
	}
	s := w.sum()
	t.Logf("%d messages, %d lost: %+v", w.Messages, w.Lost, s)
	if s.Evicted != 0 {
		t.Errorf("%d of the living were evicted", s.Evicted)
	}
	if s.Suspected == 0 || s.Vouched == 0 {
		t.Errorf("%d suspected, %d vouched for: the loss was not felt", s.Suspected, s.Vouched)
	}
}

// TestPause stops a peer, as SIGSTOP does. For 5 s nobody evicts it; for longer
// each evicts it once. It itself evicts nobody, and is back at once.
func TestPause(t *testing.T) {
	for _, c := range []struct {
		stopped time.Duration
		evicted uint64 // by the others
	}{
		{time.Second, 0},
		{5 * time.Second, 0},
		{30 * time.Second, 11},
	} {
		t.Run(c.stopped.String(), func(t *testing.T) {
			w := formed(t, 12, 4, 3*time.Second)
			before := w.sum()
			stopped := w.peers[3]
			w.Pause(stopped, c.stopped)
			if err := w.Run(c.stopped); err != nil {
				t.Fatal(err)
			}
			w.await(t, "one ring", time.Second, func() bool { return w.Agreed() && w.trustful() })
			if err := w.Run(time.Minute); err != nil {
				t.Fatal(err)
			}
			s := w.sum()
			t.Logf("%+v", s)
			if got := s.Evicted - before.Evicted; got != c.evicted {
				t.Errorf("%d evictions, want %d", got, c.evicted)
			}
			if got := stopped.Ring.Stats(); got.Evicted != 0 || got.Overslept != 1 {
				t.Errorf("the one that was stopped: %+v", got)
			}
			if !w.trustful() || w.Converged() != nil {
				t.Error("the ring is not whole after a minute")
			}
		})
	}
}

// TestPauseOfMany stops half of a ring at once: nobody is evicted, least of all
// by those that were stopped.
func TestPauseOfMany(t *testing.T) {
	w := formed(t, 12, 4, 3*time.Second)
	for _, p := range w.peers[:6] {
		w.Pause(p, 5*time.Second)
	}
	if err := w.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	if s := w.sum(); s.Evicted != 0 || !w.trustful() || w.Converged() != nil {
		t.Errorf("after a minute: %+v, %v", s, w.Converged())
	}
}
