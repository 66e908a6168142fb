package compute

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// verifyVotes checks that a verified job is done, each task by the votes of
// as many different peers as asked for, all of them right.
func (m *sim) verifyVotes(id chord.PeerID, job ID) JobStatus {
	m.t.Helper()
	st, ok := m.peers[id].s.Job(job)
	if !ok || st.State != JobDone || st.Done != st.Tasks || m.peers[id].done[job] != 1 {
		m.fatalf("job %s: %+v, finished %d times", job.Short(), st, m.peers[id].done[job])
	}
	for i, ts := range m.peers[id].s.Tasks(job, 0, st.Tasks) {
		if want := fmt.Sprintf("same %d", i); string(ts.Result.Output) != want {
			m.fatalf("task %d: %q, want %q", i, ts.Result.Output, want)
		}
		var voters []chord.PeerID
		for _, v := range ts.Votes {
			if v.Peer == "" || !v.Agrees || slices.Contains(voters, v.Peer) {
				m.fatalf("task %d: votes %+v", i, ts.Votes)
			}
			voters = append(voters, v.Peer)
		}
		if len(voters) != st.Verify || !slices.Contains(voters, ts.Peer) {
			m.fatalf("task %d of %s: votes %+v", i, ts.Peer, ts.Votes)
		}
	}
	return st
}

func (m *sim) submitVerified(id chord.PeerID, n, verify int) ID {
	return m.submitSpec(id, Spec{Code: Code{Func: "work/v1"}, Inputs: inputs("same ", n), Verify: verify})
}

// TestVerify: each task is run by so many different peers, over a network that loses,
// repeats and reorders.
func TestVerify(t *testing.T) {
	for seed := range uint64(20) {
		m := newSim(t, seed)
		m.every = 5
		if seed%2 == 0 {
			m.loss, m.dup, m.jitter = m.rng.Float64()*0.1, m.rng.Float64()*0.1, 20*time.Millisecond
		}
		m.cost = func(t *Task) time.Duration {
			return time.Duration(t.ID[0]) * time.Millisecond * time.Duration(1+seed%3*8)
		}
		n := 3 + m.rng.IntN(4)
		m.addN(n, Config{Slots: 1 + m.rng.IntN(3)})
		m.run(time.Second, nil)
		verify := 2 + m.rng.IntN(n-1)
		job := m.submitVerified("p00", 60, verify)
		if !m.run(20*time.Minute, m.finished("p00", job)) {
			st, _ := m.peers["p00"].s.Job(job)
			m.fatalf("verified by %d of %d, not finished: %+v", verify, n, st)
		}
		m.verifyVotes("p00", job)
		if st := m.peers["p00"].s.Stats(); m.loss == 0 && st.Reruns > 0 {
			m.fatalf("%d copies ran where another had", st.Reruns)
		}
		m.settleDown()
	}
}

