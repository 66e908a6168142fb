package store

import (
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// The model runs the real machines of this package over a simulated network
// and simulated disks, one shard, under a seed. Times are virtual milliseconds.

type event struct {
	at  int64
	seq int
	fn  func()
}

type events []event

func (h events) Len() int { return len(h) }
func (h events) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *events) Push(x any)   { *h = append(*h, x.(event)) }
func (h *events) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// mutant breaks one rule of the protocol, so that the model can show that it
// would notice.
type mutant string

const (
	sound             mutant = ""
	syncTooFew        mutant = "a new voter synchronises from one source too few"
	syncAnyEpoch      mutant = "a source hands over without holding the joint configuration"
	noSync            mutant = "a move settles without synchronising"
	jointOldOnly      mutant = "joint quorums are counted in the old set alone"
	serveOldEpochs    mutant = "a replica serves epochs that it has left"
	forgetPromise     mutant = "acceptors keep their state in memory"
	ignoreAccepted    mutant = "a proposer ignores values that were accepted"
	answerBeforeSync  mutant = "state is answered from before it is synced"
	lateWrites        mutant = "an admitted write is queued some time later"
	noRestamp         mutant = "a superseded write counts as stored at once"
	clockForgets      mutant = "a clock restarts at the wall clock"
	anyIncarnation    mutant = "a peer answers for its former incarnation"
	minorityDecides   mutant = "a proposer takes one acceptance for a decision"
	staleSyncs        mutant = "a move settles on what synchronised under a former epoch"
	shortReadsInJoint mutant = "a read takes its quorum in either set of a joint configuration"

	// Of deletes.
	raiseEarly     mutant = "a horizon is raised without the confirmation of all voters"
	raiseUnclosed  mutant = "a horizon is raised without closing"
	raiseUncollect mutant = "a horizon is raised without collecting"
	confirmBlindly mutant = "a voter confirms without pulling"
	keepCovered    mutant = "a voter that was away keeps records that a horizon covers"
	forgetClean    mutant = "a voter that was away counts as clean by its former confirmation"
	acceptSettled  mutant = "a replica accepts writes below the horizon"
	latePulls      mutant = "what was pulled under a former epoch is stored"
	reclaimAll     mutant = "tombstones are dropped without a horizon"

	// Of force.
	forceSome    mutant = "a shard is forced when only some of those who are missing are marked"
	forceBlindly mutant = "a shard is forced without pulling from the survivors"
	forceNext    mutant = "a force goes on in the next epoch"
	forceDeaf    mutant = "a shard is forced without asking who knows a newer configuration"

	// Of fences.
	fenceBlindly   mutant = "a replica that has keys of a namespace fences it off"
	fenceUnsettled mutant = "a replica looks for keys before what it admitted is on disk"
	fenceComing    mutant = "a replica takes keys in until the fence is on disk"
	fenceMinority  mutant = "one replica's fence is taken for a majority's"
	fenceForgets   mutant = "a fence that was handed over, or found on disk, is not kept to"

	// Of hints.
	hintCounts mutant = "a hint counts like a voter's acknowledgement"
	hintAnew   mutant = "a hint that is refused is stamped anew"
	hintForces mutant = "a hint replaces whatever is held"

	// Of registers.
	casForgets     mutant = "a register's promises are kept in memory"
	casIgnores     mutant = "a change ignores what was accepted"
	casFirst       mutant = "a change goes by the first promise instead of the newest state"
	casFlat        mutant = "ballots of registers ignore epochs"
	casReadShort   mutant = "a read returns what it found without having it accepted"
	casMinority    mutant = "a change takes one acceptance for a quorum"
	casAnyBallot   mutant = "an acceptor accepts below its promise"
	casForgetsDot  mutant = "a repeated change does not know its earlier attempt"
	casNeverUnsure mutant = "a change that may have happened counts as a conflict"
	casNoMerge     mutant = "a new voter drops the registers that it is handed"
	casMergesOld   mutant = "a register that is handed over replaces a newer one"
	casLate        mutant = "an admitted request on a register is queued some time later"
)

