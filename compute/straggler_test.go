package compute

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestSpans compares quantiles with those of a sorted list.
func TestSpans(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var p spans
		var list []time.Duration
		for range 1 + rng.IntN(200) {
			d := time.Duration(rng.Uint64() >> (1 + rng.IntN(63)))
			list = append(list, d)
			p.add(d)
		}
		slices.Sort(list)
		for _, share := range []float64{0, 0.1, 0.5, 0.95, 1} {
			i := 0
			for i < len(list)-1 && float64(i+1) < share*float64(len(list)) {
				i++
			}
			want := list[i]
			if got := p.quantile(share); got < want || float64(got) > 1.25*float64(want)+2 {
				t.Fatalf("seed %d: of %d durations the share %g is within %d, want %d or a little more", seed, len(list), share, got, want)
			}
		}
	}
	if got := new(spans).quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing: %s", got)
	}
}

// TestStragglerIsOvertaken: a job does not wait for a peer that is a hundred times slower
// than the others, and what that one was doing is stopped.
func TestStragglerIsOvertaken(t *testing.T) {
	for seed := range uint64(10) {
		m := newSim(t, seed)
		m.cost = func(*Task) time.Duration { return 100 * time.Millisecond }
		m.addN(4, Config{Slots: 2})
		slow := m.order[m.rng.IntN(4)] // the owner too
		m.drag[slow] = 10 * time.Minute
		m.run(time.Second, nil)
		job := m.submit("p00", 200, "work/v1")
		start := m.now
		if !m.run(5*time.Minute, m.finished("p00", job)) {
			st, _ := m.peers["p00"].s.Job(job)
			m.fatalf("not finished: %+v", st)
		}
		st := m.verify("p00", job)
		if st.Backups == 0 || st.Overtook == 0 || st.Overtook > st.Backups {
			m.fatalf("in %s: %+v", m.now.Sub(start), st)
		}
		overtaken := 0
		for _, ts := range m.peers["p00"].s.Tasks(job, 0, 200) {
			for _, a := range ts.Attempts {
				if a.Outcome == OutcomeOvertaken && a.Peer == slow && ts.Peer != slow {
					overtaken++
				}
			}
		}
		if overtaken != st.Overtook {
			m.fatalf("%d attempts of %s are overtaken: %+v", overtaken, slow, st)
		}
		if n := m.sent[KindCancel]; slow != "p00" && n < overtaken {
			m.fatalf("%s is told to stop %d runs of %d", slow, n, overtaken)
		}
		m.run(15*time.Minute, nil)
		m.settleDown()
	}
}

// TestBackupIsLate: where the first run ends before its backup, that one is dropped.
func TestBackupIsLate(t *testing.T) {
	m := newSim(t, 1)
	m.cost = func(t *Task) time.Duration {
		switch {
		case t.Apart:
			return time.Hour
		case t.Index == 7:
			return 10 * time.Second
		}
		return 100 * time.Millisecond
	}
	m.addN(3, Config{})
	m.run(time.Second, nil)
	job := m.submit("p00", 40, "work/v1")
	if !m.run(time.Minute, m.finished("p00", job)) {
		m.fatalf("not finished: %+v", m.peers["p00"].s.Jobs())
	}
	st := m.verify("p00", job)
	ts := m.peers["p00"].s.Tasks(job, 7, 1)[0]
	if st.Backups != 1 || st.Overtook != 0 || ts.Tries != 2 {
		t.Errorf("%+v; task: %+v", st, ts)
	}
	var outcomes []Outcome
	for _, a := range ts.Attempts {
		outcomes = append(outcomes, a.Outcome)
	}
	if !slices.Equal(outcomes, []Outcome{OutcomeOK, OutcomeOvertaken}) || ts.Attempts[0].Peer == ts.Attempts[1].Peer {
		t.Errorf("attempts: %+v", ts.Attempts)
	}
	m.run(10*time.Second, nil)
	for _, p := range m.peers {
		if n := p.s.Stats().Foreign + p.s.Stats().Queued; n > 0 {
			t.Errorf("%s is left with %+v", p.id, p.s.Stats())
		}
	}
}

// TestFewSiblings: of a job of three tasks, too, one that takes many times as long as the others
// gets a backup, but not one that takes three times as long.
func TestFewSiblings(t *testing.T) {
	for _, drag := range []time.Duration{time.Hour, 6 * time.Second} {
		m := newSim(t, 2)
		m.cost = func(*Task) time.Duration { return 3 * time.Second }
		m.addN(3, Config{})
		m.drag["p02"] = drag
		m.run(time.Second, nil)
		job := m.submit("p00", 3, "work/v1")
		if !m.run(5*time.Minute, m.finished("p00", job)) {
			m.fatalf("not finished: %+v", m.peers["p00"].s.Jobs())
		}
		if st := m.verify("p00", job); (st.Backups > 0) != (drag == time.Hour) {
			t.Errorf("dragged by %v: %+v", drag, st)
		}
	}
}

// TestNoBackup: nothing runs twice that takes as long as the others, or where
// nobody else could run it.
func TestNoBackup(t *testing.T) {
	for _, peers := range []int{1, 3} {
		m := newSim(t, 1)
		m.cost = func(t *Task) time.Duration { return time.Duration(3000+int(t.ID[0])) * time.Millisecond }
		if peers == 1 {
			m.cost = func(t *Task) time.Duration { return time.Duration(1+20*(t.Index/10)) * time.Second }
		}
		m.addN(peers, Config{})
		m.run(time.Second, nil)
		job := m.submit("p00", 11, "work/v1")
		if !m.run(5*time.Minute, m.finished("p00", job)) {
			m.fatalf("not finished: %+v", m.peers["p00"].s.Jobs())
		}
		if st := m.verify("p00", job); st.Backups != 0 {
			t.Errorf("%d peers: %+v", peers, st)
		}
	}
}

// TestBackupDivides: the backup of a run that would divide its task divides it instead.
func TestBackupDivides(t *testing.T) {
	m := newSim(t, 3)
	m.cost = func(t *Task) time.Duration {
		if t.Index == 9 && t.Parent == (ID{}) && !t.Join {
			return time.Hour
		}
		return 50 * time.Millisecond
	}
	m.addN(3, Config{})
	m.run(time.Second, nil)
	in := make([][]byte, 10)
	for i := range in {
		in[i] = treeInput(40)
	}
	job := m.submitSpec("p00", Spec{Code: Code{Func: "work/v1"}, Inputs: in})
	if !m.run(5*time.Minute, m.finished("p00", job)) {
		st, _ := m.peers["p00"].s.Job(job)
		m.fatalf("not finished: %+v", st)
	}
	if st := m.verifyTree("p00", job, 40); st.Backups == 0 {
		t.Errorf("%+v", st)
	}
}
