package compute

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// lone is a scheduler that a test sends messages to by hand.
type lone struct {
	t   *testing.T
	s   *Scheduler
	now time.Time
}

func newLone(t *testing.T, self chord.PeerID) *lone {
	t.Helper()
	now := time.Unix(1, 0)
	s, err := New(Config{Self: self, Session: 1, Slots: 2, Funcs: []string{"f/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return &lone{t, s, now}
}

// step hands a message in, a millisecond later.
func (l *lone) step(m Message) Output {
	l.t.Helper()
	l.now = l.now.Add(time.Millisecond)
	m.To, m.Session, m.Load.Peer = l.s.cfg.Self, 1, m.From
	out, err := l.s.Step(l.now, m)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.s.check(); err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l *lone) ran(r Result) Output {
	l.now = l.now.Add(time.Millisecond)
	return l.s.Ran(l.now, r)
}

func given(out Output) (tasks []Task) {
	for _, m := range out.Send {
		if m.Kind == KindGive {
			tasks = append(tasks, m.Tasks...)
		}
	}
	return tasks
}

// Who stole one task of a job can name the others. It does not have them for that.
func TestClaimsOfWhatNeverLeft(t *testing.T) {
	l := newLone(t, "owner")
	const n = 40
	job, _, err := l.s.Submit(l.now, Spec{Code: Code{Func: "f/v1"}, Inputs: make([][]byte, n)})
	if err != nil {
		t.Fatal(err)
	}
	out := l.step(Message{Kind: KindSteal, From: "liar", Seq: 1, Load: Load{Seq: 1}, Funcs: []string{"f/v1"}, Room: 1, RoomBytes: 1 << 20})
	if got := len(given(out)); got != 1 {
		t.Fatalf("%d tasks were given, with room for one", got)
	}
	var refs []Ref
	for i := range uint32(n) {
		refs = append(refs, Ref{Task: TaskID(job, ID{}, i), Attempt: 1, Hop: 1 << 31, Running: true})
	}
	l.step(Message{Kind: KindHold, From: "liar", Seq: 2, Refs: refs})
	if st, _ := l.s.Job(job); st.Away != 1 {
		t.Errorf("%d tasks are away by the word of a peer that was given one", st.Away)
	}
}

// A task that came back was stopped by its owner's word, and its run has not ended yet; the copy kept
// of it does not start the same attempt a second time.
func TestReclaimWaitsForNoStoppedRun(t *testing.T) {
	l := newLone(t, "victim")
	task := func(i uint32) Task {
		return Task{ID: TaskID(ID{1}, ID{}, i), Job: ID{1}, Index: i, Code: Code{Func: "f/v1"}, Owner: "owner", Attempt: 1, Hop: 1}
	}
	all := []Task{task(0), task(1), task(2), task(3)}
	l.step(Message{Kind: KindGive, From: "owner", Seq: 5, Load: Load{Seq: 1}, Tasks: all})
	tasks := given(l.step(Message{Kind: KindSteal, From: "thief", Seq: 1, Load: Load{Seq: 1}, Funcs: []string{"f/v1"}, Room: 10, RoomBytes: 1 << 20}))
	if len(tasks) == 0 {
		t.Fatal("nothing was given")
	}
	moved := tasks[0]
	moved.Hop++
	l.step(Message{Kind: KindGive, From: "thief", Seq: 9, Load: Load{Seq: 2}, Tasks: []Task{moved}})
	for range all { // until it is the only one that runs here
		for _, x := range all {
			if r := (run{x.ID, 1}); x.ID != moved.ID && l.s.holder.running[r] != nil {
				l.ran(Result{Task: x.ID, Attempt: 1})
			}
		}
	}
	if l.s.holder.running[run{moved.ID, 1}] == nil {
		t.Fatal("what came back does not run")
	}
	out := l.step(Message{Kind: KindHeld, From: "owner", Seq: 77, Refs: []Ref{{Task: moved.ID, Attempt: 1, Hop: moved.Hop}}})
	if len(out.Stop) != 1 {
		t.Fatalf("stopped %v", out.Stop)
	}
	l.now = l.now.Add(time.Millisecond)
	out = l.s.PeerDown(l.now, "thief")
	for _, x := range out.Run {
		t.Errorf("task %d starts while the stopped run has its worker", x.Index)
	}
	out = l.ran(Result{Task: moved.ID, Attempt: 1, Err: "stopped"})
	l.now = l.now.Add(10 * time.Millisecond)
	for _, m := range append(out.Send, l.s.Tick(l.now).Send...) {
		for _, r := range m.Results {
			if r.Task == moved.ID {
				t.Errorf("the owner is told %q of the run that it had stopped", r.Err)
			}
		}
	}
}