// die is a random stream of a run. There is one for each kind of decision, so that a
// new decision of one kind leaves what a seed does in the others alone.
type die int

const (
	ofWorld   die = iota // how many peers there are, and how far off their clocks
	ofLoad               // who reads and writes what, when, at which level
	ofTrouble            // what goes wrong, and for how long
	ofNetwork            // delays, losses, duplicates, how much fits an answer
	ofDisks              // how long a commit takes, and how much of it survives a crash
	ofDrivers            // what peers believe, whom they ask, how long they wait
	ofForce              // who dies for good, and when the operator says so
	ofHints              // which writes are sloppy
	dice
)

// world is one run of the model.
type world struct {
	dice   [dice]*rand.Rand
	mutant mutant
	now    int64
	seq    int
	queue  events
	peers  []*peer
	cut    map[[2]int]bool // directed pairs that lose everything
	loss   float64

	order   []int // the ring's order, as the shard sees it
	target  int   // voters aimed at
	chaos   bool
	decided map[uint64]Config
	accepts map[uint64]map[Ballot]map[Voter]Config
	bases   map[uint64]Config
	nextInc uint64

	written map[Version]string // every version ever stamped, and its key
	acked   map[string]Version // newest acknowledged strict write of a key
	history *casHistory        // of registers, if the load is changes of those
	deletes bool               // keys are deleted, and expire
	marks   map[Version]Record // what was written, if so
	grace   int64              // how old a version must be for a horizon to settle it, in ms
	exact   bool               // the clocks are hardly off
	slow    bool               // trouble comes so seldom that a horizon is raised before the next
	// forgotten are retired by the operator.
	forgotten map[Voter]bool
	force     force
	fencing   fencing
	hinting   hinting
	failure   error          // a broken promise, which ends the run
	hung      error          // something that should have come in order once quiet, and did not
	did       map[string]int // what the schedule did
	trace     []string
}

func newWorld(seed uint64, m mutant) *world {
	w := &world{
		force:   newForce(),
		mutant:  m,
		cut:     map[[2]int]bool{},
		decided: map[uint64]Config{},
		accepts: map[uint64]map[Ballot]map[Voter]Config{},
		bases:   map[uint64]Config{},
		written: map[Version]string{},
		acked:   map[string]Version{},
		did:     map[string]int{},
		marks:   map[Version]Record{}, forgotten: map[Voter]bool{},
		target: 3,
		chaos:  true,
	}
	for of := range dice {
		w.dice[of] = rand.New(rand.NewPCG(seed, 1+uint64(of)))
	}
	n := 4 + w.roll(ofWorld).IntN(3)
	for i := range n {
		w.peers = append(w.peers, newPeer(w, i))
		w.order = append(w.order, i)
	}
	first := Genesis(w.peers[0].self)
	w.decided[1] = first
	w.peers[0].mem.Learn(first)
	w.peers[0].disk = w.peers[0].mem
	return w
}

func (w *world) logf(format string, args ...any) {
	if len(w.trace) < 1<<16 {
		w.trace = append(w.trace, fmt.Sprintf("%6d  ", w.now)+fmt.Sprintf(format, args...))
	}
}

// fail records the first violation.
func (w *world) fail(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf(format, args...)
		w.logf("VIOLATION %v", w.failure)
	}
}

// stuck records that something did not come in order once quiet.
func (w *world) stuck(format string, args ...any) {
	if w.hung == nil {
		w.hung = fmt.Errorf(format, args...)
		w.logf("VIOLATION %v", w.hung)
	}
}

func (w *world) verdict() error { return errors.Join(w.failure, w.hung) }

func (w *world) after(d int64, fn func()) {
	w.seq++
	heap.Push(&w.queue, event{at: w.now + d, seq: w.seq, fn: fn})
}

// run advances virtual time to until, or to a violation.
func (w *world) run(until int64) {
	for len(w.queue) > 0 && w.failure == nil && w.queue[0].at <= until {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.fn()
	}
	w.now = max(w.now, until)
}

