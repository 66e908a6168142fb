package model

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/uts"
)

// background is the context of tasks, which end by themselves.
var background = context.Background()

// workFunc is what the tasks of a shop run.
const workFunc = "work/v1"

// shop is a set of schedulers with a worker each, and the network between them,
// in virtual time. Everything in it follows from the seed.
type shop struct {
	s     WorkSettings
	rep   WorkReport
	rng   *rand.Rand
	now   time.Duration
	queue events
	peers []*hand
	byID  map[chord.PeerID]*hand

	perNode  time.Duration // of a tree
	nodes    uint64        // of a tree: the right number
	ended    bool          // the one job
	endedAt  time.Duration
	arrivals map[compute.ID]time.Duration // of jobs of one task
	answered int
	response float64 // seconds, of all that were answered
	lost     compute.Stats
}

// hand is a peer of a shop.
type hand struct {
	id     chord.PeerID
	ord    int
	core   *compute.Scheduler // nil while down
	life   int
	tickAt time.Duration
}

func newShop(s WorkSettings) (*shop, error) {
	x := &shop{
		s: s, rng: rand.New(rand.NewPCG(s.Seed, 0x73686f70)),
		byID: make(map[chord.PeerID]*hand), arrivals: make(map[compute.ID]time.Duration),
	}
	x.rep = WorkReport{
		Workload: s.Workload, Peers: s.Peers, Seed: s.Seed, WorkS: s.Work.Seconds(), GrainS: s.Grain.Seconds(),
		RTTms: float64(s.RTT.Microseconds()) / 1000,
	}
	if s.Workload == WorkPareto {
		x.rep.Load = s.Load
	}
	for i := range s.Peers {
		p := &hand{id: workerID(i), ord: i}
		x.peers = append(x.peers, p)
		x.byID[p.id] = p
	}
	for _, p := range x.peers {
		if err := x.open(p); err != nil {
			return nil, err
		}
	}
	for _, p := range x.peers {
		x.meet(p)
	}
	return x, nil
}

// open gives a peer a scheduler with empty hands.
func (x *shop) open(p *hand) (err error) {
	cfg := compute.Config{
		Self: p.id, Session: uint64(p.life + 1), Funcs: []string{workFunc},
		MaxTasks: 1 << 20, MaxBytes: 4 << 30, MaxJobOutput: 4 << 30, MaxHistory: 16,
	}
	p.core, err = compute.New(cfg, x.clock(), rand.New(rand.NewPCG(x.rng.Uint64(), x.rng.Uint64())))
	p.life++
	p.tickAt = 0
	return err
}

// meet tells a peer of its lifelines and of some others.
func (x *shop) meet(p *hand) {
	lines, others := lifelines(x.rng, p.ord, len(x.peers))
	seen := make(map[int]bool)
	var ns []compute.Neighbor
	for i, ord := range append(lines, others...) {
		if ord == p.ord || seen[ord] {
			continue
		}
		seen[ord] = true
		ns = append(ns, compute.Neighbor{ID: x.peers[ord].id, RTT: x.s.RTT, Lifeline: i < len(lines)})
	}
	x.apply(p, p.core.SetPeers(x.clock(), ns))
}

// start brings a killed peer back.
func (x *shop) start(p *hand) {
	if err := x.open(p); err != nil {
		panic("model: a scheduler that cannot be: " + err.Error()) // its like was made before
	}
	x.meet(p)
}

// kill ends a peer at once. The others hear of it after a round trip, as from
// connections that break.
func (x *shop) kill(p *hand) {
	x.tally(p)
	p.core = nil
	x.after(x.s.RTT, func() {
		for _, other := range x.peers {
			if other.core != nil && other != p {
				x.apply(other, other.core.PeerDown(x.clock(), p.id))
			}
		}
	})
}

func (x *shop) clock() time.Time { return epoch.Add(x.now) }

func (x *shop) tell(part string, done float64) {
	if x.s.Tell != nil {
		x.s.Tell(part, done)
	}
}

func (x *shop) after(d time.Duration, do func()) {
	x.queue.push(event{at: x.now + d, kind: eventDo, do: do})
}

// run lets time pass.
func (x *shop) run(d time.Duration) {
	until := x.now + d
	for {
		e, ok := x.queue.pop(until)
		if !ok {
			break
		}
		x.now = e.at
		e.do()
	}
	x.now = until
}

