package compute

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// liar makes up messages that are well formed and false: they name tasks, jobs,
// numbers and peers that exist, in the wrong places.
type liar struct {
	rng   *rand.Rand
	seen  []Message // true ones
	jobs  []ID
	tasks []Task
	seqs  []uint64
}

func (l *liar) learn(m Message) {
	l.seen = append(l.seen, m)
	l.seqs = append(l.seqs, m.Seq, m.Re)
	l.tasks = append(l.tasks, m.Tasks...)
	if m.Job != (ID{}) {
		l.jobs = append(l.jobs, m.Job)
	}
}

func pick[T any](l *liar, from []T) (v T) {
	if len(from) > 0 {
		v = from[l.rng.IntN(len(from))]
	}
	return v
}

func (l *liar) message(peers []chord.PeerID) Message {
	r := l.rng
	m := Message{Kind: Kind(1 + r.IntN(int(KindReturn))), Seq: pick(l, l.seqs), Re: pick(l, l.seqs), Job: pick(l, l.jobs)}
	if r.IntN(2) == 0 {
		m = pick(l, l.seen)
	}
	m.From, m.To = pick(l, peers), pick(l, peers)
	m.Session = uint64(r.IntN(3)) // mostly stale
	if r.IntN(4) > 0 {
		m.Session = 1 << 62
	}
	m.Register, m.Busy, m.Pending, m.Unknown = r.IntN(3) == 0, r.IntN(3) == 0, r.IntN(3) == 0, r.IntN(3) == 0
	m.Room, m.RoomBytes = uint32(r.IntN(100)), uint64(r.IntN(1<<20))
	if r.IntN(2) == 0 {
		m.Funcs = []string{"work/v1"}
	}
	m.Load = Load{Peer: m.From, Seq: r.Uint64N(10), Lanes: []Lane{{Cap: "work/v1", Queued: r.Uint32(), Starved: r.IntN(2) == 0}}}
	for range r.IntN(3) {
		t := pick(l, l.tasks)
		if t.Attempt == 0 {
			t = Task{ID: TaskID(ID{}, ID{}, 0), Attempt: 1, Code: Code{Func: "work/v1"}, Owner: "x"}
		}
		t.Attempt, t.Hop = 1+uint32(r.IntN(3)), uint32(r.IntN(5))
		if r.IntN(3) == 0 {
			t.Owner = pick(l, peers)
		}
		m.Tasks = append(m.Tasks, t)
		m.Refs = append(m.Refs, Ref{Task: t.ID, Attempt: 1 + uint32(r.IntN(3)), Hop: uint32(r.IntN(5)), Running: r.IntN(2) == 0})
		m.Results = append(m.Results, Result{Task: t.ID, Attempt: 1 + uint32(r.IntN(3)), Crashed: r.IntN(4) == 0, Err: pick(l, []string{"", "bad"})})
		if r.IntN(3) == 0 {
			m.Results[len(m.Results)-1].Fork = make([][]byte, 1+r.IntN(3))
			m.Results[len(m.Results)-1].Kept = r.IntN(2) == 0
		}
	}
	return m
}

