package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chorus-net/chorus/netsim/model"
	"github.com/chorus-net/chorus/overlay/client"
)

// modelCommand is how errors name the command.
const modelCommand = "peer netsim model"

// modelFlags are the flags of netsim model.
type modelFlags struct {
	schedules int
	rough     bool
	trace     bool
	workload  string
	work      workOptions
	model.Settings
}

// modelDoc is the result of netsim model, with its settings. What does not
// apply is null.
type modelDoc struct {
	Peers          int     `json:"peers"` // with schedules: of the largest ring
	Seed           uint64  `json:"seed"`
	Schedules      int     `json:"schedules"`
	Rough          bool    `json:"rough"`
	Positions      int     `json:"positions"`
	SuccessorPeers int     `json:"successor_peers"`
	FingersOnly    bool    `json:"fingers_only"`
	Formed         bool    `json:"formed"`
	Kill           float64 `json:"kill"`
	ChurnS         float64 `json:"churn_s"`
	Loss           float64 `json:"loss"`
	SplitS         float64 `json:"split_s"`
	Rings          int     `json:"rings"`
	Regions        int     `json:"regions"`
	RegionDelayS   float64 `json:"region_delay_s"`
	Liars          float64 `json:"liars"`
	Sybils         int     `json:"sybils"`
	Wary           bool    `json:"wary"`
	Keys           int     `json:"keys"`
	Workload       string  `json:"workload"`
	Rate           float64 `json:"rate"`
	DurationS      float64 `json:"duration_s"`

	VirtualS      float64             `json:"virtual_s"`
	Violations    int                 `json:"violations"`
	Lookups       *model.LookupReport `json:"lookups"`
	Owned         *model.OwnedReport  `json:"owned"` // with liars
	BytesPerPeerS *float64            `json:"bytes_per_peer_s"`
	LoadMax       *float64            `json:"load_max_over_mean"`
	FormS         *float64            `json:"form_s"`
	PlainChord    *model.Report       `json:"plain_chord"`
	HealS         float64             `json:"heal_s"`              // longest, with schedules; -1: not in time
	HealBytes     *float64            `json:"heal_bytes_per_peer"` // sent until then
	WrongHealed   *int                `json:"wrong_owner_healed"`  // lookups that began after that
	Efficiency    *float64            `json:"efficiency"`
	Histories     *historiesDoc       `json:"histories"`
	WallS         float64             `json:"wall_s"`
	RSSMiB        float64             `json:"rss_mib"`
}

func netsimModelCommand(c *console) *cobra.Command {
	var f modelFlags
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Run rings of thousands of peers in virtual time, or random histories that check the ring",
		Long: `Run the ring of many peers in virtual time, and look up random keys at random
peers while peers are killed, come and go, messages get lost or the network splits.
The code is that of real peers, the network is a queue of events.

With --plain-chord the same lookups run once more in a ring of textbook Chord: one
position a peer, where its ID says; successor lists and fingers, no table of all
peers; fingers and next hops by position alone, whatever their round trips; nobody
asked beside a peer whose answer is late. What is not switched off: corrected
maintenance, failure detection, and that the owner itself answers in the end.

An answer is wrong if the peer that it names did not own the key at any moment
between the start and the end of the lookup; a newcomer owns from the moment in which
it is a member, even if nobody has heard of it.

With --liars some of the peers follow the protocol in all but one thing: when they are asked
who owns a key, a fifth of them each name themselves, say nothing, leave the owner out, lead
to other liars, or name such as the owner. Honest peers look up; where the owner says nothing
the next peer will do. Afterwards they read records that are signed, of owned namespaces, from the
three peers that a lookup names first, and check them as real peers do; liars among those show forged
records, or older ones, or nothing. FORGED tells how many were accepted: there must be none. Where
liars are most of the replicas of a key it may be read in an older version, or not at all.

With --schedules play that many random histories of small rings instead: peers
join, leave, crash and come back while messages are late, overtaken and doubled. The
invariant of corrected Chord is checked after every step, and in the end, left in
peace, the ring must be perfect. With --rough messages are lost and the network
splits, too; then only the end counts.

With --workload keys no lookups run: keys are given to their owners and the two peers behind
each, and LOAD is the most that a peer holds over the mean.

With another --workload the peers share tasks instead, with the schedulers of real peers: uts
is one tree that divides itself, with --duration of work for each peer; bag is one
job of independent tasks, as much; pareto is a stream of single tasks of very
different times at random peers. EFFICIENCY compares with peers that are busy all the
time, or for pareto with the mean response of one central queue. --kill restarts that
fraction of the peers after a quarter of the time.

Everything follows from the seed: what failed once fails again, and --trace shows
it. All processors share the work of rings of 500 peers and more, which changes no
result. Memory may grow to 3 GiB before garbage is collected as often as Go does by
itself, unless GOGC or GOMEMLIMIT is set. Exit status 5 means that a history did not hold.`,
		Example: `  peer netsim model --peers 300 --kill 0.5 --successors 20
  peer netsim model --peers 200 --churn 10m --loss 0.01 --duration 5m
  peer netsim model --peers 300 --plain-chord
  peer netsim model --workload uts --peers 1024
  peer netsim model --schedules 1000
  peer netsim model --schedules 1 --seed 42 --trace`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(cmd); err != nil {
				return err
			}
			if f.schedules > 0 {
				return c.netsimHistories(cmd.Context(), f)
			}
			if f.workload != lookupsWorkload && f.workload != keysWorkload {
				return c.netsimWork(cmd.Context(), f)
			}
			return c.netsimModel(cmd.Context(), f)
		},
	}
	f.addTo(cmd.Flags())
	return cmd
}

