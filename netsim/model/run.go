package model

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// Run forms a ring, does to it what the settings describe while lookups run,
// and reports the figures. An error is one of the settings or of the context, or a
// ring that never came to stand.
func Run(ctx context.Context, s Settings) (Report, error) {
	s = s.withDefaults()
	if err := s.validate(); err != nil {
		return Report{}, err
	}
	rep, err := measure(ctx, s)
	if err == nil && s.PlainChord {
		var plain Report
		plain, err = measure(ctx, s.plain())
		rep.PlainChord = &plain
	}
	return rep, err
}

func measure(ctx context.Context, s Settings) (Report, error) {
	start := time.Now()
	rep := Report{Peers: s.Peers, Seed: s.Seed, Positions: s.Positions}
	err := runLookups(ctx, s, &rep)
	rep.WallS = time.Since(start).Seconds()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	rep.RSSMiB = float64(mem.Sys-mem.HeapReleased) / (1 << 20)
	return rep, err
}

// experiment is a run that measures lookups.
type experiment struct {
	*World
	s       Settings
	rep     *Report
	keys    *rand.Rand            // of what is looked up where, apart from what else is drawn
	looks   map[lookupKey]*search // under way
	targets map[chord.ID]bool     // of these
	asks    map[askKey]bool       // that carry their requests
	begun   *search               // begins in this call
	took    time.Duration         // by all that found somebody
	hops    int
	oneHop  int
	guide   *Peer // by whose view newcomers choose their positions
	running bool
	apart   bool          // split, or not one ring again since
	healed  time.Duration // when it was one ring again; 0: not yet
	liars   liars
}

// newExperiment returns one in an empty world.
func newExperiment(cfg chord.Config, s Settings, rep *Report) *experiment {
	x := &experiment{
		World: NewWorld(cfg, s.Seed), s: s, rep: rep, keys: rand.New(rand.NewPCG(s.Seed, 0x6b657973)),
		looks: make(map[lookupKey]*search), targets: make(map[chord.ID]bool), asks: make(map[askKey]bool),
	}
	x.OnLookup, x.OnMove, x.OnMessage = x.ended, x.moved, x.sent
	return x
}

// chordConfig returns what the settings say of the cores.
func chordConfig(s Settings) chord.Config {
	cfg := chord.Config{SuccessorPeers: s.SuccessorPeers, Classic: s.Classic, Wary: s.Wary}
	if s.FingersOnly {
		cfg.TableSize = -1
	}
	return cfg
}

func runLookups(ctx context.Context, s Settings, rep *Report) error {
	x := newExperiment(chordConfig(s), s, rep)
	if x.helpers = s.helpers; x.helpers == 0 {
		x.helpers = helpersFor(s.Peers)
	}
	x.Net.MinDelay, x.Net.MaxDelay = s.MinDelay, s.MaxDelay
	x.Trace, x.Each = s.Trace, s.Each
	if s.Regions > 1 {
		x.Net.Latency = func(a, b *Peer) time.Duration {
			if a.Number%s.Regions == b.Number%s.Regions {
				return 0
			}
			return s.RegionDelay
		}
	}
	if err := x.form(ctx); err != nil {
		return err
	}
	if s.Keys > 0 {
		_, rep.LoadMax = x.place(s.Keys)
		rep.VirtualS = x.Now().Seconds()
		return nil
	}
	rep.LoadMax = x.owners.load(replicas)
	if err := x.corrupt(ctx); err != nil {
		return err
	}
	x.Net.Loss = s.Loss
	x.running = true
	bytes, began := x.Bytes, x.Now()
	x.disturb()
	x.nextLookup()
	if s.Churn > 0 {
		for _, p := range x.peers {
			x.session(p)
		}
	}
	if err := x.measure(ctx); err != nil {
		return err
	}
	x.running = false
	seconds := (x.Now() - began).Seconds()
	if seconds > 0 {
		rep.BytesPerPeerS = float64(x.Bytes-bytes) / seconds / float64(s.Peers)
	}
	if err := x.World.Run(10 * time.Second); err != nil { // lookups under way
		return err
	}
	x.close()
	err := x.readOwned(ctx)
	rep.VirtualS = x.Now().Seconds()
	return err
}

// measure lets the duration pass, and looks at the ring a hundred times.
func (x *experiment) measure(ctx context.Context) error {
	const looks = 100
	for i := range looks {
		if err := x.pass(ctx, "lookups", float64(i)/looks, x.s.Duration/looks); err != nil {
			return err
		}
		if x.Net.Side == nil && !x.apart && x.census().shape() != nil {
			x.rep.Violations++
		}
	}
	return x.World.Run(x.s.Duration % looks)
}

// pass lets virtual time pass as part of a run, unless the context has ended.
func (x *experiment) pass(ctx context.Context, part string, done float64, d time.Duration) error {
	if x.s.Tell != nil {
		x.s.Tell(part, done)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return x.World.Run(d)
}

// disturb kills or splits, as the settings say, and measures how long it takes
// to heal.
func (x *experiment) disturb() {
	if x.s.Kill > 0 {
		for _, p := range draw(x.rng, x.Members(), int(x.s.Kill*float64(x.s.Peers))) {
			x.Crash(p)
		}
		x.heal()
	}
	if x.s.Split > 0 {
		x.Net.Side = func(p *Peer) int { return p.Number % x.s.Rings }
		x.apart = true
		x.After(x.s.Split, func() {
			x.Net.Side = nil
			x.heal()
		})
	}
}

// heal notes when the ring is whole again.
func (x *experiment) heal() {
	began, bytes := x.Now(), x.Bytes
	x.rep.HealS = -1
	var look func()
	look = func() {
		if x.whole() {
			x.rep.HealS = (x.Now() - began).Seconds()
			x.rep.HealBytes = float64(x.Bytes-bytes) / float64(len(x.owners.members))
			x.apart, x.healed = false, x.Now()
			return
		}
		if x.running {
			x.After(x.pause(), look)
		}
	}
	x.After(x.pause(), look)
}

// session ends a peer's session some day and starts a newcomer's, on its side of
// a split. Where the network is to split, peers come and go only while it is.
func (x *experiment) session(p *Peer) {
	life := p.life
	x.After(time.Duration(x.rng.ExpFloat64()*float64(x.s.Churn)), func() {
		if !x.running || p.life != life || !p.Up() || x.s.Split > 0 && x.Net.Side == nil {
			return
		}
		x.Crash(p)
		fresh := x.newcomer()
		contacts := slices.DeleteFunc(x.pick(3*x.s.Rings), func(q *Peer) bool { return !x.connected(fresh, q) })
		if len(contacts) == 0 {
			return
		}
		x.Join(fresh, contacts...)
		x.session(fresh)
	})
}
