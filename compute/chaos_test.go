package compute

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// chaos plays one seeded schedule: peers that crash, come back, pause, lose
// sight of each other or are wrongly reported down, over a network that loses,
// repeats and reorders. Every job of a peer that stays alive must end with one
// right result for each task, and the ring must be silent afterwards.
func chaos(t testing.TB, seed uint64) *sim {
	m := newSim(t, seed)
	m.every = 7
	rng := m.rng
	n := 3 + rng.IntN(5)
	m.latency = time.Duration(1+rng.IntN(20)) * time.Millisecond
	m.jitter = time.Duration(rng.IntN(40)) * time.Millisecond
	if rng.IntN(2) == 0 {
		m.loss, m.dup = rng.Float64()*0.2, rng.Float64()*0.2
	}
	scale := time.Duration(1+rng.IntN(60)) * time.Millisecond
	m.cost = func(t *Task) time.Duration { return scale * time.Duration(t.ID[0]) / 64 }
	cfg := Config{Slots: 1 + rng.IntN(3)}
	for i := range n {
		m.addSome(i, cfg)
	}
	if rng.IntN(2) == 0 {
		m.ambush(cfg)
	}
	if rng.IntN(3) == 0 {
		m.fragile()
	}
	if rng.IntN(3) == 0 { // stragglers
		m.drag[m.order[2+rng.IntN(n-2)]] = time.Duration(rng.IntN(20)) * time.Second
	}
	m.run(time.Duration(rng.IntN(1500))*time.Millisecond, nil)

	// p00 and p01 live through it all; the others do not.
	var jobs []ID
	var owners []chord.PeerID
	var units []int // of the trees of each job; 0 if it has none
	for range 1 + rng.IntN(4) {
		owner := m.order[rng.IntN(2)]
		m.after(time.Duration(rng.IntN(2000))*time.Millisecond, func() {
			fn := "work/v1"
			if rng.IntN(3) == 0 {
				fn = "rare/v1"
			}
			owners = append(owners, owner)
			spec := Spec{Code: Code{Func: fn}, Priority: int8(rng.IntN(2*MaxPriority+1) - MaxPriority)}
			n := 0
			switch rng.IntN(4) {
			case 0, 1:
				n = 1 + rng.IntN(400)
				spec.Inputs = [][]byte{treeInput(n), treeInput(n)}
			case 2: // p00 and p01 live
				spec.Code.Func, spec.Verify, spec.Inputs = "work/v1", 2, inputs("same ", 1+rng.IntN(100))
			default:
				spec.Inputs = inputs("", 1+rng.IntN(200))
			}
			units = append(units, n)
			jobs = append(jobs, m.submitSpec(owner, spec))
		})
	}
	for range rng.IntN(8) {
		id := m.order[2+rng.IntN(n-2)]
		m.after(time.Duration(rng.IntN(4000))*time.Millisecond, func() { m.trouble(id, cfg) })
	}
	verify := func(i int) {
		st, _ := m.peers[owners[i]].s.Job(jobs[i])
		switch {
		case units[i] > 0:
			m.verifyTree(owners[i], jobs[i], units[i])
		case st.Verify > 0:
			m.verifyVotes(owners[i], jobs[i])
		default:
			m.verify(owners[i], jobs[i])
		}
	}
	m.run(5*time.Second, nil)
	for i, job := range jobs {
		if !m.run(5*time.Minute, m.finished(owners[i], job)) {
			st, _ := m.peers[owners[i]].s.Job(job)
			m.fatalf("job %d at %s not finished: %+v", i, owners[i], st)
		}
		verify(i)
	}
	m.settleDown()
	for i := range jobs {
		verify(i)
	}
	return m
}

// addSome starts the peer with an index, or starts it again: every third has
// one function more, p01 among them.
func (m *sim) addSome(i int, cfg Config) {
	cfg.Funcs = []string{"work/v1"}
	if i%3 == 1 {
		cfg.Funcs = append(cfg.Funcs, "rare/v1")
	}
	m.add(chord.PeerID(fmt.Sprintf("p%02d", i)), cfg)
}

// ambush crashes a peer just as it sends or should receive a message of some kind.
func (m *sim) ambush(cfg Config) {
	kind := Kind(2 + m.rng.IntN(int(KindReturn)-1))
	countdown := m.rng.IntN(12)
	m.spy = func(msg *Message) {
		if msg.Kind != kind {
			return
		}
		victim := msg.From
		if m.rng.IntN(2) == 0 {
			victim = msg.To
		}
		i := slices.Index(m.order, victim)
		if countdown--; countdown >= 0 || i < 2 || m.peers[victim].dead {
			return
		}
		m.spy = nil
		wait := time.Duration(m.rng.IntN(30)) * time.Millisecond
		m.after(wait, func() { m.crash(victim, time.Duration(m.rng.IntN(1000))*time.Millisecond) })
		if m.rng.IntN(2) == 0 {
			m.after(wait+time.Second, func() { m.addSome(i, cfg) })
		}
	}
}

