package compute

import (
	"bytes"
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// sim drives schedulers under an event queue in virtual time. It is the
// driver that doc.go describes, with a network that it can spoil.
type sim struct {
	t     testing.TB
	seed  uint64
	rng   *rand.Rand
	now   time.Time
	begin time.Time
	queue simQueue
	n     int // events so far, to break ties
	peers map[chord.PeerID]*simPeer
	order []chord.PeerID

	latency time.Duration // one way
	jitter  time.Duration
	loss    float64
	dup     float64
	cut     map[[2]chord.PeerID]bool

	cost   func(t *Task) time.Duration
	drag   map[chord.PeerID]time.Duration   // what runs take longer at a peer
	result func(p *simPeer, t *Task) Result // nil: succeeds with peer and index
	every  int                              // check invariants after every so many calls; 0 never
	calls  int
	sent   [KindReturn + 1]int
	spy    func(m *Message) // sees each message before it leaves
}

type simPeer struct {
	id     chord.PeerID
	s      *Scheduler
	life   int // messages and timers of earlier lives are void
	dead   bool
	paused time.Time // nothing happens before
	tick   time.Time // earliest planned
	runs   map[run]bool
	ran    int
	done   map[ID]int // finished jobs, how often
}

type simEvent struct {
	at time.Time
	n  int
	do func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].n < q[j].n
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func newSim(t testing.TB, seed uint64) *sim {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return &sim{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), now: begin, begin: begin,
		peers: make(map[chord.PeerID]*simPeer), cut: make(map[[2]chord.PeerID]bool), drag: make(map[chord.PeerID]time.Duration),
		latency: 5 * time.Millisecond, every: 1,
		cost: func(*Task) time.Duration { return 10 * time.Millisecond },
	}
}

func (m *sim) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("seed %d at %s: %s", m.seed, m.now.Sub(m.begin), fmt.Sprintf(format, args...))
}

func (m *sim) after(d time.Duration, do func()) {
	m.n++
	heap.Push(&m.queue, simEvent{m.now.Add(d), m.n, do})
}

// add starts a peer, or starts it again with empty hands.
func (m *sim) add(id chord.PeerID, cfg Config) *simPeer {
	cfg.Self = id
	if cfg.Funcs == nil {
		cfg.Funcs = []string{"work/v1"}
	}
	s, err := New(cfg, m.now, rand.New(rand.NewPCG(m.seed, uint64(len(m.order)))))
	if err != nil {
		m.fatalf("%v", err)
	}
	p := m.peers[id]
	if p == nil {
		p = &simPeer{id: id, done: make(map[ID]int)}
		m.peers[id] = p
		m.order = append(m.order, id)
		slices.Sort(m.order)
	}
	p.s, p.dead, p.runs, p.tick, p.paused = s, false, make(map[run]bool), time.Time{}, time.Time{}
	p.life++
	m.view()
	return p
}

func (m *sim) addN(n int, cfg Config) {
	for i := range n {
		m.add(chord.PeerID(fmt.Sprintf("p%02d", i)), cfg)
	}
}

// view tells all live peers of each other.
func (m *sim) view() {
	for _, id := range m.order {
		p := m.peers[id]
		if p.dead {
			continue
		}
		m.call(p, func() Output { return p.s.SetPeers(m.now, m.neighbors(id)) })
	}
}

// neighbors are all live peers in a small simulation; fingers of a ring by
// index in a large one.
func (m *sim) neighbors(self chord.PeerID) []Neighbor {
	var live []chord.PeerID
	for _, id := range m.order {
		if !m.peers[id].dead {
			live = append(live, id)
		}
	}
	var ns []Neighbor
	if len(live) <= 16 {
		for _, id := range live {
			if id != self {
				ns = append(ns, Neighbor{ID: id, RTT: 2 * m.latency, Lifeline: true})
			}
		}
		return ns
	}
	i := slices.Index(live, self)
	for d := 1; d < len(live); d *= 2 {
		ns = append(ns, Neighbor{ID: live[(i+d)%len(live)], RTT: 2 * m.latency, Lifeline: true})
	}
	return ns
}

// call runs one call into a scheduler, now or when its pause ends, and does
// what its output says.
func (m *sim) call(p *simPeer, f func() Output) {
	if m.now.Before(p.paused) {
		life := p.life
		m.after(p.paused.Sub(m.now), func() {
			if p.life == life && !p.dead {
				m.call(p, f)
			}
		})
		return
	}
	m.apply(p, f())
}

func (m *sim) apply(p *simPeer, out Output) {
	m.calls++
	if m.every > 0 && m.calls%m.every == 0 {
		if err := p.s.check(); err != nil {
			m.fatalf("%s: %v", p.id, err)
		}
	}
	for _, msg := range out.Send {
		m.send(msg)
	}
	for i := range out.Run {
		m.start(p, &out.Run[i])
	}
	for _, id := range out.Finished {
		p.done[id]++
	}
	m.plan(p)
}

func (m *sim) plan(p *simPeer) {
	due := p.s.Deadline()
	if due.IsZero() || !p.tick.IsZero() && !due.Before(p.tick) && p.tick.After(m.now) {
		return
	}
	p.tick = due
	life := p.life
	m.after(max(0, due.Sub(m.now)), func() {
		if p.life != life || p.dead || !p.tick.Equal(due) {
			return
		}
		p.tick = time.Time{}
		m.call(p, func() Output { return p.s.Tick(m.now) })
	})
}

