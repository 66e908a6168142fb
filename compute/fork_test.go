package compute

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// treeInput is the input of a task that has n units of work to do or to give
// away; grow does them.
func treeInput(n int) []byte { return fmt.Appendf(nil, "tree %d", n) }

// isTree reports whether a task is one of a tree, and how many units it has.
func isTree(t *Task) (n int, ok bool) {
	digits, ok := bytes.CutPrefix(t.Input, []byte("tree "))
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(string(digits))
	return n, err == nil
}

// grow runs a task of a tree: it does some units itself and divides the rest,
// another way each time that it is run. Joined, the parts give the number of units.
func (m *sim) grow(t *Task) Result {
	if t.Join {
		sum := 0
		for _, b := range append([][]byte{t.Input}, t.Parts...) {
			n, err := strconv.Atoi(string(b))
			if err != nil {
				return Result{Err: err.Error()}
			}
			sum += n
		}
		return Result{Output: []byte(strconv.Itoa(sum))}
	}
	left, _ := isTree(t)
	done := min(left, 1+m.rng.IntN(3))
	r := Result{Output: []byte(strconv.Itoa(done))}
	for left -= done; left > 0; {
		n := left
		if len(r.Fork) < 5 {
			n = 1 + m.rng.IntN(left)
		}
		r.Fork = append(r.Fork, treeInput(n))
		left -= n
	}
	return r
}

// verifyTree checks that every unit of the trees of a job was counted once.
func (m *sim) verifyTree(id chord.PeerID, job ID, units int) JobStatus {
	m.t.Helper()
	p := m.peers[id]
	st, ok := p.s.Job(job)
	if !ok || st.State != JobDone || st.Done != st.Tasks || p.done[job] != 1 {
		m.fatalf("job %s: %+v, finished %d times", job.Short(), st, p.done[job])
	}
	for _, ts := range p.s.Tasks(job, 0, st.Tasks) {
		if string(ts.Result.Output) != strconv.Itoa(units) {
			m.fatalf("tree %d: counted %s units of %d", ts.Index, ts.Result.Output, units)
		}
	}
	return st
}

// TestFork counts the units of trees on one peer, on several, and on several of
// which the submitter runs nothing.
func TestFork(t *testing.T) {
	for _, slots := range [][]int{{1}, {2, 2, 2}, {-1, 1, 3, 1}} {
		t.Run(fmt.Sprint(slots), func(t *testing.T) {
			m := newSim(t, 1)
			for i, n := range slots {
				m.add(chord.PeerID(fmt.Sprintf("p%02d", i)), Config{Slots: n})
			}
			m.run(time.Second, nil)
			job := m.submitSpec("p00", Spec{Code: Code{Func: "work/v1"}, Inputs: [][]byte{treeInput(500), treeInput(500)}})
			if !m.run(time.Minute, m.finished("p00", job)) {
				st, _ := m.peers["p00"].s.Job(job)
				m.fatalf("not finished: %+v", st)
			}
			st := m.verifyTree("p00", job, 500)
			if st.Tasks < 100 || len(st.ByPeer) < min(2, len(slots)) {
				t.Errorf("%d tasks at %v", st.Tasks, st.ByPeer)
			}
			m.settleDown()
			if n := len(m.peers["p00"].s.owner.tasks); n != 2 {
				t.Errorf("%d tasks are remembered, want the two of the job", n)
			}
		})
	}
}

// TestForkFails: a part that fails, fails its task, and stops its siblings.
func TestForkFails(t *testing.T) {
	m := newSim(t, 1)
	m.addN(3, Config{Slots: 1})
	m.run(time.Second, nil)
	m.result = func(_ *simPeer, t *Task) Result {
		if t.Parent == (ID{}) {
			return Result{Fork: [][]byte{[]byte("good"), []byte("bad"), []byte("good"), []byte("good")}}
		}
		if string(t.Input) == "bad" {
			return Result{Err: "bad luck", Log: []byte("why")}
		}
		return Result{Output: []byte("fine")}
	}
	m.cost = func(t *Task) time.Duration {
		if string(t.Input) == "good" {
			return time.Minute
		}
		return 10 * time.Millisecond
	}
	job := m.submit("p00", 1, "work/v1")
	if !m.run(time.Second, m.finished("p00", job)) {
		m.fatalf("not failed at once")
	}
	st, _ := m.peers["p00"].s.Job(job)
	if st.State != JobFailed || st.Tasks != 5 || st.Failed != 2 || st.Cancelled != 3 {
		t.Errorf("job: %+v", st)
	}
	ts := m.peers["p00"].s.Tasks(job, 0, 1)[0]
	if ts.Result == nil || ts.Result.Err != "part 1 of 4: bad luck" || string(ts.Result.Log) != "why" {
		t.Errorf("result: %+v", ts.Result)
	}
	m.settleDown()
}