// fragile makes some tasks crash a few times before they succeed.
func (m *sim) fragile() {
	m.result = func(p *simPeer, t *Task) Result {
		switch {
		case t.Index%7 == 3 && t.Attempt < 4:
			return Result{Crashed: true, Err: "crash"}
		default:
			return Result{Output: fmt.Appendf(nil, "%s:%s", p.id, t.Input)}
		}
	}
}

// trouble does something bad to a peer.
func (m *sim) trouble(id chord.PeerID, cfg Config) {
	p := m.peers[id]
	ms := func(n int) time.Duration { return time.Duration(m.rng.IntN(n)) * time.Millisecond }
	again := func() { m.addSome(slices.Index(m.order, id), cfg) }
	if p.dead {
		again()
		return
	}
	switch m.rng.IntN(6) {
	case 0:
		m.crash(id, ms(3000))
	case 1: // comes back before anybody has noticed
		m.crash(id, time.Hour)
		m.after(ms(500), again)
	case 2: // stands still
		p.paused = m.now.Add(ms(15000))
	case 3: // wrongly reported
		for _, other := range m.order {
			if q := m.peers[other]; other != id && !q.dead && m.rng.IntN(2) == 0 {
				m.call(q, func() Output { return q.s.PeerDown(m.now, id) })
			}
		}
	case 4: // cut off, perhaps in one direction only
		oneWay := m.rng.IntN(2) == 0
		var cut [][2]chord.PeerID
		for _, other := range m.order {
			cut = append(cut, [2]chord.PeerID{id, other})
			if !oneWay {
				cut = append(cut, [2]chord.PeerID{other, id})
			}
		}
		for _, c := range cut {
			m.cut[c] = true
		}
		m.after(ms(20000), func() {
			for _, c := range cut {
				delete(m.cut, c)
			}
		})
	case 5: // stops in order
		m.call(p, func() Output { return p.s.Drain(m.now) })
		m.after(2*time.Second, func() { m.crash(id, 0) })
	}
}

// settleDown checks that soon nothing is left anywhere and nothing is sent
// but the slow refresh.
func (m *sim) settleDown() {
	m.loss, m.dup = 0, 0
	m.run(2*time.Minute, nil)
	for _, id := range m.order {
		p := m.peers[id]
		if p.dead {
			continue
		}
		st := p.s.Stats()
		if st.Queued+st.Running+st.Foreign+st.Jobs > 0 || len(p.s.holder.clients)+len(p.s.victim.transfers) > 0 {
			m.fatalf("%s is left with %+v, %d clients, %d transfers", id, st, len(p.s.holder.clients), len(p.s.victim.transfers))
		}
	}
	before := m.sent
	m.run(5*time.Minute, nil)
	for k, n := range m.sent {
		limit := before[k]
		if Kind(k) == KindLoad {
			limit += 2 * len(m.order) * len(m.order) * 12
		}
		if n > limit {
			m.fatalf("quiet, yet %d messages %s in 5 minutes", n-before[k], Kind(k))
		}
	}
}

func TestChaos(t *testing.T) {
	n := uint64(40)
	if testing.Short() {
		n = 10
	}
	for seed := range n {
		chaos(t, seed)
	}
}

// TestSoakChaos plays many more schedules, from a seed given by CHORUS_SEED.
func TestSoakChaos(t *testing.T) {
	if os.Getenv("CHORUS_SOAK") == "" {
		t.Skip("long; set CHORUS_SOAK")
	}
	first, n := uint64(1000), uint64(5000)
	if s := os.Getenv("CHORUS_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &first); err != nil {
			t.Fatal(err)
		}
		n = 1
	}
	var total Stats
	for seed := first; seed < first+n; seed++ {
		m := chaos(t, seed)
		for _, p := range m.peers {
			st := p.s.Stats()
			total.Done += st.Done
			total.StolenIn += st.StolenIn
			total.Reruns += st.Reruns
			total.Stale += st.Stale
			total.Resent += st.Resent
		}
	}
	t.Logf("%d schedules: %d runs, %d stolen, %d run again, %d stale, %d repeats",
		n, total.Done, total.StolenIn, total.Reruns, total.Stale, total.Resent)
}
