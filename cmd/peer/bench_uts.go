package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/compute/uts"
	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay/client"
)

// benchUTSFlags are the flags of bench uts.
type benchUTSFlags struct {
	peers, workers, kill int
	name                 string
	tree                 uts.Tree
}

// benchUTSDoc is the result of bench uts.
type benchUTSDoc struct {
	Tree   string `json:"tree"` // its parameters
	Nodes  uint64 `json:"nodes"`
	Depth  uint32 `json:"depth"`
	Leaves uint64 `json:"leaves"`

	Peers   int     `json:"peers"`
	Workers int     `json:"workers"` // of all peers; 0 if the running ring's are not known
	Killed  int     `json:"killed"`
	Seconds float64 `json:"seconds"`
	Tasks   int     `json:"tasks"`
	NodesS  float64 `json:"nodes_s"`
	// SequentialNodesS is the speed of plain Go on as many cores as there are
	// workers, measured just before, and Efficiency what part of it was reached.
	SequentialNodesS float64 `json:"sequential_nodes_s"`
	Efficiency       float64 `json:"efficiency"`

	Steals        uint64         `json:"steals"`
	StealMessages uint64         `json:"steal_messages"`
	ByPeer        map[string]int `json:"by_peer"` // tasks done by each peer
}

func benchUTSCommand(c *console) *cobra.Command {
	var f benchUTSFlags
	cmd := &cobra.Command{
		Use:   "uts",
		Short: "Search an unbalanced tree, which tests how tasks spread",
		Long: `Search a tree of the Unbalanced Tree Search benchmark. Its nodes come from SHA-1 as
the search goes on, so nobody knows beforehand where the work is, and the exact
count is published: 4130071 nodes for T1, 4112897 for T3, 102181082 for T1L. A
task searches --grain nodes and divides what is left into parts, which idle peers steal.

With --peers N a new ring of N real peers over loopback searches, one worker a
core in all and at least one a peer; without it the running ring does. Plain Go
searches the same tree first, on as many cores as there are workers, for 2 s.`,
		Example: "  peer bench uts --tree T1L --peers 2\n  peer bench uts --tree T3 --peers 8 --kill 2\n  peer bench uts --type 1 --shape 0 --depth 12 --branching 4 --root 34",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.resolve(cmd.Flags().Changed); err != nil {
				return err
			}
			return c.benchUTS(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.peers, "peers", 0, "start a ring of so many peers; 0 is the running ring")
	flags.IntVar(&f.workers, "workers", 0, "workers of each peer of a new ring; 0 shares the cores out")
	flags.IntVar(&f.kill, "kill", 0, "kill so many peers of a new ring in the middle of the search")
	flags.StringVar(&f.name, "tree", "T1", "tree by `name`: "+strings.Join(treeNames(), ", "))
	t := &f.tree
	flags.IntVar((*int)(&t.Type), "type", 1, "type of another tree: 0 binomial, 1 geometric, 2 hybrid")
	flags.IntVar(&t.Shape, "shape", 3, "of a geometric tree: 0 linear, 1 exponential, 2 cyclic, 3 fixed")
	flags.IntVar(&t.Depth, "depth", 10, "of a geometric tree: the depth where its shape ends")
	flags.Float64Var(&t.B, "branching", 4, "children of the root: their mean, or number in a binomial tree")
	flags.IntVar(&t.Seed, "root", 19, "seed of the root")
	flags.Float64Var(&t.Q, "q", 15.0/64, "of a binomial tree: the chance of a node to have children")
	flags.IntVar(&t.M, "m", 4, "of a binomial tree: how many children those have")
	flags.IntVar(&t.Grain, "grain", uts.DefaultGrain, "nodes that a task searches before it divides what is left")
	return cmd
}

// treeNames lists the published trees.
func treeNames() []string {
	names := make([]string, 0, len(uts.Trees))
	for name := range uts.Trees {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// resolve makes a tree of the flags, of which changed says which were given.
func (f *benchUTSFlags) resolve(changed func(string) bool) error {
	const command = "peer bench uts"
	own := slices.ContainsFunc([]string{"type", "shape", "depth", "branching", "root", "q", "m"}, changed)
	switch {
	case own && changed("tree"):
		return usage(command, "--tree names a whole tree: it does not go with its parameters")
	case f.peers < 0 || f.peers > maxCluster:
		return usage(command, "--peers must be from 0 to %d, not %d", maxCluster, f.peers)
	case f.workers < 0 || f.workers > 1024 || f.workers > 0 && f.peers == 0:
		return usage(command, "--workers must be from 0 to 1024, and needs --peers")
	case f.kill < 0 || f.kill > 0 && f.kill >= f.peers:
		return usage(command, "--kill must leave the first of the --peers alive: %d of %d", f.kill, f.peers)
	}
	if !own {
		tree, ok := uts.Trees[strings.ToUpper(f.name)]
		if !ok {
			return usage(command, "--tree must be one of %s, not %q", strings.Join(treeNames(), ", "), f.name)
		}
		tree.Grain = f.tree.Grain
		f.tree = tree
	}
	if _, err := uts.Parse(f.tree.String()); err != nil {
		return usage(command, "%v", err)
	}
	return nil
}

// searcher is the peer that a search is submitted at: one of this process or a running one.
type searcher interface {
	Submit(ctx context.Context, spec client.JobSpec) (string, error)
	Wait(ctx context.Context, id string) (client.Job, error)
}

func (c *console) benchUTS(ctx context.Context, f benchUTSFlags) error {
	if f.peers == 0 {
		return c.withPatientClient(ctx, func(ctx context.Context, cl *client.Client) error {
			ring, err := cl.Ring(ctx)
			if err != nil {
				return err
			}
			return c.searchTree(ctx, f, benchUTSDoc{Peers: len(ring.Peers)}, cl, cl.Status, func(context.Context, string) error { return nil })
		})
	}
	if f.workers == 0 {
		f.workers = max(runtime.GOMAXPROCS(0)/f.peers, 1)
	}
	c.progress("starting %s", count(f.peers, "peer"))
	settings := cluster.Settings{Peers: f.peers}
	settings.Node.Workers = f.workers
	ring, err := cluster.Start(ctx, settings)
	if err != nil {
		return err
	}
	agreed, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err = ring.Agree(agreed); err == nil {
		x := &utsRing{Cluster: ring, kill: f.kill}
		doc := benchUTSDoc{Peers: f.peers, Workers: f.peers * f.workers}
		err = c.searchTree(ctx, f, doc, ring.Nodes()[0], x.status, x.disturb)
	}
	return errors.Join(err, ring.Close())
}

// searchTree runs the search and prints what came of it. disturb runs beside it.
func (c *console) searchTree(ctx context.Context, f benchUTSFlags, doc benchUTSDoc, by searcher,
	status func(context.Context) (client.Status, error), disturb func(context.Context, string) error,
) error {
	defer c.progress("")
	c.progress("plain Go")
	cores := runtime.GOMAXPROCS(0)
	if doc.Workers > 0 {
		cores = min(cores, doc.Workers)
	}
	var err error
	if doc.SequentialNodesS, err = sequential(ctx, f.tree, cores); err != nil {
		return err
	}
	before, err := status(ctx)
	if err != nil {
		return err
	}
	c.progress("searching %s", f.tree)
	start := time.Now()
	id, err := by.Submit(ctx, client.JobSpec{Code: client.Code{Func: "uts/v1"}, Inputs: [][]byte{[]byte(f.tree.String())}})
	if err != nil {
		return err
	}
	side, stop := context.WithCancel(ctx)
	disturbed := make(chan error, 1)
	go func() { disturbed <- disturb(side, id) }()
	job, err := by.Wait(ctx, id)
	doc.Seconds = time.Since(start).Seconds()
	stop()
	if err = errors.Join(err, <-disturbed); err != nil {
		return err
	}
	after, err := status(ctx)
	if err != nil {
		return err
	}
	if len(job.Results) != 1 || job.Results[0].Error != "" {
		return fmt.Errorf("search of %s: %s: %+v", f.tree, job.State, job.Results)
	}
	found, err := uts.ParseCount(string(job.Results[0].Output))
	if err != nil {
		return err
	}
	doc.Tree, doc.Nodes, doc.Depth, doc.Leaves = f.tree.String(), found.Nodes, found.Depth, found.Leaves
	doc.Tasks, doc.ByPeer, doc.Killed = job.Tasks, job.ByPeer, f.kill
	doc.NodesS = float64(doc.Nodes) / doc.Seconds
	doc.Efficiency = doc.NodesS / doc.SequentialNodesS
	doc.Steals = after.Tasks.Steals - before.Tasks.Steals
	doc.StealMessages = after.Tasks.StealMessages - before.Tasks.StealMessages
	c.progress("")
	return c.print(doc, func(out io.Writer) { c.printBenchUTS(out, doc) })
}

func (c *console) printBenchUTS(out io.Writer, doc benchUTSDoc) {
	fmt.Fprintf(out, "tree %s\n%d nodes, depth %d, %d leaves, by %s\n", doc.Tree, doc.Nodes, doc.Depth, doc.Leaves, count(doc.Tasks, "task"))
	t := newTable("PEERS\t", "WORKERS\t", "KILLED\t", "SECONDS\t", "NODES/S\t", "PLAIN GO/S\t", "EFFICIENCY\t", "STEALS\t", "MESSAGES\t")
	t.row(doc.Peers, doc.Workers, doc.Killed, fmt.Sprintf("%.2f", doc.Seconds), fmt.Sprintf("%.0f", doc.NodesS),
		fmt.Sprintf("%.0f", doc.SequentialNodesS), fmt.Sprintf("%.1f%%", 100*doc.Efficiency), doc.Steals, doc.StealMessages)
	t.write(c, out)
}

// sequential measures how many nodes a second plain Go searches on so many cores.
func sequential(ctx context.Context, tree uts.Tree, cores int) (float64, error) {
	const long = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		nodes uint64
	)
	start := time.Now()
	for range cores {
		wg.Go(func() {
			for ctx.Err() == nil {
				found, _ := tree.Search(ctx) // what it found until then counts as well
				mu.Lock()
				nodes += found.Nodes
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	seconds := time.Since(start).Seconds()
	if nodes == 0 {
		return 0, context.Cause(ctx)
	}
	return float64(nodes) / seconds, nil
}

// utsRing is a ring of this process that searches, and loses peers meanwhile.
type utsRing struct {
	*cluster.Cluster
	kill int

	mu   sync.Mutex
	gone client.TaskCounts // of peers that were killed
}

// status sums what the peers counted.
func (x *utsRing) status(ctx context.Context) (sum client.Status, err error) {
	x.mu.Lock()
	sum.Tasks = x.gone
	x.mu.Unlock()
	for _, n := range x.Live() {
		s, err := n.Status(ctx)
		if err != nil {
			return sum, err
		}
		sum.Tasks.Steals += s.Tasks.Steals
		sum.Tasks.StealMessages += s.Tasks.StealMessages
	}
	return sum, nil
}

// disturb kills peers, one after another, once the search is well under way: each
// time the one that has done most for it. It is an error if the search ends before.
func (x *utsRing) disturb(ctx context.Context, id string) error {
	nodes := x.Nodes()
	killed := make(map[int]bool)
	for k := range x.kill {
		victim := 0
		for victim == 0 {
			job, err := nodes[0].Job(id)
			if err != nil {
				return err
			}
			most := 0
			for i, n := range nodes {
				if done := job.ByPeer[n.ID()]; i > 0 && !killed[i] && done > most && job.Done >= 5*(k+1) {
					most, victim = done, i
				}
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the search ended before peer %d of %d was killed: take a larger tree or a smaller --grain", k+1, x.kill)
			case <-time.After(2 * time.Millisecond):
			}
		}
		s, err := nodes[victim].Status(ctx)
		if err != nil {
			return err
		}
		x.mu.Lock()
		x.gone.Steals += s.Tasks.Steals
		x.gone.StealMessages += s.Tasks.StealMessages
		x.mu.Unlock()
		killed[victim] = true
		if err := x.Kill(victim); err != nil {
			return err
		}
	}
	return nil
}
