package store

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

var modelForces = flag.Int("model.forces", 60, "number of schedules in which a majority dies for good that the model runs")

// force is what becomes of a shard most of whose voters die for good.
type force struct {
	struck  bool
	marked  map[Voter]bool // by the operator, by force
	quorums map[ballotOf][]Voter
	at      int64 // when it was last decided; what began before has no promise
	times   int
}

// ballotOf is a ballot among the acceptors of an epoch.
type ballotOf struct {
	epoch  uint64
	ballot Ballot
}

func newForce() force {
	return force{marked: map[Voter]bool{}, quorums: map[ballotOf][]Voter{}, at: -1}
}

func (f *force) has(v Voter) bool { return f.marked[v] }

// forcedBy reports whether all whom the proposer of a ballot asked have accepted.
func (w *world) forcedBy(base Config, b Ballot, votes map[Voter]Config) bool {
	quorum := w.force.quorums[ballotOf{base.Epoch, b}]
	return len(quorum) > 0 && !slices.ContainsFunc(quorum, func(v Voter) bool {
		_, ok := votes[v]
		return !ok
	})
}

// strike kills a majority of the voters for good, but not all members. Some time
// later the operator marks them, one by one.
func (w *world) strike() {
	c := w.newest()
	switch wiped := slices.ContainsFunc(c.Members(), func(v Voter) bool { return w.peer(v.Peer).self != v }); {
	case !w.chaos:
		return
	case wiped || len(c.Voters) < 2:
		w.after(100, w.strike)
		return
	}
	w.force.struck = true
	victims := slices.Clone(c.Voters)
	w.roll(ofForce).Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	least := len(victims) - Majority(len(victims)) + 1
	victims = victims[:least+w.roll(ofForce).IntN(len(victims)-least)]
	for i, v := range victims {
		p := w.peer(v.Peer)
		w.logf("%s dies", v.Peer)
		if p.up {
			p.crash()
		}
		p.dead = true
		w.after(200+300*int64(i)+w.roll(ofForce).Int64N(200), func() { w.markForced(v) })
	}
	w.after(300*int64(len(victims)), w.attend)
}

// attend is the operator who looks at the status: it names those, too, whose disks
// are lost, where nobody knows yet that they were replaced.
func (w *world) attend() {
	for _, p := range w.peers {
		for _, v := range p.mem.Config.Members() {
			if w.peer(v.Peer).self != v && !w.force.marked[v] {
				w.markForced(v)
			}
		}
	}
	if w.force.times == 0 {
		w.after(200, w.attend)
	}
}

func (w *world) markForced(v Voter) {
	w.logf("the operator forces %s", v.Peer)
	w.did["peers forced out"]++
	w.forgotten[v], w.force.marked[v] = true, true
	if w.mutant == forceSome {
		for _, v := range w.newest().Members() {
			w.forgotten[v], w.force.marked[v] = !w.peer(v.Peer).up, !w.peer(v.Peer).up
		}
	}
}

// salvaged is told that a force was decided. What no peer has that is neither dead
// nor without a seat is lost, and that is what the operator was told.
func (w *world) salvaged(base, value Config) {
	w.did["forced"]++
	w.force.at, w.force.times = w.now, w.force.times+1
	if w.force.times > 1 {
		w.fail("forced a second time: %v follows %v", value, base)
	}
	for key, v := range w.acked {
		kept := false
		for _, p := range w.peers {
			seat := base.IsMember(p.self) || w.newest().IsMember(p.self)
			kept = kept || seat && !p.dead && !p.held(key).Less(v)
		}
		if !kept {
			w.did["writes lost by force"]++
			delete(w.acked, key)
		}
	}
	w.logf("forced: %v goes on from %v", value, base)
}

// salvage forces a shard, as plan asks.
func (p *peer) salvage(c Config, plan Plan) {
	p.busy = true
	var left int
	ok := true
	done := func(good bool) {
		if ok = ok && good; !ok {
			p.busy = false
		}
		if left--; left > 0 || !ok {
			return
		}
		p.pullAll(c, plan)
	}
	var ask []*peer
	for _, q := range p.w.peers {
		if q != p && !p.w.force.marked[q.self] && p.w.mutant != forceDeaf {
			ask = append(ask, q)
		}
	}
	if left = len(ask); left == 0 {
		left = 1
		done(true)
	}
	for _, q := range ask {
		p.w.call(p, q.self.Peer, func(q *peer, answer func(any)) { q.serveInfo(answer) }, func(reply any, ok bool) {
			info, _ := reply.(ShardInfo)
			if ok && info.Config.Epoch > p.mem.Config.Epoch {
				p.learn(info.Config)
			}
			done(ok && p.mem.Config.Equal(c))
		})
	}
}

// pullAll pulls from the survivors, one after the other, and then proposes.
func (p *peer) pullAll(c Config, plan Plan) {
	if !p.mem.Config.Equal(c) {
		p.busy = false
		return
	}
	if len(plan.Await) > 0 {
		from := plan.Await[0]
		plan.Await = plan.Await[1:]
		p.collectFrom(c, from, p.w.mutant == forceBlindly, func(ok bool) {
			if !ok {
				p.busy = false
				return
			}
			p.pullAll(c, plan)
		})
		return
	}
	p.w.logf("%s forces %v after %v", p.self.Peer, plan.Value, c)
	if p.w.mutant == forceNext {
		p.forceNext(c, plan.Value)
		return
	}
	p.propose(c, plan.Value)
}

// forceNext is a mutant: the survivors go on in the next epoch.
func (p *peer) forceNext(c, value Config) {
	value.Epoch = c.Epoch + 1
	p.busy = false
	if other, ok := p.w.decided[value.Epoch]; ok && !other.Equal(value) {
		p.w.fail("epoch %d forks: %v and %v", value.Epoch, other, value)
		return
	}
	p.w.decided[value.Epoch] = value
	p.w.salvaged(c, value)
	p.learn(value)
	p.tell(value, value.Members())
}

