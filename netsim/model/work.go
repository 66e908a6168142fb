package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/compute/uts"
)

// Workload names what RunWork has the peers do.
type Workload string

// The workloads.
const (
	// WorkUTS is one job: a geometric tree, which divides itself, with Work for
	// each peer. The ideal is that all peers work all the time.
	WorkUTS Workload = "uts"
	// WorkBag is one job of independent tasks at one peer, with Work for each
	// peer. The ideal is the same.
	WorkBag Workload = "bag"
	// WorkPareto is a stream of jobs of one task at random peers, which keeps them
	// busy for Load of the time during Work. Tasks take Pareto times (a = 1.5, at
	// least Grain). The ideal is a central queue that knows every peer at once.
	WorkPareto Workload = "pareto"
)

// Workloads lists them.
func Workloads() []Workload { return []Workload{WorkUTS, WorkPareto, WorkBag} }

// WorkSettings describes a run of tasks. The zero value of a field means what
// its comment says.
type WorkSettings struct {
	Workload Workload
	Peers    int           // of one worker each; 0: 100
	Seed     uint64        // what everything follows from
	Work     time.Duration // for each peer; 0: 60 s
	Grain    time.Duration // of a task; 0: 1 s, and 300 ms with WorkUTS
	RTT      time.Duration // between two peers; 0: 20 ms
	Load     float64       // of WorkPareto; 0: 0.8
	// Kill is how many peers are killed when a quarter of the ideal time has
	// passed. They start again, with empty hands, 10 s later. The submitter of a job
	// is none of them.
	Kill int

	Tell func(part string, done float64) // like Settings.Tell
}

// WorkReport is what a run of tasks found.
type WorkReport struct {
	Workload Workload `json:"workload"`
	Peers    int      `json:"peers"`
	Seed     uint64   `json:"seed"`
	WorkS    float64  `json:"work_s"`  // for each peer
	GrainS   float64  `json:"grain_s"` // of a task
	RTTms    float64  `json:"rtt_ms"`
	Load     float64  `json:"load,omitempty"`
	Killed   int      `json:"killed"`
	VirtualS float64  `json:"virtual_s"`

	Tasks int `json:"tasks"`
	Done  int `json:"done"`
	// Efficiency is the ideal time over the time taken: of the whole, or with
	// WorkPareto of the mean response.
	Efficiency float64 `json:"efficiency"`
	IdealS     float64 `json:"ideal_s"`
	TakenS     float64 `json:"taken_s"`

	Steals       uint64  `json:"steals"`         // asked for
	StealsFailed uint64  `json:"steals_failed"`  // of them
	Reruns       uint64  `json:"reruns"`         // attempts after the first one
	Messages     uint64  `json:"messages"`       // of all kinds
	Refused      uint64  `json:"refused"`        // of them: stale, or of more peers than a table has room for
	PerTask      float64 `json:"steals_a_task"`  // asked for
	WallS        float64 `json:"wall_s"`         // of this machine
	Nodes        uint64  `json:"nodes"`          // of a tree: found
	Right        bool    `json:"right"`          // every task has its one right result
	AfterQuiet   uint64  `json:"messages_quiet"` // in 60 s after the end, gossip and registrations left out
	RSSMiB       float64 `json:"rss_mib"`        // of the process; the caller's to set
}

func (s WorkSettings) withDefaults() WorkSettings {
	if s.Peers == 0 {
		s.Peers = 100
	}
	if s.Work == 0 {
		s.Work = time.Minute
	}
	if s.Grain == 0 {
		s.Grain = min(time.Second, s.Work)
		if s.Workload == WorkUTS {
			s.Grain = min(300*time.Millisecond, s.Work)
		}
	}
	if s.RTT == 0 {
		s.RTT = 20 * time.Millisecond
	}
	if s.Load == 0 {
		s.Load = 0.8
	}
	return s
}