// addTo adds the flags to a command's.
func (f *modelFlags) addTo(flags *pflag.FlagSet) {
	flags.IntVar(&f.Peers, "peers", 100, "number of peers")
	flags.Uint64Var(&f.Seed, "seed", 1, "what everything follows from; each next history has the next number")
	flags.IntVar(&f.schedules, "schedules", 0, "play so many random histories of small rings instead")
	flags.BoolVar(&f.rough, "rough", false, "histories that lose messages and split the network, too")
	flags.BoolVar(&f.trace, "trace", false, "write what happens, step by step")
	flags.IntVar(&f.Positions, "positions", 8, "positions of each peer")
	flags.IntVar(&f.SuccessorPeers, "successors", 8, "distinct peers in a successor list")
	flags.BoolVar(&f.FingersOnly, "fingers-only", false, "keep neighbours and fingers only, no table of all peers")
	flags.BoolVar(&f.Formed, "formed", false, "begin with a ring at rest, instead of having the peers join one after another")
	flags.Float64Var(&f.Kill, "kill", 0, "fraction of the peers that crash at once, when the lookups begin")
	flags.DurationVar(&f.Churn, "churn", 0, "mean session of a peer; a newcomer replaces who goes. 0: nobody goes. With --split: while it lasts")
	flags.Float64Var(&f.Loss, "loss", 0, "fraction of messages that get lost, once the ring stands")
	flags.DurationVar(&f.Split, "split", 0, "split the network for so long, when the lookups begin")
	flags.IntVar(&f.Rings, "rings", 2, "parts that --split makes")
	flags.IntVar(&f.Regions, "regions", 1, "regions that the peers are spread over")
	flags.DurationVar(&f.RegionDelay, "region-delay", 75*time.Millisecond, "one-way delay between regions, besides 5 to 50 ms")
	flags.Float64Var(&f.Liars, "liars", 0, "fraction of the peers that lie when they are asked who owns a key")
	flags.BoolVar(&f.Wary, "wary", false, "lookups as in rings that anybody may join, which believe nobody alone; default: with --liars or --sybils")
	flags.IntVar(&f.Sybils, "sybils", 0, "liars that join besides, all around one key, for which every other lookup is")
	flags.BoolVar(&f.PlainChord, "plain-chord", false, "show the same lookups in textbook Chord, too")
	flags.StringVar(&f.workload, "workload", lookupsWorkload, "what the peers do: lookups, keys, or tasks: uts, pareto or bag")
	flags.IntVar(&f.Keys, "keys", 1_000_000, "with --workload keys: how many are placed")
	flags.DurationVar(&f.work.Grain, "grain", 0, "time that a task takes, with pareto the shortest one; 0 is 1s, and 300ms with uts")
	flags.DurationVar(&f.work.RTT, "rtt", 20*time.Millisecond, "round trip between peers that share tasks")
	flags.Float64Var(&f.work.Load, "load", 0.8, "with pareto: part of the time that peers are to be busy")
	flags.Float64Var(&f.Lookups, "rate", 50, "lookups a second over all peers")
	flags.DurationVar(&f.Duration, "duration", time.Minute, "virtual time of lookups, once the ring stands; of work for each peer")
}