// TestRefuses: a thief does not take what it cannot run, or what it has no room
// for, and says so.
func TestRefuses(t *testing.T) {
	now := time.Unix(1, 0)
	s, err := New(Config{Self: "a", MaxQueue: 2, Funcs: []string{"f/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	m := Message{Kind: KindGive, From: "b", To: "a", Session: 1, Seq: 7}
	for i, fn := range []string{"g/v1", "f/v1", "f/v1", "f/v1"} {
		m.Tasks = append(m.Tasks, Task{ID: TaskID(ID{}, ID{}, uint32(i)), Index: uint32(i), Code: Code{Func: fn}, Owner: "b", Attempt: 1})
	}
	out, err := s.Step(now, m)
	if err != nil || len(out.Send) == 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	taken := out.Send[0]
	if taken.Kind != KindTaken || taken.Seq != 7 || len(taken.Refs) != 2 || taken.Refs[0].Task != m.Tasks[0].ID || taken.Refs[1].Task != m.Tasks[3].ID {
		t.Errorf("answer: %+v", taken)
	}
	if len(out.Run) != 1 || s.Stats().Foreign != 2 {
		t.Errorf("%d started, %+v", len(out.Run), s.Stats())
	}
}

// TestGivenTwice: a victim hands one task to two thieves, and another thief's result comes
// out of nowhere. Of two runs one counts; the rest is counted, and changes nothing.
func TestGivenTwice(t *testing.T) {
	now := time.Unix(1, 0)
	peers := make(map[chord.PeerID]*Scheduler)
	var queue []Message
	type started struct {
		at   chord.PeerID
		task Task
	}
	var runs []started
	apply := func(id chord.PeerID, out Output) {
		queue = append(queue, out.Send...)
		for _, task := range out.Run {
			runs = append(runs, started{id, task})
		}
	}
	for id, slots := range map[chord.PeerID]int{"owner": -1, "thief": 1, "third": 1} {
		s, err := New(Config{Self: id, Session: 1, Slots: slots, Funcs: []string{"f/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		peers[id] = s
	}
	deliver := func() {
		for len(queue) > 0 {
			m := queue[0]
			queue = queue[1:]
			s := peers[m.To]
			if s == nil {
				continue // the liar does not answer
			}
			out, err := s.Step(now, m)
			if err != nil {
				t.Fatal(err)
			}
			apply(m.To, out)
			if err := s.check(); err != nil {
				t.Fatalf("%s after %s: %v", m.To, m.Kind, err)
			}
		}
	}
	owner := peers["owner"]
	job, out, err := owner.Submit(now, Spec{Code: Code{Func: "f/v1"}, Inputs: [][]byte{nil}})
	if err != nil {
		t.Fatal(err)
	}
	apply("owner", out)
	out, err = owner.Step(now, Message{From: "liar", To: "owner", Kind: KindSteal, Session: 1, Seq: 1, Load: Load{Peer: "liar", Seq: 1}, Funcs: []string{"f/v1"}, Room: 1, RoomBytes: 1 << 20})
	if err != nil || len(out.Send) == 0 || len(out.Send[0].Tasks) != 1 {
		t.Fatalf("the liar got nothing: %+v, %v", out, err)
	}
	stolen := out.Send[0].Tasks[0]
	stolen.Hop++
	for _, to := range []chord.PeerID{"thief", "third"} {
		queue = append(queue, Message{From: "liar", To: to, Kind: KindGive, Session: 1, Seq: 2, Load: Load{Peer: "liar", Seq: 2}, Tasks: []Task{stolen}})
	}
	invented := Result{Task: ID{7}, Attempt: 1, Peer: "liar", Output: []byte("false")}
	queue = append(queue, Message{From: "liar", To: "owner", Kind: KindResult, Session: 1, Seq: 3, Results: []Result{invented}})
	deliver()
	if len(runs) != 2 {
		t.Fatalf("%d runs of a task that was given twice", len(runs))
	}
	for _, r := range runs {
		apply(r.at, peers[r.at].Ran(now, Result{Task: r.task.ID, Attempt: r.task.Attempt, Output: []byte(r.at)}))
		now = now.Add(10 * time.Millisecond)
		for id, s := range peers {
			apply(id, s.Tick(now))
		}
		deliver()
	}
	st, _ := owner.Job(job)
	got := owner.Tasks(job, 0, 1)
	if st.State != JobDone || st.Done != 1 || len(got) != 1 || string(got[0].Result.Output) != string(runs[0].at) {
		t.Errorf("job %+v, result %+v", st, got)
	}
	if stats := owner.Stats(); stats.Stale != 1 || stats.Unknown != 1 {
		t.Errorf("%d stale results and %d unknown ones, want one of each", stats.Stale, stats.Unknown)
	}
}

// TestHostile: whatever peers say, invariants hold, nobody panics, and time
// goes on. (What liars say about tasks can come true: peers of a ring are
// trusted with results.)
func TestHostile(t *testing.T) {
	n := uint64(200)
	if testing.Short() {
		n = 50
	}
	for seed := range n {
		hostile(t, seed)
	}
}

func hostile(t testing.TB, seed uint64) {
	m := newSim(t, seed)
	m.addN(4, Config{Slots: 2, MaxQueue: 30, MaxPeers: 6})
	l := &liar{rng: m.rng}
	m.spy = func(msg *Message) { l.learn(*msg) }
	for i := range 3 {
		l.jobs = append(l.jobs, m.submit(m.order[i], 20, "work/v1"))
		l.jobs = append(l.jobs, m.submitSpec(m.order[i], Spec{Code: Code{Func: "work/v1"}, Inputs: [][]byte{treeInput(60)}}))
	}
	peers := append([]chord.PeerID{"x", "y", "z"}, m.order...)
	for range 100 {
		m.run(time.Duration(m.rng.IntN(50))*time.Millisecond, nil)
		lie := l.message(peers)
		if p := m.peers[lie.To]; p != nil {
			m.call(p, func() Output {
				out, _ := p.s.Step(m.now, lie) // an error is as good as none
				return out
			})
		}
	}
	m.run(5*time.Minute, nil)
	for _, p := range m.peers {
		for _, st := range p.s.Jobs() {
			if st.Finished.IsZero() {
				m.fatalf("%s: job not finished: %+v", p.id, st)
			}
		}
	}
}

func FuzzStep(f *testing.F) {
	f.Add(binary.BigEndian.AppendUint64(nil, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var seed [8]byte
		copy(seed[:], b)
		hostile(t, binary.BigEndian.Uint64(seed[:]))
	})
}

// TestSoakHostile hears many more lies.
func TestSoakHostile(t *testing.T) {
	if os.Getenv("CHORUS_SOAK") == "" {
		t.Skip("long; set CHORUS_SOAK")
	}
	for seed := range uint64(5000) {
		hostile(t, 10_000+seed)
	}
}
