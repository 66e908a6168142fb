package store

import (
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

var modelDeletes = flag.Int("model.deletes", 100, "number of histories of deletes, splits, returns and retired peers that the model runs")

// wall draws how far a peer's clock is off, in ms.
func (w *world) wall() int64 {
	if w.exact {
		return w.roll(ofWorld).Int64N(60) - 30
	}
	return w.roll(ofWorld).Int64N(1500) - 750
}

// mark remembers what is written.
func (w *world) mark(rec *Record) {
	if !rec.Tombstone {
		rec.Value = []byte("v")
	}
	w.marks[rec.Version] = *rec
}

// dead reports whether version v deleted its key, or is of a value that has
// expired by the fastest clock.
func (w *world) dead(v Version) bool {
	rec, ok := w.marks[v]
	return ok && (rec.Tombstone || rec.Expires > 0 && rec.Expires <= modelStart.Add(time.Duration(w.now+750)*time.Millisecond).UnixMilli())
}

// mayBeGone reports whether a read may find nothing of a key although a version
// was acknowledged: it is dead, or gave way to one that is.
func (w *world) mayBeGone(key string, found, acked Version) bool {
	if !found.IsZero() || !w.deletes {
		return false
	}
	for v, rec := range w.marks {
		if !v.Less(acked) && w.dead(v) && JoinKey(rec.Namespace, rec.Key) == key {
			return true
		}
	}
	return false
}

func (p *peer) entry(full string) Entry {
	v, err := OpenRecord(p.records[full])
	if err != nil {
		p.w.fail("record on disk: %v", err)
	}
	return Entry{Key: full, Version: v.Version(), Expires: v.Expires(), Deleted: v.Tombstone()}
}

// settled reports whether a write comes too late for the horizon.
func (p *peer) settled(record []byte) bool {
	v, err := OpenRecord(record)
	return err == nil && v.Class() == ClassEventual && v.Version().Clock <= p.mem.Settled() && p.w.mutant != acceptSettled
}

func (p *peer) rules(c Config) Rules {
	return Rules{Now: p.now(), Horizon: c.Horizon, Latest: max(wall(p.now().Add(modelSkew)), p.mem.Settled())}
}

// clean drops what a horizon covers if this peer was no voter when it was
// raised, before anything that follows from the configuration leaves.
func (p *peer) clean() {
	horizon := p.mem.Unclean(p.self)
	if horizon == 0 || p.w.mutant == forgetClean && p.mem.Clean > 0 {
		return
	}
	p.mem.Cleaned()
	p.enqueue(commit{apply: func() {
		for key := range p.records {
			if e := p.entry(key); e.Version.Clock <= horizon && p.w.mutant != keepCovered {
				delete(p.records, key)
				if ns, name := SplitKey(key); ns == RegisterNamespace {
					delete(p.cas, name)
				}
				p.w.did["covered records dropped"]++
			}
		}
	}, done: func() {}})
}

// reclaim drops dead records.
func (p *peer) reclaim() {
	c := p.mem.Config
	if !c.IsMember(p.self) {
		return
	}
	horizon := c.Horizon
	if p.w.mutant == reclaimAll {
		horizon = wall(p.now()) - uint64(p.w.grace)<<16
	}
	p.barrier(func() {
		p.enqueue(commit{apply: func() {
			for key := range p.records {
				if e := p.entry(key); e.Dead(horizon, p.now()) {
					delete(p.records, key)
					p.w.did["dead records reclaimed"]++
					// What was forgotten must stay so, acknowledged or not.
					if p.w.acked[key].Less(e.Version) {
						p.w.acked[key] = e.Version
					}
				}
			}
		}, done: func() {}})
	})
}

// raise raises the horizon if that is this peer's to do and there is something to
// reclaim.
func (p *peer) raise(s Situation) {
	horizon, grace := uint64(0), wall(p.now())-uint64(p.w.grace)<<16
	for key := range p.records {
		if e := p.entry(key); e.Dead(grace, p.now()) {
			horizon = max(horizon, e.Version.Clock)
		}
	}
	may := s.MayRaise()
	if p.w.mutant == raiseEarly {
		may = s.State.Config.Stable() && s.leads() && !s.State.Pending()
	}
	if horizon == 0 || !may {
		return
	}
	r, err := NewRaise(p.self, s.State.Config, horizon)
	if err != nil {
		return
	}
	p.busy = true
	p.w.did["raises begun"]++
	p.later(1500, func() { p.busy = false }) // given up, at the latest
	p.advanceRaise(r)
}

// advanceRaise does the present phase of a raise.
func (p *peer) advanceRaise(r *Raise) {
	phase, left := r.Next()
	step := func(v Voter) func(bool) {
		return func(ok bool) {
			now, _ := r.Next()
			switch {
			case now != phase:
			case !ok && p.w.mutant != raiseEarly:
				p.busy = false
			default:
				if r.Done(v); phase != first(r.Next()) {
					p.advanceRaise(r)
				}
			}
		}
	}
	switch c := r.Base(); phase {
	case RaisePropose:
		if p.mem.Config.Equal(c) {
			p.w.did["raises proposed"]++
			p.w.logf("%s raises the horizon of epoch %d to %x", p.self.Peer, c.Epoch, r.Value().Horizon)
			p.propose(c, r.Value())
		} else {
			p.busy = false
		}
	case RaiseCollect:
		for _, v := range left {
			p.collectFrom(c, v, p.w.mutant == raiseUncollect, step(v))
		}
	default:
		req := r.Request()
		for _, v := range left {
			p.w.call(p, v.Peer, func(q *peer, answer func(any)) {
				q.serveHorizon(c, v, req, answer)
			}, func(reply any, ok bool) { step(v)(ok && reply == StatusOK) })
		}
	}
}

func first(phase RaisePhase, _ []Voter) RaisePhase { return phase }

// collectFrom pulls everything of a voter.
func (p *peer) collectFrom(c Config, from Voter, pretend bool, done func(bool)) {
	if pretend {
		done(true)
		return
	}
	p.advance(c, from, NewPull(0, 1, Fingerprint{Count: 1 << 40}, "").By(p.rules(c)), done)
}

func (p *peer) serveHorizon(c Config, to Voter, req HorizonRequest, answer func(any)) {
	if to != p.self {
		return
	}
	p.learn(c)
	if !req.Confirm {
		status, changed := p.mem.Close(p.self, c.Epoch, req.Horizon, p.now())
		if p.w.mutant == raiseUnclosed {
			p.mem.Closed = 0
		}
		if changed {
			p.changed()
		}
		p.enqueue(commit{apply: func() {}, done: func() { answer(status) }})
		return
	}
	confirm := func(ok bool) {
		if p.w.mutant == raiseUnclosed {
			p.mem.Closed = req.Horizon
		}
		status, changed := p.mem.Confirm(p.self, c.Epoch, req.Horizon)
		if p.w.mutant == raiseUnclosed {
			p.mem.Closed = 0
		}
		if !ok {
			status = StatusSkewed
		}
		if changed {
			p.changed()
		}
		p.barrier(func() { answer(status) })
	}
	if req.From == p.self || p.w.mutant == confirmBlindly {
		confirm(true)
		return
	}
	p.collectFrom(c, req.From, false, func(ok bool) {
		if !ok {
			answer(StatusBehind)
			return
		}
		confirm(true)
	})
}

// retire lets the operator forget a peer that is down. It comes back some time.
func (w *world) retire(p *peer) {
	if p.up || w.forgotten[p.self] {
		return
	}
	w.did["peers retired"]++
	w.logf("retire %s", p.self.Peer)
	w.forgotten[p.self] = true
	v := p.self
	w.after(500+w.roll(ofTrouble).Int64N(1500), func() { delete(w.forgotten, v) })
}

// deleteModel runs one schedule of puts, deletes, values that expire, and
// trouble; then everything that is dead must go from the members' disks, and not
// come back when those that were away take their seats.
func deleteModel(seed uint64, m mutant) *world { return newDeletes(seed, m).playDeletes() }

func newDeletes(seed uint64, m mutant) *world {
	w := newWorld(seed, m)
	w.deletes = true
	w.grace = []int64{50, 100, 250, 500}[w.roll(ofWorld).IntN(4)]
	w.exact, w.slow = w.chance(ofWorld, 0.5), w.chance(ofWorld, 0.5)
	for _, p := range w.peers {
		p.wall = w.wall()
	}
	return w
}

func (w *world) playDeletes() *world {
	w.play()
	if w.verdict() != nil {
		return w
	}
	w.reclaimed()
	w.handedOver()
	for range len(w.peers) {
		w.order = append(w.order[1:], w.order[0])
		w.run(w.now + 1500)
		for _, p := range w.peers {
			for _, key := range slices.Sorted(maps.Keys(w.acked)) {
				p.get(key)
			}
		}
		w.run(w.now + 500)
	}
	w.run(w.now + 2000)
	w.reclaimed()
	return w
}

// reclaimed checks that no voter holds what is dead.
func (w *world) reclaimed() {
	for _, v := range w.newest().Voters {
		p := w.peer(v.Peer)
		for _, key := range slices.Sorted(maps.Keys(p.records)) {
			if e := p.entry(key); w.dead(e.Version) {
				w.stuck("once quiet %s still holds %s %v, at horizon %x", v.Peer, key, e.Version, p.mem.Config.Horizon)
			}
		}
	}
}

func TestModelDeletes(t *testing.T) {
	if *modelSeed > 0 {
		w := deleteModel(*modelSeed, sound)
		t.Logf("%s", strings.Join(w.trace, "\n"))
		if err := w.verdict(); err != nil {
			t.Error(err)
		}
		return
	}
	total := map[string]int{}
	for seed := uint64(1); seed <= uint64(*modelDeletes); seed++ {
		w := deleteModel(seed, sound)
		if err := w.verdict(); err != nil {
			t.Fatalf("%v\nreplay: go test ./store -run TestModelDeletes$ -v -model.seed=%d", err, seed)
		}
		for what, n := range w.did {
			total[what] += n
		}
	}
	t.Logf("%d schedules did:\n%s", *modelDeletes, lines(total))
	for _, what := range []string{
		"raises proposed", "horizons raised", "dead records reclaimed", "covered records dropped", "answers stale", "peers retired",
	} {
		if total[what] == 0 {
			t.Errorf("no schedule did any: %s", what)
		}
	}
}

// As TestModelCatchesMutants, for the rules of deletes. TestDirected breaks the others:
// chance seldom holds a call back for as long as that takes.
func TestModelDeletesCatchesMutants(t *testing.T) {
	catches(t, "deletes", func(seed uint64, m mutant) error { return deleteModel(seed, m).verdict() },
		raiseEarly, keepCovered, forgetClean, acceptSettled, reclaimAll)
}
