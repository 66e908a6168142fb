package compute

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// spread gives each of n inputs the names of three peers in turn.
func (m *sim) spread(n int) [][]chord.PeerID {
	near := make([][]chord.PeerID, n)
	for i := range near {
		for k := range 3 {
			near[i] = append(near[i], m.order[(i+k)%len(m.order)])
		}
	}
	return near
}

// TestNear: most tasks run at a peer that they name, unless that is much busier than
// others, or gone; and all of them run.
func TestNear(t *testing.T) {
	for _, c := range []struct {
		name     string
		trouble  func(m *sim)
		min, max int // of 300 tasks, where they belong
	}{
		{"quiet", func(*sim) {}, 270, 300},
		{"one is gone", func(m *sim) { m.crash("p03", time.Hour) }, 200, 299},
		{"all but the owner are busy", func(m *sim) {
			for _, id := range m.order[1:] {
				m.submit(id, 2000, "work/v1")
			}
			m.run(600*time.Millisecond, nil)
		}, 50, 260},
	} {
		m := newSim(t, 1)
		m.every = 50
		m.addN(6, Config{})
		m.run(time.Second, nil)
		near := m.spread(300)
		c.trouble(m)
		job := m.submitSpec("p00", Spec{Code: Code{Func: "work/v1"}, Inputs: inputs("", 300), Near: near})
		if !m.run(5*time.Minute, m.finished("p00", job)) {
			m.fatalf("%s: not finished: %+v", c.name, m.peers["p00"].s.Jobs())
		}
		st := m.verify("p00", job)
		there := 0
		for i, ts := range m.peers["p00"].s.Tasks(job, 0, 300) {
			if slices.Contains(near[i], ts.Peer) {
				there++
			}
		}
		if there != st.Near || there < c.min || there > c.max {
			t.Errorf("%s: %d of 300 ran where they belong, %d are counted, want %d to %d", c.name, there, st.Near, c.min, c.max)
		}
		m.run(5*time.Minute, nil)
		m.settleDown()
	}
}

// TestNearAlone: one task, submitted at a peer that it does not name, goes to one that
// it names; where nobody that it names can run it, it runs where it is.
func TestNearAlone(t *testing.T) {
	for _, c := range []struct {
		near []chord.PeerID
		want chord.PeerID
	}{
		{[]chord.PeerID{"p02"}, "p02"},
		{[]chord.PeerID{"x", "p01"}, "p01"},
		{[]chord.PeerID{"p00", "p01"}, "p00"},
		{[]chord.PeerID{"x"}, "p00"},
	} {
		m := newSim(t, 1)
		m.addN(3, Config{})
		m.run(time.Second, nil)
		job := m.submitSpec("p00", Spec{Code: Code{Func: "work/v1"}, Inputs: inputs("", 1), Near: [][]chord.PeerID{c.near}})
		if !m.run(time.Minute, m.finished("p00", job)) {
			m.fatalf("near %v: not finished", c.near)
		}
		m.verify("p00", job)
		if got := m.peers["p00"].s.Tasks(job, 0, 1)[0].Peer; got != c.want && !(c.want == "p00" && c.near[0] == "p00" && got == "p01") {
			t.Errorf("near %v: ran at %s, want %s", c.near, got, c.want)
		}
	}
	m := newSim(t, 1)
	m.addN(1, Config{})
	for _, near := range [][][]chord.PeerID{{nil, nil}, {make([]chord.PeerID, MaxNear+1)}} {
		_, _, err := m.peers["p00"].s.Submit(m.now, Spec{Code: Code{Func: "work/v1"}, Inputs: inputs("", 1), Near: near})
		if !errors.Is(err, ErrBadSpec) {
			t.Errorf("near %v: %v", near, err)
		}
	}
}