func (s WorkSettings) validate() error {
	switch {
	case s.Workload != WorkUTS && s.Workload != WorkBag && s.Workload != WorkPareto:
		return fmt.Errorf("model settings: Workload is %q, want one of %v", s.Workload, Workloads())
	case s.Peers < 1 || s.Peers > MaxWorkers:
		return fmt.Errorf("model settings: Peers is %d, want 1 to %d for tasks", s.Peers, MaxWorkers)
	case s.Work < 0 || s.Grain <= 0 || s.Grain > s.Work:
		return fmt.Errorf("model settings: Work is %v and Grain %v, want 0 < Grain <= Work", s.Work, s.Grain)
	case s.RTT < 0 || s.RTT > time.Minute:
		return fmt.Errorf("model settings: RTT is %v, want 0 to 1m", s.RTT)
	case s.Load <= 0 || s.Load >= 1:
		return fmt.Errorf("model settings: Load is %v, want above 0 and below 1", s.Load)
	case s.Kill < 0 || s.Kill >= s.Peers:
		return fmt.Errorf("model settings: Kill is %d, want fewer than the %d peers", s.Kill, s.Peers)
	case s.Kill > 0 && s.Workload == WorkPareto:
		return errors.New("model settings: Kill takes the jobs of a peer with it, which " + string(WorkPareto) + " has at all peers")
	}
	return nil
}

// MaxWorkers bounds the peers of a run of tasks.
const MaxWorkers = 16 << 10

// RunWork has peers share tasks: the scheduler cores of real peers, each with
// one worker, in virtual time. Every peer knows its lifelines and as many others as
// lifelines; messages take half of RTT.
func RunWork(ctx context.Context, s WorkSettings) (WorkReport, error) {
	s = s.withDefaults()
	if err := s.validate(); err != nil {
		return WorkReport{}, err
	}
	start := time.Now()
	x, err := newShop(s)
	if err != nil {
		return WorkReport{}, err
	}
	if s.Workload == WorkPareto {
		err = x.stream(ctx)
	} else {
		err = x.single(ctx)
	}
	x.count()
	x.rep.WallS = time.Since(start).Seconds()
	return x.rep, err
}

// treeFor returns a geometric tree with enough nodes for so many tasks, and how
// many it has.
func treeFor(ctx context.Context, tasks int) (uts.Tree, uint64, error) {
	tree := uts.Tree{Type: uts.Geometric, Shape: 3, B: 4, Seed: 19}
	const nodesATask = 64 // or more: so many nodes that a task can be cut anywhere
	for tree.Depth = 5; ; tree.Depth++ {
		c, err := tree.Search(ctx)
		if err != nil {
			return tree, 0, err
		}
		if c.Nodes >= uint64(tasks)*nodesATask || tree.Depth == 13 {
			tree.Grain = max(int(c.Nodes/uint64(tasks)), 1)
			return tree, c.Nodes, nil
		}
	}
}

// single runs one job until it has ended.
func (x *shop) single(ctx context.Context) error {
	s := x.s
	tasks := int(s.Work/s.Grain) * s.Peers
	spec := compute.Spec{Code: compute.Code{Func: workFunc}}
	if s.Workload == WorkUTS {
		tree, nodes, err := treeFor(ctx, tasks)
		if err != nil {
			return err
		}
		x.perNode = time.Duration(float64(s.Work) * float64(s.Peers) / float64(nodes))
		x.nodes = nodes
		spec.Inputs = [][]byte{[]byte(tree.String())}
	} else {
		spec.Inputs = make([][]byte, tasks)
	}
	ideal := s.Work
	x.rep.IdealS = ideal.Seconds()
	x.run(s.RTT * 10) // gossip and registrations settle
	began := x.now
	job, out, err := x.peers[0].core.Submit(x.clock(), spec)
	if err != nil {
		return err
	}
	x.apply(x.peers[0], out)
	if s.Kill > 0 {
		x.after(ideal/4, x.massacre)
	}
	limit := began + 20*ideal + time.Minute
	for !x.ended && x.now < limit {
		if err := ctx.Err(); err != nil {
			return err
		}
		x.tell("tasks", math.Min(float64(x.now-began)/float64(ideal), 1))
		x.run(ideal / 50)
	}
	x.rep.TakenS = (x.endedAt - began).Seconds()
	st, _ := x.peers[0].core.Job(job)
	x.rep.Tasks, x.rep.Done = st.Tasks, st.Done
	if !x.ended {
		return fmt.Errorf("model: the job has not ended after %v: %+v", limit-began, st)
	}
	x.rep.Efficiency = ideal.Seconds() / x.rep.TakenS
	x.rep.Right = st.State == compute.JobDone && st.Done == st.Tasks
	if s.Workload == WorkUTS {
		out := x.peers[0].core.Tasks(job, 0, 1)[0].Result.Output
		c, err := uts.ParseCount(string(out))
		x.rep.Nodes = c.Nodes
		x.rep.Right = x.rep.Right && err == nil && c.Nodes == x.nodes
	}
	x.quiet()
	return nil
}