// TestForkLimits: what may not be divided fails by name.
func TestForkLimits(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		fork func(t *Task) Result
		want string
	}{
		{"too many parts", Config{}, func(*Task) Result { return Result{Fork: make([][]byte, MaxFork+1)} }, "1025 parts, the limit is 1024"},
		{"too large", Config{}, func(*Task) Result { return Result{Fork: [][]byte{make([]byte, maxParts+1)}} }, "parts of 1.0 MiB, the limit is 1.0 MiB"},
		{"tasks", Config{MaxTasks: 10}, func(*Task) Result { return Result{Fork: make([][]byte, 10)} }, "10 parts would pass the limit of 10 unfinished tasks"},
		{"bytes", Config{MaxBytes: 5000}, func(*Task) Result { return Result{Fork: [][]byte{make([]byte, 5000)}} }, "parts would pass the limit of 4.9 KiB of inputs"},
		{"outputs", Config{}, func(t *Task) Result {
			if t.Parent == (ID{}) {
				return Result{Fork: make([][]byte, 3)}
			}
			return Result{Output: make([]byte, 500<<10)}
		}, "outputs of the parts take 1.5 MiB, the limit is 1.0 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newSim(t, 1)
			m.addN(1, tt.cfg)
			m.result = func(_ *simPeer, t *Task) Result { return tt.fork(t) }
			job := m.submit("p00", 1, "work/v1")
			m.run(time.Second, m.finished("p00", job))
			if ts := m.peers["p00"].s.Tasks(job, 0, 1)[0]; ts.State != TaskFailed || ts.Result.Err != tt.want {
				t.Errorf("%s: %q, want %q", ts.State, ts.Result.Err, tt.want)
			}
		})
	}
}

// TestDivisionsDoNotMix: of two runs of one attempt that divide a task in different
// ways, at the same peer, one counts, told once or twice.
func TestDivisionsDoNotMix(t *testing.T) {
	now := time.Unix(1, 0)
	s, err := New(Config{Self: "a", Slots: -1}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	job, _, err := s.Submit(now, Spec{Code: Code{Func: "f/v1"}, Inputs: make([][]byte, 1)})
	if err != nil {
		t.Fatal(err)
	}
	task := TaskID(job, ID{}, 0)
	steal := Message{Kind: KindSteal, From: "b", To: "a", Session: 1, Seq: 1, Funcs: []string{"f/v1"}, Room: 1, RoomBytes: 1 << 20}
	if out, err := s.Step(now, steal); err != nil || len(out.Send) == 0 || len(out.Send[0].Tasks) != 1 {
		t.Fatalf("steal: %+v, %v", out, err)
	}
	one, other := [][]byte{[]byte("x"), []byte("y")}, [][]byte{[]byte("xy"), nil}
	for i, c := range []struct {
		fork    [][]byte
		refused bool
	}{{one, false}, {one, false}, {other, true}, {one, false}} {
		out, err := s.Step(now, Message{Kind: KindResult, From: "b", To: "a", Session: 1, Seq: uint64(2 + i), Results: []Result{
			{Task: task, Attempt: 1, Fork: c.fork, Kept: true},
		}})
		if err != nil || len(out.Send) == 0 || out.Send[0].Kind != KindSettled || len(out.Send[0].Refs) > 0 != c.refused {
			t.Errorf("division %d %q: %+v, %v", i, c.fork, out.Send, err)
		}
	}
}

// TestUnnamed: what a holder, heard of all the while, does not name any more runs again.
func TestUnnamed(t *testing.T) {
	m := newSim(t, 1)
	m.cost = func(*Task) time.Duration { return 10 * time.Second }
	m.add("p00", Config{Slots: -1})
	m.add("p01", Config{Slots: 1})
	m.run(time.Second, nil)
	job := m.submit("p00", 20, "work/v1")
	m.run(500*time.Millisecond, nil)
	p := m.peers["p01"]
	for _, h := range slices.Clone(p.s.holder.clients[0].list)[5:10] { // forgets them as no peer should
		p.s.unhold(h)
		p.s.release(h)
	}
	m.run(100*time.Second, nil)
	if n := m.peers["p00"].s.Stats().Lost; n != 5 || len(p.s.holder.clients) == 0 {
		t.Errorf("%d attempts lost while the holder has others, want 5", n)
	}
	if !m.run(10*time.Minute, m.finished("p00", job)) {
		m.fatalf("not finished: %+v", m.peers["p00"].s.Jobs())
	}
	m.verify("p00", job)
	if n := m.peers["p00"].s.Stats().Lost; n != 5 {
		t.Errorf("%d attempts lost, want 5", n)
	}
}
