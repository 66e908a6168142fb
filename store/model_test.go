package store

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

var (
	modelSeed      = flag.Uint64("model.seed", 0, "run the model with this seed alone and print its transcript")
	modelSchedules = flag.Int("model.schedules", 100, "number of schedules that the model runs")
)

const (
	modelChaos = 4000 // ms of trouble
	modelQuiet = 6000 // ms until all must be in order
)

// schedule sets up load and trouble.
func (w *world) schedule() {
	keys := []string{"a/1", "a/2", "b", "c/d/e"}
	var load, trouble func()
	load = func() {
		p := w.peers[w.roll(ofLoad).IntN(len(w.peers))]
		if p.up {
			key := keys[w.roll(ofLoad).IntN(len(keys))]
			switch {
			case !w.fencing.usable(w, key):
			case w.history != nil:
				p.change(key)
			case w.chance(ofLoad, 0.5):
				p.put(key)
			default:
				p.get(key)
			}
		}
		if w.chaos && w.history != nil {
			w.after(1+w.roll(ofLoad).Int64N(60), load) // changes of a register outbid each other
		} else if w.chaos {
			w.after(1+w.roll(ofLoad).Int64N(12), load)
		}
	}
	trouble = func() {
		if !w.chaos {
			return
		}
		w.disturb(w.peers[w.roll(ofTrouble).IntN(len(w.peers))])
		pause := 20 + w.roll(ofTrouble).Int64N(150)
		if w.slow {
			pause *= 4
		}
		w.after(pause, trouble)
	}
	w.after(0, load)
	w.after(200, trouble)
}

// disturb does one bad thing to p, or to all.
func (w *world) disturb(p *peer) {
	if p.dead {
		return
	}
	kinds := 12
	if w.deletes {
		kinds++
	}
	switch w.roll(ofTrouble).IntN(kinds) {
	case 12:
		w.retire(p)
	case 0, 1, 2:
		if !p.up {
			return
		}
		w.did["crashes"]++
		w.logf("crash %s", p.self.Peer)
		p.crash()
		w.after(20+w.roll(ofTrouble).Int64N(700), func() {
			if !p.up {
				w.logf("restart %s", p.self.Peer)
				p.boot()
			}
		})
	case 3:
		if !w.mayWipe(p) {
			return
		}
		w.did["disks lost"]++
		w.logf("wipe %s", p.self.Peer)
		p.crash()
		w.nextInc++
		p.self.Incarnation = w.nextInc
		p.disk, p.records, p.cas, p.hints, p.ceiling = State{}, map[string][]byte{}, map[string][]byte{}, map[string][]byte{}, 0
		w.after(20+w.roll(ofTrouble).Int64N(200), func() {
			if !p.up {
				p.boot()
			}
		})
	case 4, 5:
		side := w.roll(ofTrouble).IntN(1 << len(w.peers))
		w.did["splits"]++
		oneWay := w.chance(ofTrouble, 0.3)
		w.logf("split %b", side)
		for i := range w.peers {
			for j := range w.peers {
				if side>>i&1 != side>>j&1 && (!oneWay || side>>i&1 == 1) {
					w.cut[[2]int{i, j}] = true
				}
			}
		}
		w.after(50+w.roll(ofTrouble).Int64N(400), func() { clear(w.cut) })
	case 6:
		w.loss = []float64{0, 0.02, 0.2}[w.roll(ofTrouble).IntN(3)]
	case 7, 8:
		w.did["rings changed"]++
		w.roll(ofTrouble).Shuffle(len(w.order), func(i, j int) { w.order[i], w.order[j] = w.order[j], w.order[i] })
	case 9:
		w.target = []int{1, 2, 3, 3, 3, 4, 5}[w.roll(ofTrouble).IntN(7)]
	case 10:
		p.wall = w.wall()
	case 11:
		w.did["leaves"]++
		p.leaving = true
		w.after(w.roll(ofTrouble).Int64N(500), func() { p.leaving = false })
	}
}