func (w *world) roll(of die) *rand.Rand { return w.dice[of] }

func (w *world) chance(of die, p float64) bool { return w.roll(of).Float64() < p }

func (w *world) delay() int64 {
	if w.chaos && w.chance(ofNetwork, 0.02) {
		return 20 + w.roll(ofNetwork).Int64N(400) // overtaken by many others
	}
	return 1 + w.roll(ofNetwork).Int64N(4)
}

const callTimeout = 60

// call sends a request; serve runs at the receiver and answers through its
// argument, done runs once at the sender.
func (w *world) call(from *peer, to chord.PeerID, serve func(p *peer, answer func(any)), done func(reply any, ok bool)) {
	target := w.peer(to)
	life, over := from.life, false
	finish := func(reply any, ok bool) {
		if !over && from.life == life {
			over = true
			done(reply, ok)
		}
	}
	w.after(callTimeout, func() { finish(nil, false) })
	copies := 1
	if w.chaos && from != target && w.chance(ofNetwork, 0.02) {
		copies = 2
		w.did["duplicates"]++
	}
	for range copies {
		w.transmit(from, target, func() {
			if !target.up {
				return
			}
			serve(target, func(reply any) {
				w.transmit(target, from, func() { finish(reply, true) })
			})
		})
	}
}

func (w *world) transmit(from, to *peer, fn func()) {
	if from == to {
		w.after(0, fn)
		return
	}
	if w.cut[[2]int{from.index, to.index}] || w.chance(ofNetwork, w.loss) {
		w.did["lost messages"]++
		return
	}
	w.after(w.delay(), fn)
}

func (w *world) peer(id chord.PeerID) *peer { return w.peers[id[0]-'a'] }

// accepted is told of every acceptance that reached a disk and derives what is
// decided: epochs must never fork.
func (w *world) accepted(base Config, b Ballot, v Voter, value Config) {
	epoch := value.Epoch
	if old, ok := w.bases[epoch]; ok && !old.Equal(base) {
		w.fail("two bases below epoch %d: %v and %v", epoch, old, base)
	}
	w.bases[epoch] = base
	if w.accepts[epoch] == nil {
		w.accepts[epoch] = map[Ballot]map[Voter]Config{}
	}
	if w.accepts[epoch][b] == nil {
		w.accepts[epoch][b] = map[Voter]Config{}
	}
	votes := w.accepts[epoch][b]
	for _, other := range votes {
		if !other.Equal(value) {
			w.fail("ballot %v of epoch %d carries %v and %v", b, epoch, other, value)
		}
	}
	votes[v] = value
	if base.forces(value) {
		if !w.forcedBy(base, b, votes) {
			return
		}
	} else if len(votes) < Majority(len(base.Voters)) {
		return
	}
	if old, ok := w.decided[epoch]; ok && !old.Equal(value) {
		w.fail("epoch %d forks: %v and %v", epoch, old, value)
	} else if !ok {
		w.decided[epoch] = value
		w.logf("decided %v", value)
		w.did["decisions"]++
		switch {
		case base.forces(value):
			w.salvaged(base, value)
		case value.Raised == epoch:
			w.did["horizons raised"]++
		case !value.Stable():
			w.did["moves begun"]++
		case value.Equal(base.Abort()):
			w.did["moves aborted"]++
		default:
			w.did["moves settled"]++
		}
	}
}

// learned is told of every configuration that a peer holds.
func (w *world) learned(p *peer, c Config) {
	if d, ok := w.decided[c.Epoch]; c.Epoch > 0 && (!ok || !d.Equal(c)) {
		w.fail("%s holds %v, decided is %v", p.self.Peer, c, d)
	}
}

func (w *world) newest() Config {
	return w.decided[slices.Max(slices.Collect(maps.Keys(w.decided)))]
}

// start is the wall clock at virtual time 0.
var modelStart = time.UnixMilli(1_700_000_000_000)
