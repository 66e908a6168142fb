package compute

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// ward is an owner of a job of 40 tasks that other peers lie to.
type ward struct {
	t    *testing.T
	s    *Scheduler
	now  time.Time
	job  ID
	seq  uint64
	send []Message // of the latest step
}

func newWard(t *testing.T, slots int) *ward {
	w := &ward{t: t, now: time.Unix(1, 0)}
	s, err := New(Config{Self: "o", Session: 1, Slots: slots, Funcs: []string{"f/v1"}}, w.now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	w.s = s
	spec := Spec{Code: Code{Func: "f/v1"}, Inputs: make([][]byte, 40), Limits: Limits{Time: time.Second}}
	if w.job, _, err = s.Submit(w.now, spec); err != nil {
		t.Fatal(err)
	}
	return w
}

// step has the owner hear a message.
func (w *ward) step(from chord.PeerID, m Message) {
	w.t.Helper()
	w.seq++
	m.From, m.To, m.Session, m.Seq, m.Load = from, "o", 1, w.seq, Load{Peer: from, Seq: w.seq}
	out, err := w.s.Step(w.now, m)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.s.check(); err != nil {
		w.t.Fatal(err)
	}
	w.send = out.Send
}

// steal returns what a peer is given, which it takes.
func (w *ward) steal(from chord.PeerID, room int) (given []Task) {
	w.t.Helper()
	w.step(from, Message{Kind: KindSteal, Funcs: []string{"f/v1"}, Room: uint32(room), RoomBytes: 1 << 20})
	for _, m := range w.send {
		if m.Kind == KindGive && m.Seq != 0 {
			given = append(given, m.Tasks...)
			out, err := w.s.Step(w.now, Message{From: from, To: "o", Session: 1, Kind: KindTaken, Seq: m.Seq})
			if err != nil {
				w.t.Fatal(err, out)
			}
		}
	}
	return given
}

// hold has a peer report tasks each Renew for a while.
func (w *ward) hold(from chord.PeerID, refs []Ref, d time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(w.s.cfg.Renew) {
		w.s.Tick(w.now)
		w.step(from, Message{Kind: KindHold, Refs: refs})
	}
}

func (w *ward) away() int {
	st, _ := w.s.Job(w.job)
	return st.Away
}

// refs names all tasks of the job, and whoever knows its ID can.
func (w *ward) refs(hop uint32, running bool) (refs []Ref) {
	for i := range uint32(40) {
		refs = append(refs, Ref{Task: TaskID(w.job, ID{}, i), Attempt: 1, Hop: hop, Running: running})
	}
	return refs
}

// TestHoardedByName: who names tasks that it was not given has none of them.
func TestHoardedByName(t *testing.T) {
	for _, hop := range []uint32{1, 2, 17, 1 << 31, math.MaxUint32} {
		w := newWard(t, 2)
		given := w.steal("liar", 1)
		if len(given) != 1 {
			t.Fatalf("%d tasks given, want 1", len(given))
		}
		w.step("liar", Message{Kind: KindHold, Refs: w.refs(hop, true)})
		if n := w.away(); n != 1 {
			t.Errorf("by hop %d it has %d tasks, and was given 1", hop, n)
		}
		w.step("other", Message{Kind: KindHold, Refs: w.refs(1<<31, true)})
		if o := w.s.owner.tasks[given[0].ID]; o.at == nil || o.at.id != "liar" {
			t.Errorf("a third peer has by its word what was given to another, by more hops than there are")
		}
	}
}

// finish has a peer steal and end tasks until there are no more.
func (w *ward) finish(from chord.PeerID) {
	w.t.Helper()
	for {
		given := w.steal(from, 100)
		if len(given) == 0 {
			return
		}
		m := Message{Kind: KindResult}
		for _, task := range given {
			m.Results = append(m.Results, Result{Task: task.ID, Attempt: task.Attempt, Output: []byte{1}})
		}
		w.step(from, m)
	}
}

// TestHoarded: a peer that goes on to report what it was given does not keep it for ever:
// neither what it says it runs, nor what it says waits there while others have nothing to do.
func TestHoarded(t *testing.T) {
	for _, running := range []bool{true, false} {
		w := newWard(t, -1)
		given := w.steal("liar", 1)
		if len(given) != 1 {
			t.Fatalf("%d tasks given, want 1", len(given))
		}
		o := w.s.owner.tasks[given[0].ID]
		w.finish("honest")
		ref := given[0].ref()
		if !running {
			w.hold("liar", []Ref{ref}, 3*time.Minute)
			if o.task.Attempt != 1 || o.at == nil {
				t.Errorf("a task that waits elsewhere was taken back although nobody was idle")
			}
			w.step("honest", Message{Kind: KindLoad, Register: true, Funcs: []string{"f/v1"}})
		}
		for i := range 4 { // by turns it says what is not so, which makes it no younger
			ref.Running = running && i%2 == 0
			w.hold("liar", []Ref{ref}, 30*time.Second)
		}
		if o.task.Attempt != 2 || o.at != nil {
			t.Fatalf("running %v: the liar keeps attempt %d", running, o.task.Attempt)
		}
		if again := w.steal("liar", 1); len(again) > 0 && running {
			t.Error("the liar was given the task anew at once")
		}
		w.finish("honest")
		if st, _ := w.s.Job(w.job); st.State != JobDone || st.Done != 40 {
			t.Errorf("running %v: %+v", running, st)
		}
		p := w.s.peers.get("liar")
		if p.hoards != running {
			t.Errorf("running %v: known as one that hoards: %v", running, p.hoards)
		}
	}
}

// TestHoarderIsNotBelieved: who kept a task too long gets no other by its word.
func TestHoarderIsNotBelieved(t *testing.T) {
	w := newWard(t, -1)
	given := w.steal("honest", 1)
	ref := Ref{Task: given[0].ID, Attempt: 1, Hop: given[0].Hop + 1}
	o := w.s.owner.tasks[ref.Task]
	w.step("liar", Message{Kind: KindHold, Refs: []Ref{ref}})
	if o.at.id != "liar" {
		t.Fatal("a thief of a thief is not believed")
	}
	w.s.peers.get("liar").hoards = true
	w.s.setState(o, TaskAway, w.s.peers.get("honest"))
	ref.Hop++
	w.step("liar", Message{Kind: KindHold, Refs: []Ref{ref}})
	if o.at.id != "honest" {
		t.Error("who hoards has a task by its word")
	}
}
