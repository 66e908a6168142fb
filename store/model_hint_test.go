package store

import (
	"flag"
	"maps"
	"slices"
	"testing"
	"time"
)

var modelHints = flag.Int("model.hints", 60, "number of histories with sloppy writes and hints that the model runs")

const (
	hintKeep     = 2500 * time.Millisecond // how long a hint is kept
	hintPatience = 60                      // ms that a sloppy write waits for voters
	hintTries    = 4
)

// hinting is what becomes of writes that peers keep for voters out of reach.
type hinting struct {
	on     bool
	writes map[Version]*sloppyWrite
	later  map[string]int64 // when the latest strict write that was acknowledged began, by key
}

// sloppyWrite is a put or a delete for which peers may keep hints.
type sloppyWrite struct {
	ended int64 // when its caller was answered; 0: never
}

// newHinting is a history of deletes in which half of the writes are sloppy.
func newHinting(seed uint64, m mutant) *world {
	w := newDeletes(seed, m)
	w.hinting = hinting{on: true, writes: map[Version]*sloppyWrite{}, later: map[string]int64{}}
	return w
}

// writeSloppy writes a record as the driver does at the level sloppy.
func (p *peer) writeSloppy(key string, rec Record) {
	w, x := p.w, new(sloppyWrite)
	var encoded []byte
	stamp := func() {
		rec.Version = p.stamp()
		w.written[rec.Version], w.hinting.writes[rec.Version] = key, x
		w.mark(&rec)
		encoded = rec.AppendTo(nil)
	}
	stamp()
	op, began, tries := new(Write), w.now, 0
	op.Believe(wall(p.now().Add(modelSkew)))
	op.Patient()
	var start func(c Config)
	start = func(c Config) {
		tries++
		p.runHinted(op, op.Start(c, LevelQuorum, rec.Version), &encoded, hintPatience, (*peer).serveWrite, func(end Outcome) {
			switch {
			case end == Done:
				x.ended = w.now
				w.did["sloppy writes that voters took"]++
				w.acknowledged(key, rec.Version, began)
			case tries < hintTries && op.Version().Less(op.Newest()) && p.clock.Observe(p.now(), op.Newest()) == nil:
				stamp()
				start(op.Config())
			default:
				p.leaveHints(op, encoded, func(enough bool) {
					if x.ended = w.now; !enough {
						w.did["sloppy writes failed"]++
						return
					}
					w.did["sloppy writes by hints"]++
					w.logf("%s wrote %s %v epoch %d by %b and hints", p.self.Peer, key, rec.Version, op.Config().Epoch, op.Stored())
					if w.mutant == hintCounts {
						w.acknowledged(key, rec.Version, began)
					}
				})
			}
		})
	}
	start(p.cache)
}

// runHinted runs a write to its end, or for so many ms, which is as if it had failed. A write
// that has to be stamped anew has ended.
func (p *peer) runHinted(op *Write, st Step, record *[]byte, patience int64, serve func(*peer, uint64, WriteRequest, func(any)), end func(Outcome)) {
	over := false
	finish := func(o Outcome) {
		if !over {
			over = true
			end(o)
		}
	}
	var handle func(st Step)
	handle = func(st Step) {
		if err := op.check(); err != nil {
			p.w.fail("write: %v", err)
		}
		if over {
			return
		}
		if st.Outcome != Running {
			p.use(op.Config())
			finish(st.Outcome)
			return
		}
		c := op.Config()
		for i := range st.Send.All() {
			to := op.Member(i)
			req := WriteRequest{Target: p.target(c, i, to, st.Push), Record: *record}
			p.w.call(p, to.Peer, func(q *peer, answer func(any)) { serve(q, c.Epoch, req, answer) }, func(reply any, ok bool) {
				if r, is := reply.(WriteReply); ok && is {
					handle(op.Reply(st.Round, i, r))
				} else {
					handle(op.Fail(st.Round, i))
				}
			})
		}
	}
	p.later(patience, func() { finish(Failed) })
	handle(st)
}

// acknowledged is told of a write of which a quorum of voters is said to hold the record.
func (w *world) acknowledged(key string, v Version, began int64) {
	if w.acked[key].Less(v) {
		w.acked[key] = v
	}
	if w.hinting.on {
		w.hinting.later[key] = max(w.hinting.later[key], began)
	}
}

// leaveHints has peers that are no members keep a record, as many as a write lacks.
func (p *peer) leaveHints(op *Write, record []byte, done func(enough bool)) {
	lacks, members := op.Lacks(), op.Config().Members()
	var keepers []*peer
	for _, i := range p.w.order {
		if q := p.w.peers[i]; !slices.Contains(members, q.self) {
			keepers = append(keepers, q)
		}
	}
	kept := 0
	var next func()
	next = func() {
		if kept >= lacks || len(keepers) == 0 {
			done(kept >= lacks)
			return
		}
		q := keepers[0]
		keepers = keepers[1:]
		p.w.call(p, q.self.Peer, func(q *peer, answer func(any)) { q.keepHint(record, answer) }, func(_ any, ok bool) {
			if ok {
				kept++
			}
			next()
		})
	}
	next()
}

