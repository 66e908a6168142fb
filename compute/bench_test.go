package compute

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// BenchmarkLocal is what the core adds to a task that is submitted, run and
// finished at one peer, in jobs of n tasks.
func BenchmarkLocal(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			now := time.Unix(1, 0)
			s := benchScheduler(b, "a", now)
			inputs := make([][]byte, n)
			done := 0
			for b.Loop() {
				_, out, err := s.Submit(now, Spec{Code: Code{Func: "f/v1"}, Inputs: inputs})
				if err != nil {
					b.Fatal(err)
				}
				runs := out.Run
				for len(runs) > 0 {
					t := runs[0]
					runs = append(runs[1:], s.Ran(now, Result{Task: t.ID, Attempt: t.Attempt, Elapsed: time.Microsecond}).Run...)
					done++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(done), "ns/task")
		})
	}
}

// BenchmarkStolen is what two cores add together when one submits and the
// other does half, messages handed over at once.
func BenchmarkStolen(b *testing.B) {
	now := time.Unix(1, 0)
	cores := map[chord.PeerID]*Scheduler{"a": benchScheduler(b, "a", now), "b": benchScheduler(b, "b", now)}
	var msgs []Message
	type start struct {
		at *Scheduler
		t  Task
	}
	var runs []start
	messages, done := 0, 0
	apply := func(s *Scheduler, out Output) {
		messages += len(out.Send)
		msgs = append(msgs, out.Send...)
		for _, t := range out.Run {
			runs = append(runs, start{s, t})
		}
	}
	apply(cores["a"], cores["a"].SetPeers(now, []Neighbor{{ID: "b", Lifeline: true}}))
	apply(cores["b"], cores["b"].SetPeers(now, []Neighbor{{ID: "a", Lifeline: true}}))
	inputs := make([][]byte, 1000)
	for b.Loop() {
		_, out, err := cores["a"].Submit(now, Spec{Code: Code{Func: "f/v1"}, Inputs: inputs})
		if err != nil {
			b.Fatal(err)
		}
		apply(cores["a"], out)
		for len(msgs)+len(runs) > 0 {
			now = now.Add(20 * time.Microsecond)
			if len(msgs) > 0 {
				m := msgs[0]
				msgs = msgs[1:]
				out, err := cores[m.To].Step(now, m)
				if err != nil {
					b.Fatal(err)
				}
				apply(cores[m.To], out)
			}
			for range min(len(runs), 4) {
				r := runs[0]
				runs = runs[1:]
				apply(r.at, r.at.Ran(now, Result{Task: r.t.ID, Attempt: r.t.Attempt, Elapsed: time.Millisecond}))
				done++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(done), "ns/task")
	b.ReportMetric(float64(messages)/float64(done), "msgs/task")
}

// BenchmarkTick is an idle peer that knows n others.
func BenchmarkTick(b *testing.B) {
	for _, n := range []int{4, 64, 1000} {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			now := time.Unix(1, 0)
			s := benchScheduler(b, "a", now)
			var ns []Neighbor
			for i := range n {
				ns = append(ns, Neighbor{ID: chord.PeerID(fmt.Sprint(i)), Lifeline: true})
			}
			s.SetPeers(now, ns)
			for b.Loop() {
				s.Tick(now)
			}
		})
	}
}

func benchScheduler(b *testing.B, id chord.PeerID, now time.Time) *Scheduler {
	s, err := New(Config{Self: id, Slots: 2, Funcs: []string{"f/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		b.Fatal(err)
	}
	return s
}