// submitOne submits a job of one task with a given time.
func (x *shop) submitOne(p *hand, cost time.Duration) {
	input := binary.BigEndian.AppendUint64(nil, uint64(cost))
	id, out, err := p.core.Submit(x.clock(), compute.Spec{Code: compute.Code{Func: workFunc}, Inputs: [][]byte{input}})
	if err == nil {
		x.arrivals[id] = x.now
	}
	x.apply(p, out)
}

// apply does what a call of a scheduler asks for.
func (x *shop) apply(p *hand, out compute.Output) {
	for i := range out.Send {
		m := out.Send[i]
		to := x.byID[m.To]
		x.rep.Messages++
		x.after(x.s.RTT/2, func() {
			if to.core == nil {
				return
			}
			// Messages of an earlier life of the sender are refused and counted there.
			out, _ := to.core.Step(x.clock(), m)
			x.apply(to, out)
		})
	}
	for _, t := range out.Run {
		x.work(p, t)
	}
	for _, id := range out.Finished {
		x.finished(id)
	}
	x.plan(p)
}

// plan makes sure that a scheduler's timers run.
func (x *shop) plan(p *hand) {
	due := p.core.Deadline()
	if due.IsZero() {
		return
	}
	at := max(due.Sub(epoch), x.now)
	if p.tickAt > x.now && p.tickAt <= at {
		return
	}
	p.tickAt = at
	life := p.life
	x.after(at-x.now, func() {
		if p.core == nil || p.life != life || p.tickAt != at {
			return
		}
		p.tickAt = 0
		x.apply(p, p.core.Tick(x.clock()))
	})
}

// work runs a task: its result is there at once, and told when its time has passed.
func (x *shop) work(p *hand, t compute.Task) {
	r, cost := x.outcome(&t)
	r.Task, r.Attempt, r.Elapsed = t.ID, t.Attempt, cost
	life := p.life
	x.after(cost, func() {
		if p.core != nil && p.life == life {
			x.apply(p, p.core.Ran(x.clock(), r))
		}
	})
}

// outcome is what a task gives, and how long it takes.
func (x *shop) outcome(t *compute.Task) (r compute.Result, cost time.Duration) {
	switch {
	case x.s.Workload == WorkBag:
		return r, x.s.Grain
	case x.s.Workload == WorkPareto:
		return r, time.Duration(binary.BigEndian.Uint64(t.Input))
	case t.Join:
		out, err := uts.Join(background, t.Input, t.Parts)
		if err != nil {
			r.Err = err.Error()
		}
		r.Output = out
		return r, 20 * time.Microsecond
	}
	out, parts, err := uts.Work(background, t.Input)
	if err != nil {
		return compute.Result{Err: err.Error()}, 0
	}
	c, _ := uts.ParseCount(string(out)) // what Work has just written
	return compute.Result{Output: out, Fork: parts}, time.Duration(c.Nodes) * x.perNode
}

func (x *shop) finished(id compute.ID) {
	at, ok := x.arrivals[id]
	if !ok {
		x.ended, x.endedAt = true, x.now
		return
	}
	delete(x.arrivals, id)
	x.answered++
	x.response += (x.now - at).Seconds()
}

// tally keeps the counters of a peer that is about to go.
func (x *shop) tally(p *hand) {
	st := p.core.Stats()
	x.lost.Steals += st.Steals
	x.lost.StealsFailed += st.StealsFailed
	x.lost.Reruns += st.Reruns
	x.lost.Refused += st.Refused
}

func (x *shop) count() {
	for _, p := range x.peers {
		if p.core != nil {
			x.tally(p)
		}
	}
	x.rep.Steals, x.rep.StealsFailed, x.rep.Reruns = x.lost.Steals, x.lost.StealsFailed, x.lost.Reruns
	x.rep.Refused = x.lost.Refused
	if x.rep.Tasks > 0 {
		x.rep.PerTask = float64(x.rep.Steals) / float64(x.rep.Tasks)
	}
	x.rep.VirtualS = x.now.Seconds()
}

// stealing counts the messages of stealing that live peers have sent.
func (x *shop) stealing() (n uint64) {
	for _, p := range x.peers {
		if p.core == nil {
			continue
		}
		st := p.core.Stats()
		for k := range st.Sent {
			if compute.Kind(k) != compute.KindLoad {
				n += st.Sent[k]
			}
		}
	}
	return n
}