func (m *sim) start(p *simPeer, t *Task) {
	key := run{t.ID, t.Attempt}
	if p.runs[key] {
		m.fatalf("%s: started %s attempt %d twice", p.id, t.ID.Short(), t.Attempt)
	}
	if t.Code.Cap() != CapWASM && !slices.Contains(p.s.can, t.Code.Cap()) {
		m.fatalf("%s: started %s, which it does not have", p.id, t.Code)
	}
	p.runs[key] = true
	life, cost := p.life, m.cost(t)+m.drag[p.id]
	m.after(cost, func() {
		if p.life != life || p.dead {
			return
		}
		m.call(p, func() Output {
			delete(p.runs, key)
			r := Result{Output: fmt.Appendf(nil, "%s:%s", p.id, t.Input)}
			switch _, tree := isTree(t); {
			case tree, t.Join:
				r = m.grow(t)
			case bytes.HasPrefix(t.Input, []byte("same ")):
				r = Result{Output: t.Input}
			case m.result != nil:
				r = m.result(p, t)
			}
			r.Task, r.Attempt, r.Elapsed = t.ID, t.Attempt, cost
			p.ran++
			return p.s.Ran(m.now, r)
		})
	})
}

func (m *sim) send(msg Message) {
	m.sent[msg.Kind]++
	if m.spy != nil {
		m.spy(&msg)
	}
	copies := 1
	if m.rng.Float64() < m.dup {
		copies = 2
	}
	for range copies {
		if m.rng.Float64() < m.loss {
			continue
		}
		d := m.latency
		if m.jitter > 0 {
			d += time.Duration(m.rng.Int64N(int64(m.jitter)))
		}
		m.after(d, func() { m.deliver(msg) })
	}
}

func (m *sim) deliver(msg Message) {
	p := m.peers[msg.To]
	if p == nil || p.dead || m.cut[[2]chord.PeerID{msg.From, msg.To}] {
		return
	}
	m.call(p, func() Output {
		out, err := p.s.Step(m.now, msg)
		if err != nil && !strings.Contains(err.Error(), ErrStale.Error()) {
			m.fatalf("%s: %v", p.id, err)
		}
		return out
	})
}

// crash ends a peer at once; the others hear of it after a while.
func (m *sim) crash(id chord.PeerID, heard time.Duration) {
	m.peers[id].dead = true
	life := m.peers[id].life
	m.after(heard, func() {
		if m.peers[id].life == life {
			m.down(id)
		}
	})
}

// down tells all others that a peer is gone.
func (m *sim) down(id chord.PeerID) {
	for _, other := range m.order {
		if p := m.peers[other]; !p.dead && other != id {
			m.call(p, func() Output { return p.s.PeerDown(m.now, id) })
		}
	}
	m.view()
}

func (m *sim) submit(id chord.PeerID, n int, fn string) ID {
	return m.submitSpec(id, Spec{Code: Code{Func: fn}, Inputs: inputs("", n)})
}

// inputs makes n inputs that end with their numbers. What tasks whose input begins with
// "same " put out is the same wherever they run.
func inputs(prefix string, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = fmt.Appendf(nil, "%s%d", prefix, i)
	}
	return list
}

func (m *sim) submitSpec(id chord.PeerID, spec Spec) ID {
	p := m.peers[id]
	job, out, err := p.s.Submit(m.now, spec)
	if err != nil {
		m.fatalf("submit: %v", err)
	}
	m.apply(p, out)
	return job
}

// run lets time pass for d, or until the condition holds; it reports whether it does.
func (m *sim) run(d time.Duration, until func() bool) bool {
	end := m.now.Add(d)
	for {
		if until != nil && until() {
			return true
		}
		if len(m.queue) == 0 || m.queue[0].at.After(end) {
			m.now = end
			return until != nil && until()
		}
		e := heap.Pop(&m.queue).(simEvent)
		m.now = e.at
		e.do()
	}
}

func (m *sim) finished(id chord.PeerID, jobs ...ID) func() bool {
	return func() bool {
		p := m.peers[id]
		for _, j := range jobs {
			if p.done[j] == 0 {
				return false
			}
		}
		return true
	}
}

// verify checks that a job is done: once, with one right result for each task.
func (m *sim) verify(id chord.PeerID, job ID) JobStatus {
	m.t.Helper()
	p := m.peers[id]
	st, ok := p.s.Job(job)
	if !ok || st.State != JobDone || st.Done != st.Tasks || p.done[job] != 1 {
		m.fatalf("job %s: %+v, finished %d times", job.Short(), st, p.done[job])
	}
	total := 0
	for _, c := range st.ByPeer {
		total += c.Tasks
	}
	if total != st.Tasks {
		m.fatalf("job %s: by peer %v of %d tasks", job.Short(), st.ByPeer, st.Tasks)
	}
	for i, ts := range p.s.Tasks(job, 0, st.Tasks) {
		want := fmt.Sprintf("%s:%d", ts.Result.Peer, i)
		if string(ts.Result.Output) != want || ts.State != TaskDone {
			m.fatalf("task %d: %s %q, want %q", i, ts.State, ts.Result.Output, want)
		}
	}
	return st
}

func (m *sim) messages() int {
	n := 0
	for _, k := range m.sent {
		n += k
	}
	return n
}

func (m *sim) stats(get func(Stats) uint64) uint64 {
	var n uint64
	for _, p := range m.peers {
		n += get(p.s.Stats())
	}
	return n
}

func byTasks(a, b PeerCount) int { return cmp.Compare(a.Tasks, b.Tasks) }