// mayWipe reports whether p may lose its disk without breaking the promise's
// premise: fewer than W voters are lost between completed repairs.
func (w *world) mayWipe(p *peer) bool {
	if w.force.struck {
		return false
	}
	c := w.newest()
	hold := 0
	for _, v := range c.Voters {
		if q := w.peer(v.Peer); q.self == v && q.disk.Config.Epoch == c.Epoch {
			hold++
		}
	}
	if hold < Majority(len(c.Voters)) {
		return false // the move there is not complete
	}
	if !c.IsMember(p.self) {
		return true
	}
	if !c.Stable() || len(c.Voters) < 3 {
		return false
	}
	return !slices.ContainsFunc(c.Voters, func(v Voter) bool { return w.peer(v.Peer).self != v })
}

// calm ends the trouble and checks that all comes in order.
func (w *world) calm() {
	w.chaos = false
	w.loss = 0
	clear(w.cut)
	for _, p := range w.peers {
		p.leaving = false
		if !p.up {
			p.boot()
		}
	}
	w.quietAfter(modelChaos)
}

// quietAfter checks that all is in order some time later, and what was acknowledged
// can be read everywhere.
func (w *world) quietAfter(from int64) {
	w.target = 3
	clear(w.forgotten)
	w.run(from + modelQuiet)
	if w.failure != nil {
		return
	}
	c := w.newest()
	want := make([]Voter, 0, 3)
	for _, i := range w.order[:3] {
		want = append(want, w.peers[i].self)
	}
	if !c.Stable() || !sameSet(c.Voters, want) {
		w.stuck("once quiet the configuration is %v, the ring proposes %v", c, want)
	}
	for _, v := range c.Voters {
		if p := w.peer(v.Peer); !p.mem.Config.Equal(c) || p.mem.Pending() {
			w.stuck("once quiet %s is at %+v, decided is %v", v.Peer, p.mem, c)
		}
	}
	reads := w.did["reads"]
	for _, p := range w.peers {
		for p.cache = (Config{}); !p.locate(); w.run(w.now + 50) {
		}
		for _, key := range slices.Sorted(maps.Keys(w.acked)) {
			p.get(key)
		}
	}
	w.run(w.now + 1000)
	if got := w.did["reads"] - reads; got != len(w.peers)*len(w.acked) {
		w.stuck("once quiet %d of %d reads are answered", got, len(w.peers)*len(w.acked))
	}
}

// runModel runs one schedule.
func runModel(seed uint64, m mutant) *world {
	return newWorld(seed, m).play()
}

func (w *world) play() *world {
	w.schedule()
	w.run(modelChaos)
	w.calm()
	return w
}

// lines lists what was done how often.
func lines(total map[string]int) string {
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(total)) {
		fmt.Fprintf(&b, "%-26s %7d\n", what, total[what])
	}
	return b.String()
}

func TestModel(t *testing.T) {
	if *modelSeed > 0 {
		w := runModel(*modelSeed, sound)
		t.Logf("%s", strings.Join(w.trace, "\n"))
		if err := w.verdict(); err != nil {
			t.Error(err)
		}
		return
	}
	total := map[string]int{}
	for seed := uint64(1); seed <= uint64(*modelSchedules); seed++ {
		w := runModel(seed, sound)
		if err := w.verdict(); err != nil {
			t.Fatalf("%v\nreplay: go test ./store -run TestModel$ -v -model.seed=%d", err, seed)
		}
		for what, n := range w.did {
			total[what] += n
		}
	}
	t.Logf("%d schedules did:\n%s", *modelSchedules, lines(total))
	// Gentle luck must not pass for proof.
	for _, what := range []string{
		"crashes", "disks lost", "splits", "moves settled", "moves aborted", "ballots retried",
		"writes stamped anew", "referrals followed", "hedges", "read repairs", "pushed configurations", "duplicates",
		"answers not-member",
	} {
		if total[what] == 0 {
			t.Errorf("no schedule did any: %s", what)
		}
	}
}

// The model must notice each broken rule.
func TestModelCatchesMutants(t *testing.T) {
	catches(t, "model", func(seed uint64, m mutant) error { return runModel(seed, m).failure },
		syncTooFew, syncAnyEpoch, noSync, jointOldOnly, serveOldEpochs, forgetPromise, ignoreAccepted,
		answerBeforeSync, lateWrites, noRestamp, clockForgets, anyIncarnation, minorityDecides, staleSyncs, shortReadsInJoint)
}