// TestVerifyCountsEachPeerOnce: what a peer answers for a second copy does not count.
func TestVerifyCountsEachPeerOnce(t *testing.T) {
	now := time.Unix(1, 0)
	s, err := New(Config{Self: "a", Slots: -1}, now, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	job, _, err := s.Submit(now, Spec{Code: Code{Func: "f/v1"}, Inputs: make([][]byte, 1), Verify: 2})
	if err != nil {
		t.Fatal(err)
	}
	task := TaskID(job, ID{}, 0)
	answer := func(from chord.PeerID, copied, attempt uint32) {
		t.Helper()
		m := Message{Kind: KindResult, From: from, To: "a", Session: 1, Seq: uint64(attempt), Results: []Result{
			{Task: TaskID(job, task, copied), Attempt: attempt, Output: []byte("x")},
		}}
		if _, err := s.Step(now, m); err != nil {
			t.Fatal(err)
		}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
	}
	answer("b", 0, 1)
	answer("b", 1, 1)
	if st, _ := s.Job(job); st.Done != 0 {
		t.Fatalf("one peer answered twice: %+v, %+v", st, s.Tasks(job, 0, 1))
	}
	answer("c", 1, 2)
	if ts := s.Tasks(job, 0, 1)[0]; ts.State != TaskDone || len(ts.Votes) != 2 || ts.Votes[0].Peer != "b" || ts.Votes[1].Peer != "c" || ts.Tries != 3 {
		t.Errorf("%+v", ts)
	}
}

// TestVerifyNamesLiars: a peer that answers otherwise is outvoted, and named.
func TestVerifyNamesLiars(t *testing.T) {
	m := newSim(t, 1)
	m.addN(5, Config{})
	m.result = func(p *simPeer, t *Task) Result {
		if p.id == "p02" {
			return Result{Output: []byte("a lie")}
		}
		return Result{Output: t.Input}
	}
	m.run(time.Second, nil)
	job := m.submitSpec("p00", Spec{Code: Code{Func: "work/v1"}, Inputs: inputs("", 30), Verify: 3})
	if !m.run(time.Minute, m.finished("p00", job)) {
		m.fatalf("not finished: %+v", m.peers["p00"].s.Jobs())
	}
	lies := 0
	for i, ts := range m.peers["p00"].s.Tasks(job, 0, 30) {
		if string(ts.Result.Output) != fmt.Sprint(i) || ts.State != TaskDone || len(ts.Votes) != 3 || ts.Peer == "p02" {
			m.fatalf("task %d: %+v", i, ts)
		}
		for _, v := range ts.Votes {
			if v.Agrees == (v.Peer == "p02") {
				m.fatalf("task %d: votes %+v", i, ts.Votes)
			}
			if !v.Agrees {
				lies++
			}
		}
	}
	if st, _ := m.peers["p00"].s.Job(job); lies == 0 || st.State != JobDone {
		t.Errorf("%d lies in %+v", lies, st)
	}
}

// TestVerifyWithoutMajority: a task on which no majority agrees fails, and so does one
// on whose error they agree.
func TestVerifyWithoutMajority(t *testing.T) {
	for _, c := range []struct {
		name   string
		result func(p *simPeer, t *Task) Result
		err    string
	}{
		{"each its own", func(p *simPeer, _ *Task) Result { return Result{Output: []byte(p.id)} }, "3 answered, in 3 ways, and at most 1 alike; a majority is 2"},
		{"one error", func(*simPeer, *Task) Result { return Result{Err: "bad input"} }, "bad input"},
		{"crashes", func(*simPeer, *Task) Result { return Result{Crashed: true, Err: "gone"} }, "0 answered"},
		{"divided", func(*simPeer, *Task) Result { return Result{Fork: make([][]byte, 2)} }, "may not be divided"},
	} {
		m := newSim(t, 1)
		m.addN(4, Config{})
		m.result = c.result
		m.run(time.Second, nil)
		job := m.submitSpec("p00", Spec{Code: Code{Func: "work/v1"}, Inputs: inputs("", 3), Verify: 3})
		if !m.run(5*time.Minute, m.finished("p00", job)) {
			m.fatalf("%s: not finished: %+v", c.name, m.peers["p00"].s.Jobs())
		}
		st, _ := m.peers["p00"].s.Job(job)
		ts := m.peers["p00"].s.Tasks(job, 0, 1)[0]
		if st.State != JobFailed || st.Failed != 3 || !strings.Contains(ts.Result.Err, c.err) || len(ts.Votes) != 3 {
			t.Errorf("%s: %+v, task: %+v, %+v", c.name, st, ts, ts.Result)
		}
		m.settleDown()
	}
}

// TestVerifyWaitsForPeers: a job that needs more peers than there are says so, sends
// little meanwhile, and ends once they have joined.
func TestVerifyWaitsForPeers(t *testing.T) {
	m := newSim(t, 1)
	m.addN(2, Config{})
	m.run(time.Second, nil)
	job := m.submitVerified("p00", 10, 3)
	m.run(10*time.Second, nil)
	st, _ := m.peers["p00"].s.Job(job)
	if st.State != JobWaiting || !strings.Contains(st.Why, "for 3 different peers") || !strings.Contains(st.Why, "2 known here") {
		t.Errorf("with two peers: %+v", st)
	}
	before := m.messages()
	m.run(10*time.Minute, nil)
	if n := m.messages() - before; n > 400 {
		t.Errorf("%d messages in ten minutes while nothing can go on", n)
	}
	m.add("p02", Config{})
	if !m.run(time.Minute, m.finished("p00", job)) {
		st, _ := m.peers["p00"].s.Job(job)
		m.fatalf("not finished: %+v", st)
	}
	m.verifyVotes("p00", job)
	for _, n := range []int{-1, MaxVerify + 1} {
		if _, _, err := m.peers["p00"].s.Submit(m.now, Spec{Code: Code{Func: "work/v1"}, Inputs: inputs("", 1), Verify: n}); err == nil {
			t.Errorf("verified by %d: taken", n)
		}
	}
}