func (f *modelFlags) validate(cmd *cobra.Command) error {
	switch {
	case f.schedules < 0:
		return usage(modelCommand, "--schedules must not be negative, is %d", f.schedules)
	case f.schedules > 1 && f.trace:
		return usage(modelCommand, "--trace shows one history, not %d", f.schedules)
	case f.rough && f.schedules == 0:
		return usage(modelCommand, "--rough is for --schedules")
	case f.workload != lookupsWorkload && f.workload != keysWorkload && !slices.Contains(model.Workloads(), model.Workload(f.workload)):
		return usage(modelCommand, "--workload must be lookups, keys, uts, pareto or bag, not %q", f.workload)
	}
	if slices.Contains(model.Workloads(), model.Workload(f.workload)) && f.schedules == 0 {
		return f.work.validate(cmd, f)
	}
	for _, name := range workFlags {
		if cmd.Flags().Changed(name) {
			return usage(modelCommand, "--%s is for --workload uts, pareto or bag", name)
		}
	}
	if f.schedules > 0 {
		for _, name := range []string{
			"peers", "positions", "successors", "fingers-only", "kill", "churn", "loss", "split", "rings", "regions",
			"region-delay", "liars", "sybils", "wary", "plain-chord", "workload", "rate", "duration",
		} {
			if cmd.Flags().Changed(name) {
				return usage(modelCommand, "--%s does not go with --schedules: a history draws it from its seed", name)
			}
		}
		return nil
	}
	if f.workload == keysWorkload {
		for _, name := range []string{
			"kill", "churn", "loss", "split", "rings", "regions", "region-delay", "liars", "sybils", "wary", "rate", "duration",
		} {
			if cmd.Flags().Changed(name) {
				return usage(modelCommand, "--%s does not go with --workload keys, which places keys in a ring at rest", name)
			}
		}
	} else if cmd.Flags().Changed("keys") {
		return usage(modelCommand, "--keys is for --workload keys")
	} else {
		f.Keys = 0
	}
	if !cmd.Flags().Changed("wary") {
		f.Wary = f.Liars > 0 || f.Sybils > 0
	}
	return f.validateRing()
}

func (f *modelFlags) validateRing() error {
	switch {
	case f.Peers < 1 || f.Peers > model.MaxPeers:
		return usage(modelCommand, "--peers must be from 1 to %d, not %d", model.MaxPeers, f.Peers)
	case f.Positions < 1 || f.Positions > 64:
		return usage(modelCommand, "--positions must be from 1 to 64, not %d", f.Positions)
	case f.SuccessorPeers < 1 || f.SuccessorPeers > 64:
		return usage(modelCommand, "--successors must be from 1 to 64, not %d", f.SuccessorPeers)
	case !(f.Kill >= 0 && f.Kill < 1):
		return usage(modelCommand, "--kill must be from 0 up to 1, not %v", f.Kill)
	case !(f.Loss >= 0 && f.Loss < 1):
		return usage(modelCommand, "--loss must be from 0 up to 1, not %v", f.Loss)
	case f.Churn < 0 || f.Split < 0:
		return usage(modelCommand, "--churn and --split must not be negative")
	case f.Rings < 2:
		return usage(modelCommand, "--rings must be at least 2, not %d", f.Rings)
	case f.workload == keysWorkload && (f.Keys < 1 || f.Keys > model.MaxKeys):
		return usage(modelCommand, "--keys must be from 1 to %d, not %d", model.MaxKeys, f.Keys)
	case f.Regions < 1:
		return usage(modelCommand, "--regions must be at least 1, not %d", f.Regions)
	case !(f.Liars >= 0 && f.Liars < 1):
		return usage(modelCommand, "--liars must be from 0 up to 1, not %v", f.Liars)
	case f.Sybils < 0 || f.Sybils > f.Peers:
		return usage(modelCommand, "--sybils must be from 0 to the number of peers, not %d", f.Sybils)
	case f.RegionDelay < 0:
		return usage(modelCommand, "--region-delay must not be negative, is %v", f.RegionDelay)
	case f.Duration <= 0:
		return usage(modelCommand, "--duration must be more than 0, not %v", f.Duration)
	case !(f.Lookups > 0):
		return usage(modelCommand, "--rate must be more than 0, not %v", f.Lookups)
	}
	return nil
}

