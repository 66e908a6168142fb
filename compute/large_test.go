package compute

import (
	"slices"
	"testing"
	"time"
)

// TestLargeRing spreads one job over a ring that no peer knows all of, and
// looks at what that costs.
func TestLargeRing(t *testing.T) {
	peers, each := 128, 40
	if testing.Short() {
		peers = 48
	}
	m := newSim(t, 11)
	m.every = 0
	m.latency = 10 * time.Millisecond
	m.cost = func(t *Task) time.Duration { return time.Duration(t.ID[0]+1) * 4 * time.Millisecond } // half a second
	m.addN(peers, Config{Renew: time.Minute, Lease: 4 * time.Minute})                               // so that each Hold is a steal's
	m.run(5*time.Second, nil)
	before, start := m.sent, m.now
	tasks := peers * each
	job := m.submit("p00", tasks, "work/v1")
	if !m.run(10*time.Minute, m.finished("p00", job)) {
		m.fatalf("not finished: %+v", m.peers["p00"].s.Jobs())
	}
	st := m.verify("p00", job)
	var work time.Duration
	for i := range tasks {
		id := TaskID(job, ID{}, uint32(i))
		work += m.cost(&Task{ID: id})
	}
	took := m.now.Sub(start)
	efficiency := float64(work) / float64(peers) / float64(took)
	least := 0
	if len(st.ByPeer) == peers {
		least = slices.MinFunc(st.ByPeer, byTasks).Tasks
	}
	steals := m.stats(func(s Stats) uint64 { return s.Steals })
	moved := m.stats(func(s Stats) uint64 { return s.StolenIn })
	vain := m.stats(func(s Stats) uint64 { return s.StealsFailed })
	perSteal := 0
	for _, k := range []Kind{KindSteal, KindGive, KindTaken, KindHold, KindHeld} {
		perSteal += m.sent[k] - before[k]
	}
	t.Logf("efficiency %.3f, %d steals (%d in vain) of %.2f messages, each task moved %.2f times, %.1f messages a peer and second",
		efficiency, steals, vain, float64(perSteal)/float64(steals), float64(moved)/float64(tasks),
		float64(m.messages())/float64(peers)/took.Seconds())
	if len(st.ByPeer) != peers || efficiency < 0.9 || steals > uint64(tasks)/3 || perSteal > 5*int(steals) {
		m.fatalf("%d of %d peers took part, from %d tasks; efficiency %.3f; %d steals", len(st.ByPeer), peers, least, efficiency, steals)
	}
}