// massacre kills peers, and starts them again later.
func (x *shop) massacre() {
	for _, i := range x.rng.Perm(len(x.peers) - 1)[:x.s.Kill] {
		p := x.peers[i+1]
		x.kill(p)
		x.after(10*time.Second, func() { x.start(p) })
	}
	x.rep.Killed = x.s.Kill
}

// quiet counts what is sent when nothing is to be done.
func (x *shop) quiet() {
	before := x.stealing()
	x.run(time.Minute)
	x.rep.AfterQuiet = x.stealing() - before
}

// pareto draws the time of a task: a = 1.5, at least low, at most 60 times that,
// so that the mean of a run is near that of the distribution.
func pareto(rng *rand.Rand, low time.Duration) time.Duration {
	const a, most = 1.5, 60
	u := 1 - rng.Float64()
	return time.Duration(float64(low) * math.Min(math.Pow(u, -1/a), most))
}

// stream has jobs of one task come in at random peers, and compares their mean
// response with that of one queue for all peers.
func (x *shop) stream(ctx context.Context) error {
	s := x.s
	const draws = 1 << 16
	mean := 0.0
	for range draws {
		mean += pareto(x.rng, s.Grain).Seconds() / draws
	}
	gap := mean / (s.Load * float64(s.Peers)) // between two arrivals
	x.run(s.RTT * 10)
	central := newCentral(s.Peers)
	ideal, n := 0.0, 0
	end := x.now + s.Work
	for at := x.now; ; n++ {
		at += time.Duration(x.rng.ExpFloat64() * gap * float64(time.Second))
		if at > end {
			break
		}
		cost := pareto(x.rng, s.Grain)
		ideal += (central.serve(at, cost) - at).Seconds()
		p := x.peers[x.rng.IntN(len(x.peers))]
		x.after(at-x.now, func() { x.submitOne(p, cost) })
	}
	for x.answered < n && x.now < end+10*s.Work {
		if err := ctx.Err(); err != nil {
			return err
		}
		x.tell("tasks", math.Min(float64(x.answered)/float64(n), 1))
		x.run(s.Work / 50)
	}
	x.rep.Tasks, x.rep.Done, x.rep.Right = n, x.answered, x.answered == n
	if x.answered < n {
		return fmt.Errorf("model: %d of %d tasks have not ended", n-x.answered, n)
	}
	x.rep.IdealS, x.rep.TakenS = ideal/float64(n), x.response/float64(n)
	x.rep.Efficiency = x.rep.IdealS / x.rep.TakenS
	x.quiet()
	return nil
}

// central is a scheduler that no real one can beat: one queue, and workers that
// take from it without delay, in the order of arrival.
type central struct {
	free heap // when each worker is free
}

func newCentral(workers int) *central {
	c := &central{}
	for i := range workers {
		c.free.push(event{serial: uint64(i)})
	}
	return c
}

// serve returns when a task that arrives at a moment is done.
func (c *central) serve(at, cost time.Duration) time.Duration {
	w := c.free.pop()
	w.at = max(w.at, at) + cost
	c.free.push(w)
	return w.at
}

// lifelines returns the ordinals at distances of powers of two, and as many
// others at random.
func lifelines(rng *rand.Rand, self, n int) (lines, others []int) {
	for d := 1; d < n; d *= 2 {
		lines = append(lines, (self+d)%n)
	}
	for range bits.Len(uint(n)) {
		if i := rng.IntN(n); i != self {
			others = append(others, i)
		}
	}
	return lines, others
}

func workerID(i int) chord.PeerID { return chord.PeerID(fmt.Sprintf("w%05d", i)) }
