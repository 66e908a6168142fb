package store

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// casHistory is what clients saw of registers, by key. Calls and returns are
// numbered in the order in which they happened.
type casHistory struct {
	clock  int64
	ops    map[string][]porcupine.Operation
	known  map[Dot][]byte
	reads  int
	latest map[string]CASState // what clients go by when they expect a version
}

type casOutput struct {
	known   bool // false: the client never learned what became of it
	verdict Verdict
	state   CASState
}

func (h *casHistory) tick() int64 { h.clock++; return h.clock }

// casModel is one register, for porcupine.
var casModel = porcupine.Model{
	Init: func() any { return CASState{} },
	Step: func(state, in, out any) (bool, any) {
		now, c, o := state.(CASState), in.(Change), out.(casOutput)
		next := CASState{Version: c.Expect + 1, Dot: c.Dot}
		same := now.Version == o.state.Version && now.Dot == o.state.Dot
		switch {
		case c.Read:
			return same, now
		case !o.known || o.verdict == Unsure:
			if now.Version == c.Expect {
				return true, next
			}
			return true, now
		case o.verdict == Conflict:
			return same && now.Version != c.Expect, now
		default:
			return now.Version == c.Expect && o.state.Dot == c.Dot, next
		}
	},
	Equal: func(a, b any) bool {
		x, y := a.(CASState), b.(CASState)
		return x.Version == y.Version && x.Dot == y.Dot
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// verify checks every register's history, and returns whether the checker came
// to a verdict each time.
func (w *world) verify() (decided bool) {
	decided = true
	for _, key := range slices.Sorted(maps.Keys(w.history.ops)) {
		switch porcupine.CheckOperationsTimeout(casModel, relevant(w.history.ops[key]), time.Minute) {
		case porcupine.Illegal:
			w.fail("the history of %s is not linearizable", key)
		case porcupine.Unknown:
			decided = false
		case porcupine.Ok:
		}
	}
	return decided
}

// relevant leaves out the changes of unknown fate that cannot have happened, as
// somebody saw that another one made the version they would have made: each of
// them would double the checker's work.
func relevant(ops []porcupine.Operation) []porcupine.Operation {
	made := map[uint64]Dot{}
	for _, op := range ops {
		if o := op.Output.(casOutput); o.known {
			made[o.state.Version] = o.state.Dot
		}
	}
	return slices.DeleteFunc(slices.Clone(ops), func(op porcupine.Operation) bool {
		c, o := op.Input.(Change), op.Output.(casOutput)
		dot, seen := made[c.Expect+1]
		return !c.Read && (!o.known || o.verdict == Unsure) && seen && dot != c.Dot
	})
}

// bootCAS starts a life from the registers on disk.
func (p *peer) bootCAS() {
	if p.w.mutant != casForgets {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(p.cas)) {
		r := p.register(key)
		r.Promised = r.Accepted
		p.cas[key] = r.AppendTo(nil)
	}
}

func (p *peer) register(key string) Register {
	b, ok := p.cas[key]
	if !ok {
		return Register{}
	}
	r, err := DecodeRegister(b)
	if err != nil {
		p.w.fail("register on disk: %v", err)
	}
	return r
}

// saveCAS puts a register, and the record that stands for it, on the disk.
func (p *peer) saveCAS(key string, r Register) {
	if err := r.check(); err != nil && p.w.mutant == sound {
		p.w.fail("register %s of %s: %v", key, p.self.Peer, err)
	}
	p.cas[key] = r.AppendTo(nil)
	if !r.Accepted.IsZero() {
		rec := r.Record(key)
		p.records[JoinKey(RegisterNamespace, key)] = rec.AppendTo(nil)
	}
}

// mergeCAS queues a register that another replica handed over.
func (p *peer) mergeCAS(v View, done func()) {
	o, err := RegisterOf(v)
	if err != nil {
		p.w.fail("register on the wire: %v", err)
	}
	key := string(v.Key())
	p.enqueue(commit{
		apply: func() {
			r := p.register(key)
			switch p.w.mutant {
			case casNoMerge:
				return
			case casMergesOld:
				r.Accepted = CASBallot{}
			}
			if r.Merge(o) {
				p.saveCAS(key, r)
				p.w.did["registers handed over"]++
			}
		},
		done: done,
	})
}

func (p *peer) serveCAS(epoch uint64, req CASRequest, answer func(any)) {
	status := p.admit(req.Target, epoch, false)
	if status != StatusOK {
		reply := CASReply{Status: status}
		if status == StatusReferral {
			reply.Config = p.mem.Config
		}
		p.barrier(func() { answer(reply) })
		return
	}
	if p.w.mutant == casFlat {
		req.Ballot.Epoch = 1
	} else if err := req.Check(epoch); err != nil {
		p.w.fail("register request: %v", err)
	}
	var reply CASReply
	step := func() {
		p.enqueue(commit{
			apply: func() {
				r := p.register(req.Key)
				if p.w.mutant == casAnyBallot && req.Accept && req.Ballot.Compare(r.Promised) < 0 {
					r.Promised = req.Ballot
				}
				var changed bool
				var err error
				if reply, changed, err = r.Step(&req); err != nil && p.w.mutant == sound {
					p.w.fail("register %s of %s: %v", req.Key, p.self.Peer, err)
				}
				if changed {
					p.saveCAS(req.Key, r)
				}
				if reply.Status == StatusOutbid {
					p.w.did["ballots outbid"]++
				}
			},
			done: func() { answer(reply) },
		})
	}
	if p.w.mutant == casLate {
		p.later(p.w.roll(ofDisks).Int64N(60), step)
		return
	}
	step()
}

// change reads a register, or tries to change it from what a client saw last.
func (p *peer) change(key string) {
	if !p.locate() {
		return
	}
	h := p.w.history
	c := Change{Read: true}
	if p.w.chance(ofLoad, 0.6) {
		at := p.stamp()
		c = Change{Expect: h.latest[key].Version, Dot: Dot{Actor: at.Writer, Counter: at.Clock}}
		c.Value = fmt.Appendf(nil, "%s=%v", key, c.Dot)
		h.known[c.Dot] = c.Value
	}
	p.runCAS(key, c)
}

func (p *peer) runCAS(key string, c Change) {
	w, h := p.w, p.w.history
	index := len(h.ops[key])
	h.ops[key] = append(h.ops[key], porcupine.Operation{
		ClientId: index, Input: c, Call: h.tick(), Output: casOutput{}, Return: math.MaxInt64,
	})
	if c.Read { // one that nobody hears of says nothing
		h.ops[key] = h.ops[key][:index]
	}
	called := h.clock
	op := new(CAS)
	over, paused, attempts := false, false, 0
	finish := func() {
		over = true
		p.use(op.Config())
		verdict, state := op.Result()
		w.did["changes "+[...]string{"applied", "in conflict", "unsure"}[verdict]]++
		if state.Version > 0 && !bytes.Equal(h.known[state.Dot], state.Value) {
			w.fail("register %s holds %+v, which nobody wrote", key, state)
		}
		if h.latest[key].Version < state.Version {
			h.latest[key] = state
		}
		out := casOutput{known: true, verdict: verdict, state: state}
		w.logf("%s ends %s %+v: %+v by %b epoch %d", p.self.Peer, key, c, out, op.Acks(), op.Config().Epoch)
		if c.Read {
			h.reads++
			h.ops[key] = append(h.ops[key], porcupine.Operation{ClientId: len(h.ops[key]), Input: c, Call: called, Output: out, Return: h.tick()})
			return
		}
		h.ops[key][index].Output = out
		if verdict != Unsure {
			h.ops[key][index].Return = h.tick()
		}
	}
	var handle func(st Step)
	handle = func(st Step) {
		if err := op.check(); err != nil && w.mutant == sound {
			w.fail("change: %v", err)
		}
		if over || paused {
			return
		}
		switch st.Outcome {
		case Done:
			finish()
			return
		case Outbid, Failed:
			if attempts++; attempts > 5 {
				over = true
				p.forget()
				w.did["changes failed"]++
				return
			}
			w.did["changes repeated"]++
			paused = true
			p.later(2+w.roll(ofLoad).Int64N(60), func() {
				paused = false
				if c := p.narrow(p.cache, false); c.Epoch > op.Config().Epoch {
					handle(op.Again(c))
				} else {
					handle(op.Again(op.Config()))
				}
			})
			return
		}
		p.spoil(op)
		if w.mutant == casReadShort && c.Read && op.accept {
			finish()
			return
		}
		conf, all := op.Config(), op.Request()
		for i := range st.Send.All() {
			to, req := op.Member(i), all
			req.Target = p.target(conf, i, to, st.Push)
			w.call(p, to.Peer, func(q *peer, answer func(any)) { q.serveCAS(conf.Epoch, req, answer) }, func(reply any, ok bool) {
				if !ok {
					handle(op.Fail(st.Round, i))
					return
				}
				r := reply.(CASReply)
				r.Config = p.narrow(r.Config, false)
				if w.mutant == casMinority && op.accept && r.Status == StatusOK && st.Round == op.round && !over {
					finish()
					return
				}
				handle(op.Reply(st.Round, i, p.spoilReply(op, r)))
				if w.mutant == sound && r.Status == StatusOutbid && !op.ended { // mutants' seeds are of schedules without
					p.later(10, func() {
						if st.Round == op.round && !op.ended {
							w.did["attempts given up early"]++
							handle(op.Hurry())
						}
					})
				}
			})
		}
	}
	p.later(600, func() { over = true })
	handle(op.Start(p.narrow(p.cache, false), p.self.Incarnation, key, c))
}

// spoil is what mutants make of a change before its requests leave.
func (p *peer) spoil(op *CAS) {
	switch p.w.mutant {
	case casForgetsDot:
		op.tried = false
	case casNeverUnsure:
		if op.verdict == Unsure {
			op.verdict = Conflict
		}
	}
}

// spoilReply is what mutants make of an answer.
func (p *peer) spoilReply(op *CAS, r CASReply) CASReply {
	switch p.w.mutant {
	case casIgnores:
		r.Accepted, r.State = CASBallot{}, CASState{}
	case casFirst:
		if op.acks != 0 && !op.accept {
			r.Accepted, r.State = CASBallot{}, CASState{}
		}
	case casFlat: // peers see epoch 1, the machine its own
		r.Promised.Epoch = op.ballot.Epoch
		if !r.Accepted.IsZero() {
			r.Accepted.Epoch = op.ballot.Epoch
		}
	}
	return r
}

// runCASModel runs one schedule of changes to registers.
func runCASModel(seed uint64, m mutant) (w *world, decided bool) {
	w = newWorld(seed, m)
	w.history = &casHistory{ops: map[string][]porcupine.Operation{}, known: map[Dot][]byte{}, latest: map[string]CASState{}}
	w.play()
	if w.failure != nil {
		return w, true
	}
	reads := w.history.reads
	keys := slices.Sorted(maps.Keys(w.history.latest))
	for _, p := range w.peers {
		for !p.locate() {
			w.run(w.now + 50)
		}
		for _, key := range keys {
			p.runCAS(key, Change{Read: true})
		}
		w.run(w.now + 300)
	}
	w.run(w.now + 1000)
	if got := w.history.reads - reads; got != len(w.peers)*len(keys) {
		w.stuck("once quiet %d of %d reads of registers are answered", got, len(w.peers)*len(keys))
	}
	return w, w.verify()
}

func TestCASModel(t *testing.T) {
	if *modelSeed > 0 {
		w, _ := runCASModel(*modelSeed, sound)
		t.Logf("%s", strings.Join(w.trace, "\n"))
		if err := w.verdict(); err != nil {
			t.Error(err)
		}
		return
	}
	total, unknown := map[string]int{}, 0
	for seed := uint64(1); seed <= uint64(*modelSchedules); seed++ {
		w, decided := runCASModel(seed, sound)
		if err := w.verdict(); err != nil {
			t.Fatalf("%v\nreplay: go test ./store -run TestCASModel$ -v -model.seed=%d", err, seed)
		}
		if !decided {
			unknown++
		}
		for what, n := range w.did {
			total[what] += n
		}
	}
	if unknown > 0 {
		t.Errorf("of %d histories the checker did not say whether they are linearizable", unknown)
	}
	var lines []string
	for what, n := range total {
		lines = append(lines, fmt.Sprintf("%-26s %7d", what, n))
	}
	slices.Sort(lines)
	t.Logf("%d schedules did:\n%s", *modelSchedules, strings.Join(lines, "\n"))
	for _, what := range []string{
		"crashes", "disks lost", "splits", "moves settled", "moves aborted", "duplicates", "referrals followed", "ballots outbid",
		"registers handed over", "changes applied", "changes in conflict", "changes unsure", "changes repeated", "changes failed",
	} {
		if total[what] == 0 {
			t.Errorf("no schedule did any: %s", what)
		}
	}
}

// As TestModelCatchesMutants, for what registers add and what they rely on.
func TestCASModelCatchesMutants(t *testing.T) {
	catches(t, "cas", func(seed uint64, m mutant) error {
		w, _ := runCASModel(seed, m)
		return w.failure
	}, casForgets, casIgnores, casFirst, casFlat, casReadShort, casMinority, casAnyBallot, casForgetsDot, casNeverUnsure,
		casNoMerge, casMergesOld, casLate, noSync, jointOldOnly, serveOldEpochs, anyIncarnation)
}
