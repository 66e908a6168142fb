package compute

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/chord"
)

func TestSubmitRefuses(t *testing.T) {
	now := time.Unix(1, 0)
	s, err := New(Config{Self: "a", MaxTasks: 10, MaxBytes: 4 << 10, MaxInput: 1 << 10, Funcs: []string{"f/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	f := Code{Func: "f/v1"}
	inputs := func(n, size int) [][]byte {
		in := make([][]byte, n)
		for i := range in {
			in[i] = make([]byte, size)
		}
		return in
	}
	for _, c := range []struct {
		name string
		spec Spec
		want error
		text string
	}{
		{"no inputs", Spec{Code: f}, ErrBadSpec, "no inputs"},
		{"no code", Spec{Inputs: inputs(1, 0)}, ErrBadSpec, "neither"},
		{"both codes", Spec{Code: Code{Func: "f/v1", Module: [32]byte{1}}, Inputs: inputs(1, 0)}, ErrBadSpec, "both"},
		{"no version", Spec{Code: Code{Func: "f"}, Inputs: inputs(1, 0)}, ErrBadSpec, `"f" is not NAME/vN`},
		{"negative limit", Spec{Code: f, Inputs: inputs(1, 0), Limits: Limits{Time: -1}}, ErrBadSpec, "negative"},
		{"large input", Spec{Code: f, Inputs: inputs(1, 1025)}, ErrTooLarge, "input 0 has 1.0 KiB, the limit is 1.0 KiB"},
		{"many tasks", Spec{Code: f, Inputs: inputs(11, 0)}, ErrQueueFull, "0 tasks wait or run and 11 more would pass the limit of 10"},
		{"many bytes", Spec{Code: f, Inputs: inputs(5, 1000)}, ErrQueueFull, "5.7 KiB more would pass the limit of 4.0 KiB"},
		{"fits", Spec{Code: f, Inputs: inputs(10, 100)}, nil, ""},
		{"full now", Spec{Code: f, Inputs: inputs(1, 0)}, ErrQueueFull, "10 tasks wait or run"},
	} {
		_, _, err := s.Submit(now, c.spec)
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := s.check(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"Self":     {},
		"MaxQueue": {Self: "a", MaxQueue: -1},
		"Lease":    {Self: "a", Lease: time.Second, Renew: time.Second},
		"MaxInput": {Self: "a", MaxInput: MaxBlob + 1},
		"function": {Self: "a", Funcs: []string{"f"}},
	} {
		if _, err := New(c, time.Unix(1, 0), rand.New(rand.NewPCG(1, 1))); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFuncName(t *testing.T) {
	for in, want := range map[string]string{
		"f": "f/v1", "f/v2": "f/v2", "img/resize": "img/resize/v1", "a.b_c-D/v10": "a.b_c-D/v10", "f/v": "f/v/v1", "f/v01": "f/v01/v1",
		"": "", "/v1": "", "f/": "", "f/v0": "", "a b": "", "ü": "", strings.Repeat("x", 126): "",
	} {
		got, err := FuncName(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("FuncName(%q) = %q, %v, want %q", in, got, err, want)
		}
		if err == nil {
			if again, err := FuncName(got); again != got || err != nil {
				t.Errorf("FuncName(%q) = %q, %v", got, again, err)
			}
		}
	}
}

// TestHistory: finished jobs are forgotten beyond the limit, oldest first, and
// their late results are only counted.
func TestHistory(t *testing.T) {
	m := newSim(t, 1)
	m.add("a", Config{MaxHistory: 3})
	var jobs []ID
	for range 5 {
		job := m.submit("a", 2, "work/v1")
		jobs = append(jobs, job)
		m.run(time.Second, m.finished("a", job))
	}
	s := m.peers["a"].s
	var kept []ID
	for _, st := range s.Jobs() {
		kept = append(kept, st.ID)
	}
	if diff := cmp.Diff(jobs[1:], kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if s.Tasks(jobs[0], 0, 9) != nil || s.Forget(jobs[0]) || !s.Forget(jobs[1]) {
		t.Error("a forgotten job is known, or a known one is not")
	}
	m.apply(m.peers["a"], Output{}) // checks
}

// TestOutputLimits: a job's results are bounded in all, so that a job with
// large outputs fails in part instead of taking all memory.
func TestOutputLimits(t *testing.T) {
	m := newSim(t, 1)
	m.add("a", Config{MaxOutput: 1000, MaxJobOutput: 2500})
	m.result = func(_ *simPeer, t *Task) Result {
		return Result{Output: make([]byte, 900+100*int(t.Index))} // 900, 1000, 1100, 1200
	}
	job := m.submit("a", 4, "work/v1")
	m.run(time.Second, m.finished("a", job))
	var got []string
	for _, ts := range m.peers["a"].s.Tasks(job, 0, 4) {
		got = append(got, ts.State.String()+" "+ts.Result.Err)
	}
	want := []string{"done ", "done ", "failed output of 1.1 KiB, the limit is 1000 bytes", "failed output of 1.2 KiB, the limit is 1000 bytes"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	m.result = func(*simPeer, *Task) Result { return Result{Output: make([]byte, 900)} }
	job = m.submit("a", 3, "work/v1")
	m.run(time.Second, m.finished("a", job))
	st, _ := m.peers["a"].s.Job(job)
	if st.State != JobFailed || st.Done != 2 || st.Failed != 1 {
		t.Errorf("job: %+v", st)
	}
}

// TestPause: a peer that stood still for a minute does not take its own
// silence for that of others: nothing that they hold runs again.
func TestPause(t *testing.T) {
	m := newSim(t, 5)
	m.cost = func(*Task) time.Duration { return 20 * time.Second }
	m.addN(2, Config{Slots: 4})
	m.run(time.Second, nil)
	job := m.submit("p00", 8, "work/v1")
	m.run(time.Second, nil)
	m.peers["p00"].paused = m.now.Add(time.Minute)
	if !m.run(5*time.Minute, m.finished("p00", job)) {
		m.fatalf("not finished: %+v", m.peers["p00"].s.Jobs())
	}
	m.verify("p00", job)
	if n := m.peers["p00"].s.Stats().Lost; n != 0 {
		t.Errorf("%d attempts given up for lost", n)
	}
}

// TestGrain: tasks that take less than a round trip stay where they are,
// except what a peer could not start within it.
func TestGrain(t *testing.T) {
	for _, c := range []struct {
		cost     time.Duration
		min, max int // done by the other peer
	}{
		{10 * time.Microsecond, 0, 0},
		{time.Millisecond, 50, 500},
		{10 * time.Millisecond, 400, 520},
	} {
		m := newSim(t, 2)
		m.every = 50
		m.latency = 10 * time.Millisecond
		m.cost = func(*Task) time.Duration { return c.cost }
		m.addN(2, Config{})
		m.run(time.Second, nil)
		m.run(time.Second, m.finished("p00", m.submit("p00", 10, "work/v1"))) // learns the cost
		job := m.submit("p00", 1000, "work/v1")
		m.run(time.Minute, m.finished("p00", job))
		st := m.verify("p00", job)
		other := 0
		for _, p := range st.ByPeer {
			if p.Peer == "p01" {
				other = p.Tasks
			}
		}
		if other < c.min || other > c.max {
			t.Errorf("tasks of %s: the other peer did %d, want %d to %d", c.cost, other, c.min, c.max)
		}
	}
}

// TestManyHolders: one owner may have tasks at more peers than any ring here has.
func TestManyHolders(t *testing.T) {
	const peers = 12_000
	now := time.Unix(1, 0)
	s, err := New(Config{Self: "a", Slots: -1, Funcs: []string{"f/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	job, _, err := s.Submit(now, Spec{Code: Code{Func: "f/v1"}, Inputs: make([][]byte, peers)})
	if err != nil {
		t.Fatal(err)
	}
	step := func(m Message) Output {
		t.Helper()
		now = now.Add(10 * time.Microsecond)
		m.To, m.Session, m.Load.Peer = "a", 1, m.From
		out, err := s.Step(now, m)
		if err != nil {
			t.Fatalf("%s of %s: %v", m.Kind, m.From, err)
		}
		return out
	}
	var refs []Ref
	thief := func(i int) chord.PeerID { return chord.PeerID("x" + strconv.Itoa(i)) }
	for i := range peers {
		out := step(Message{Kind: KindSteal, From: thief(i), Seq: 1, Load: Load{Seq: 1}, Funcs: []string{"f/v1"}, Room: 1, RoomBytes: 1 << 20})
		for _, m := range out.Send {
			if m.Kind == KindGive && len(m.Tasks) == 1 {
				refs = append(refs, m.Tasks[0].ref())
				step(Message{Kind: KindTaken, From: thief(i), Seq: m.Seq})
			}
		}
	}
	if len(refs) != peers {
		t.Fatalf("%d of %d tasks were given", len(refs), peers)
	}
	for i, r := range refs {
		step(Message{Kind: KindHold, From: thief(i), Seq: 2, Refs: []Ref{r}})
	}
	if st, _ := s.Job(job); st.Away != peers || s.Stats().Reruns > 0 {
		t.Errorf("%d tasks away, %d reruns, want %d and 0", st.Away, s.Stats().Reruns, peers)
	}
	if err := s.check(); err != nil {
		t.Error(err)
	}
}

// TestTooManyPeers: strangers make room for each other, but not those that matter.
func TestTooManyPeers(t *testing.T) {
	now := time.Unix(1, 0)
	s, err := New(Config{Self: "a", MaxPeers: 4, Funcs: []string{"f/v1"}}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	s.SetPeers(now, []Neighbor{{ID: "b"}, {ID: "c"}})
	for i := range 10 {
		id := chord.PeerID("x" + string(rune('0'+i)))
		now = now.Add(time.Second)
		if _, err := s.Step(now, Message{Kind: KindLoad, From: id, To: "a", Session: 1, Register: true, Load: Load{Peer: id, Seq: 1}}); err != nil {
			t.Fatal(err)
		}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []chord.PeerID{"b", "c", "x8", "x9"} {
		if s.peers.get(id) == nil {
			t.Errorf("%s is forgotten", id)
		}
	}
	s.SetPeers(now, []Neighbor{{ID: "b"}, {ID: "c"}, {ID: "d"}, {ID: "e"}, {ID: "f"}})
	if _, err := s.Step(now, Message{Kind: KindLoad, From: "g", To: "a", Session: 1}); !errors.Is(err, ErrTooManyPeers) {
		t.Errorf("a stranger in a table full of neighbours: %v", err)
	}
	if err := s.check(); err != nil {
		t.Error(err)
	}
}