// traceTo is where the transcript goes, nil if nobody wants it.
func (c *console) traceTo(f modelFlags) io.Writer {
	switch {
	case !f.trace:
		return nil
	case c.json:
		return c.err
	default:
		return c.out
	}
}

// netsimModel runs one ring.
func (c *console) netsimModel(ctx context.Context, f modelFlags) error {
	f.Trace = c.traceTo(f)
	last := time.Now()
	f.Tell = func(part string, done float64) {
		if time.Since(last) > 100*time.Millisecond {
			last = time.Now()
			c.progress("%-10s %s", part, bar(done))
		}
	}
	defer collectSeldom(f.Peers)()
	rep, err := model.Run(ctx, f.Settings)
	c.progress("")
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &client.Error{Code: client.CodeUnhealthy, Message: err.Error()}
	}
	doc := f.doc()
	doc.Peers, doc.VirtualS, doc.Violations, doc.HealS = f.Peers, rep.VirtualS, rep.Violations, rep.HealS
	doc.Positions, doc.SuccessorPeers, doc.FingersOnly, doc.Formed = f.Positions, f.SuccessorPeers, f.FingersOnly, f.Formed
	doc.Kill, doc.ChurnS, doc.Loss, doc.SplitS, doc.Rings = f.Kill, f.Churn.Seconds(), f.Loss, f.Split.Seconds(), f.Rings
	doc.HealBytes, doc.WrongHealed = &rep.HealBytes, &rep.WrongHealed
	doc.Regions, doc.RegionDelayS, doc.PlainChord = f.Regions, f.RegionDelay.Seconds(), rep.PlainChord
	doc.Liars, doc.Sybils, doc.Wary, doc.Keys = f.Liars, f.Sybils, f.Wary, f.Keys
	doc.Workload, doc.Rate, doc.DurationS = f.workload, f.Lookups, f.Duration.Seconds()
	doc.Owned = rep.Owned
	doc.Lookups, doc.BytesPerPeerS, doc.LoadMax, doc.FormS = &rep.Lookups, &rep.BytesPerPeerS, &rep.LoadMax, &rep.FormS
	doc.WallS, doc.RSSMiB = rep.WallS, residentMiB()
	return c.print(doc, func(out io.Writer) {
		if f.Keys > 0 {
			c.printPlaced(out, doc)
		} else {
			c.printModel(out, doc)
		}
	})
}

// collectSeldom lets garbage be collected seldom while so many peers run, as they live long
// and leave little, until the process takes 3 GiB. It returns what undoes that. Rings that
// take more anyway, and users who have set GOGC or GOMEMLIMIT, get what Go or they say.
func collectSeldom(peers int) (undo func()) {
	const many, percent, limit = 12_000, 400, 3 << 30
	if peers > many || os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	wasPercent, wasLimit := debug.SetGCPercent(percent), debug.SetMemoryLimit(limit)
	return func() {
		debug.SetGCPercent(wasPercent)
		debug.SetMemoryLimit(wasLimit)
	}
}

// doc returns a result with what all results carry.
func (f *modelFlags) doc() modelDoc {
	return modelDoc{Seed: f.Seed, Schedules: f.schedules, Rough: f.rough}
}

// bar draws how much is done.
func bar(done float64) string {
	const width = 30
	n := min(max(int(done*width), 0), width)
	return fmt.Sprintf("[%s%s] %3.0f%%", strings.Repeat("#", n), strings.Repeat(".", width-n), 100*done)
}
