package compute

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

func TestOnePeer(t *testing.T) {
	m := newSim(t, 1)
	m.add("a", Config{Slots: 2})
	job := m.submit("a", 100, "work/v1")
	if !m.run(time.Minute, m.finished("a", job)) {
		m.fatalf("not finished: %+v", m.peers["a"].s.Jobs())
	}
	m.verify("a", job)
	if got := m.now.Sub(m.begin); got != 500*time.Millisecond {
		t.Errorf("took %s, want 500ms: two workers, 100 tasks of 10ms", got)
	}
	if n := m.messages(); n != 0 {
		t.Errorf("a peer alone sent %d messages", n)
	}
}

func TestSpreads(t *testing.T) {
	for seed := range uint64(20) {
		m := newSim(t, seed)
		m.addN(5, Config{})
		m.run(5*time.Second, nil)
		start := m.now
		job := m.submit("p00", 1000, "work/v1")
		if !m.run(time.Minute, m.finished("p00", job)) {
			m.fatalf("not finished: %+v", m.peers["p00"].s.Jobs())
		}
		st := m.verify("p00", job)
		if len(st.ByPeer) != 5 || slices.MinFunc(st.ByPeer, byTasks).Tasks < 150 {
			m.fatalf("uneven: %v", st.ByPeer)
		}
		ideal := 2 * time.Second
		if took := m.now.Sub(start); took > ideal*115/100 {
			m.fatalf("took %s, ideal is %s", took, ideal)
		}
	}
}

func TestQuiet(t *testing.T) {
	m := newSim(t, 3)
	m.addN(5, Config{})
	job := m.submit("p02", 200, "work/v1")
	m.run(time.Minute, m.finished("p02", job))
	m.run(10*time.Second, nil)
	before := m.sent
	m.run(10*time.Minute, nil)
	for k, n := range m.sent {
		if d := n - before[k]; d > 0 && Kind(k) != KindLoad {
			t.Errorf("quiet for ten minutes, yet %d messages %s", d, Kind(k))
		}
	}
	// Each of 20 pairs registers and is answered every 30 s or so.
	if d := m.sent[KindLoad] - before[KindLoad]; d == 0 || d > 2*20*23 {
		t.Errorf("%d loads in ten quiet minutes", d)
	}
}

func TestCrashes(t *testing.T) {
	for seed := range uint64(30) {
		m := newSim(t, seed)
		m.jitter = 10 * time.Millisecond
		m.addN(6, Config{Slots: 2})
		m.run(time.Second, nil)
		job := m.submit("p00", 600, "work/v1")
		for i := range 4 {
			id := chord.PeerID(fmt.Sprintf("p%02d", 1+m.rng.IntN(5)))
			m.after(time.Duration(m.rng.IntN(700))*time.Millisecond, func() {
				if !m.peers[id].dead {
					m.crash(id, time.Duration(m.rng.IntN(1000))*time.Millisecond)
				}
			})
			if i%2 == 0 {
				m.after(time.Duration(700+m.rng.IntN(700))*time.Millisecond, func() {
					if m.peers[id].dead {
						m.add(id, Config{Slots: 2})
					}
				})
			}
		}
		if !m.run(time.Minute, m.finished("p00", job)) {
			m.fatalf("not finished: %+v", m.peers["p00"].s.Jobs())
		}
		m.verify("p00", job)
	}
}

// TestStealsInVain: a thief that is told that there is nothing sleeps after one try; one
// that is not answered tries once more, elsewhere or there.
func TestStealsInVain(t *testing.T) {
	for _, answered := range []bool{true, false} {
		m := newSim(t, 1)
		m.add("a", Config{})
		a := m.peers["a"].s
		steals := 0
		m.spy = func(msg *Message) {
			if msg.Kind != KindSteal {
				return
			}
			steals++
			if answered {
				give := Message{Kind: KindGive, From: msg.To, To: "a", Session: 1, Re: msg.Seq}
				m.after(time.Millisecond, func() { m.deliver(give) })
			}
		}
		m.call(m.peers["a"], func() Output {
			a.thief.rouse() // it fell asleep alone
			return a.SetPeers(m.now, []Neighbor{{ID: "x", Lifeline: true}, {ID: "y", Lifeline: true}, {ID: "z", Lifeline: true}})
		})
		m.run(10*time.Second, nil)
		if want := map[bool]int{true: 1, false: 2}[answered]; steals != want || !a.thief.asleep {
			t.Errorf("answered %t: %d steals, want %d; asleep %t", answered, steals, want, a.thief.asleep)
		}
	}
}