// forceModel runs one schedule in which a majority of voters dies for good, in the
// middle of trouble, and is forgotten by force; then they all come back.
func forceModel(seed uint64, m mutant) *world {
	w := newWorld(seed, m)
	if w.deletes = w.chance(ofForce, 0.5); w.deletes {
		w.grace = 250
	}
	w.schedule()
	w.after(500+w.roll(ofForce).Int64N(modelChaos-1500), w.strike)
	w.run(modelChaos)
	w.chaos, w.loss = false, 0
	clear(w.cut)
	for _, p := range w.peers {
		p.leaving = false
		if !p.up {
			p.boot()
		}
	}
	for until := w.now + modelQuiet; w.force.struck && w.force.times == 0 && w.now < until && w.failure == nil; {
		w.run(w.now + 50)
	}
	if w.force.struck && w.force.times == 0 && w.quorumDead() {
		w.stuck("the shard was not forced: %v", w.newest())
	}
	w.run(w.now + w.roll(ofForce).Int64N(1000))
	for _, p := range w.peers {
		if p.dead {
			w.did["dead peers that came back"]++
			p.dead = false
			p.boot()
		}
	}
	clear(w.force.marked)
	w.quietAfter(w.now)
	return w
}

// quorumDead reports whether the newest configuration has no majority any more.
func (w *world) quorumDead() bool {
	c, up := w.newest(), 0
	for _, v := range c.Voters {
		if p := w.peer(v.Peer); p.self == v && p.up {
			up++
		}
	}
	return up < Majority(len(c.Voters))
}

func TestModelForce(t *testing.T) {
	if *modelSeed > 0 {
		w := forceModel(*modelSeed, sound)
		t.Logf("%s", strings.Join(w.trace, "\n"))
		if err := w.verdict(); err != nil {
			t.Error(err)
		}
		return
	}
	total := map[string]int{}
	for seed := uint64(1); seed <= uint64(*modelForces); seed++ {
		w := forceModel(seed, sound)
		if err := w.verdict(); err != nil {
			t.Fatalf("%v\nreplay: go test ./store -run TestModelForce$ -v -model.seed=%d", err, seed)
		}
		for what, n := range w.did {
			total[what] += n
		}
	}
	t.Logf("%d schedules did:\n%s", *modelForces, lines(total))
	for _, what := range []string{"forced", "peers forced out", "writes lost by force", "dead peers that came back", "moves settled"} {
		if total[what] == 0 {
			t.Errorf("no schedule did any: %s", what)
		}
	}
}

// As TestModelCatchesMutants, for the rules of force.
func TestModelForceCatchesMutants(t *testing.T) {
	catches(t, "force", func(seed uint64, m mutant) error { return forceModel(seed, m).failure }, forceSome, forceBlindly)
}

// movedOn is a shard that two of its voters moved on, to a fourth peer, while the
// first did not hear anything; a write came after that. Then those two die.
func movedOn(t *testing.T, m mutant) *directed {
	d := newDirected(t, m)
	d.write(d.other, false, LevelAll)
	stale := d.voters[0]
	for _, p := range d.peers {
		d.split(stale, p)
	}
	moved := func() bool { c := d.newest(); return c.Stable() && !c.IsMember(stale.self) }
	for until := d.now + 5000; !moved(); d.pass() {
		if d.now > until {
			t.Fatalf("still at %v", d.newest())
		}
	}
	for _, p := range d.voters[1:] {
		p.cache = d.newest()
	}
	d.write(d.voters[1], false, LevelAll)
	d.force.struck = true
	for _, p := range d.voters[1:] {
		p.crash()
		p.dead = true
		d.markForced(p.self)
	}
	return d
}

// forced lets the operator's word take effect, and then everybody return.
func (d *directed) forced() error {
	clear(d.cut)
	for until := d.now + 5000; d.force.times == 0 && d.now < until && d.failure == nil; d.pass() {
	}
	if d.failure != nil {
		return d.failure
	}
	if d.force.times == 0 {
		d.t.Fatal("the shard was not forced")
	}
	d.run(d.now + 1000)
	for _, p := range d.peers {
		if p.dead {
			p.dead = false
			p.boot()
		}
		p.pulling = false
	}
	clear(d.force.marked)
	clear(d.forgotten)
	d.run(d.now + 2000)
	for _, p := range d.peers {
		for p.cache = (Config{}); !p.locate(); d.pass() {
		}
	}
	return d.end()
}

// All but the first voter are gone, also the one that took its place: what they
// decided last is known to nobody, until they return.
func forceAlone(t *testing.T, m mutant) error {
	d := movedOn(t, m)
	for _, v := range d.newest().Members() {
		if p := d.peer(v.Peer); !p.dead {
			p.crash()
			p.dead = true
			d.markForced(v)
		}
	}
	return d.forced()
}

// The one that took the first voter's place lives, and holds what was written last.
func forceStale(t *testing.T, m mutant) error { return movedOn(t, m).forced() }

// As TestDirected, for force.
func TestDirectedForce(t *testing.T) {
	for m, schedule := range map[mutant]func(*testing.T, mutant) error{forceNext: forceAlone, forceDeaf: forceStale} {
		t.Run(strings.ReplaceAll(string(m), " ", "-"), func(t *testing.T) {
			if err := schedule(t, sound); err != nil {
				t.Errorf("with the rule: %v", err)
			}
			if schedule(t, m) == nil {
				t.Error("without the rule nothing is noticed")
			}
		})
	}
}