// keepHint keeps a write for others, and answers when it is on disk.
func (p *peer) keepHint(record []byte, answer func(any)) {
	hint, err := NewHint(record, p.now(), hintKeep, modelSkew)
	if err != nil {
		return
	}
	v, _ := OpenRecord(record)
	name := JoinKey(string(v.Namespace()), string(v.Key())) + " " + v.Version().String()
	p.enqueue(commit{
		apply: func() { p.hints[name] = hint.AppendTo(nil) },
		done:  func() { answer(struct{}{}) },
	})
}

// handHints tries to hand over the first hint that is kept.
func (p *peer) handHints() {
	if len(p.hints) == 0 || p.handing || !p.locate() {
		return
	}
	w, name := p.w, slices.Min(slices.Collect(maps.Keys(p.hints)))
	drop := func() { p.enqueue(commit{apply: func() { delete(p.hints, name) }, done: func() { p.handing = false }}) }
	hint, err := DecodeHint(p.hints[name])
	if err != nil {
		w.fail("hint on disk: %v", err)
		return
	}
	p.handing = true
	if !p.now().Before(hint.Until) {
		w.did["hints expired"]++
		drop()
		return
	}
	v, _ := OpenRecord(hint.Record)
	key, version, began, record := JoinKey(string(v.Namespace()), string(v.Key())), v.Version(), w.now, hint.Record
	op := new(Write)
	op.Believe(wall(p.now().Add(modelSkew)))
	var end func(Outcome)
	end = func(o Outcome) {
		switch {
		case o == Done:
			w.did["hints handed over"]++
			w.logf("%s handed %s %v over at epoch %d to %b", p.self.Peer, key, version, op.Config().Epoch, op.Acks())
			if w.acked[key].Less(version) { // by no caller of now: it is not later than any
				w.acked[key] = version
			}
			drop()
		case o == Stamp && w.mutant == hintAnew && p.clock.Observe(p.now(), op.Newest()) == nil:
			anew := w.marks[version]
			anew.Version = p.stamp()
			w.written[anew.Version], w.hinting.writes[anew.Version] = key, w.hinting.writes[version]
			w.mark(&anew)
			version, record = anew.Version, anew.AppendTo(nil)
			p.runHinted(op, op.Again(version), &record, 400-w.now+began, (*peer).serveHinted, end)
		case o == Stamp:
			w.did["hints refused"]++
			drop()
		default:
			w.did["hints kept on"]++
			p.forget()
			p.later(50, func() { p.handing = false })
		}
	}
	p.runHinted(op, op.Start(p.cache, LevelQuorum, version), &record, 400, (*peer).serveHinted, end)
}

// serveHinted takes in what another kept: a write like any.
func (p *peer) serveHinted(epoch uint64, req WriteRequest, answer func(any)) {
	if p.w.mutant != hintForces || p.admit(req.Target, epoch, false) != StatusOK {
		p.serveWrite(epoch, req, answer)
		return
	}
	v, _ := OpenRecord(req.Record)
	p.enqueue(commit{
		apply: func() { p.records[JoinKey(string(v.Namespace()), string(v.Key()))] = req.Record },
		done:  func() { answer(WriteReply{Status: StatusOK, Synced: true, Version: v.Version()}) },
	})
}

// returned is told that a strict read found a version; later is when the latest strict write of
// the key, of those acknowledged before the read began, began itself. A sloppy write that had
// ended before that one began is gone by then, however long somebody kept it.
func (w *world) returned(key string, v Version, later int64) {
	apart := int64(1600) // clocks differ
	if w.exact {
		apart = 100
	}
	if x := w.hinting.writes[v]; x != nil && x.ended > 0 && x.ended+apart < later {
		w.fail("read of %s returned %v, of a write that ended at %d; it was replaced by one that began at %d", key, v, x.ended, later)
	}
}

// handedOver checks that nobody keeps a hint any more.
func (w *world) handedOver() {
	for _, p := range w.peers {
		if len(p.hints) > 0 {
			w.stuck("once quiet %s still keeps %d hints", p.self.Peer, len(p.hints))
		}
	}
}

// hintModel runs one schedule.
func hintModel(seed uint64, m mutant) *world { return newHinting(seed, m).playDeletes() }

// No strict promise is weaker for sloppy writes beside them, and no hint brings back what was
// deleted or replaced, however late it comes.
func TestModelHints(t *testing.T) {
	total := map[string]int{}
	for seed := uint64(1); seed <= uint64(*modelHints); seed++ {
		w := hintModel(seed, sound)
		if err := w.verdict(); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, tail(w.trace))
		}
		for what, n := range w.did {
			total[what] += n
		}
	}
	t.Logf("%d schedules did:\n%s", *modelHints, lines(total))
	for _, what := range []string{
		"sloppy writes by hints", "sloppy writes failed", "sloppy writes that voters took", "hints handed over",
		"hints refused", "hints kept on", "hints expired", "dead records reclaimed", "disks lost", "moves settled",
	} {
		if total[what] == 0 {
			t.Errorf("no schedule did any: %s", what)
		}
	}
}

func TestModelHintsCatchesMutants(t *testing.T) {
	catches(t, "hints", func(seed uint64, m mutant) error { return hintModel(seed, m).verdict() },
		hintCounts, hintAnew, hintForces)
}
