package store

import (
	"errors"
	"fmt"
)

// narrow is what a mutant makes of a configuration before counting quorums.
func (p *peer) narrow(c Config, read bool) Config {
	switch {
	case c.Stable():
	case p.w.mutant == jointOldOnly:
		c.Next = nil
	case p.w.mutant == shortReadsInJoint && read:
		if p.w.chance(ofDrivers, 0.5) {
			c.Voters = c.Next
		}
		c.Next = nil
	}
	return c
}

func (p *peer) target(c Config, i int, to Voter, push Set) Target {
	t := Target{Incarnation: to.Incarnation}
	if push.Has(i) {
		t.Push = p.w.decided[c.Epoch]
	}
	return t
}

func (p *peer) level() Level {
	return [...]Level{LevelOne, LevelAll, LevelQuorum, LevelQuorum, LevelQuorum, LevelQuorum}[p.w.roll(ofLoad).IntN(6)]
}

// stamp draws a version, saving a ceiling first where the clock asks for it.
func (p *peer) stamp() Version {
	clock, err := p.clock.Next(p.now())
	if errors.Is(err, ErrReserve) {
		p.ceiling = p.clock.Reserve(p.now())
		p.clock.Reserved(p.ceiling)
		clock, err = p.clock.Next(p.now())
	}
	if err != nil {
		p.w.fail("clock: %v", err)
	}
	return Version{Clock: clock, Writer: p.self.Incarnation}
}

func (p *peer) put(key string) {
	if !p.locate() {
		return
	}
	level := p.level()
	ns, k := SplitKey(key)
	rec := Record{Namespace: ns, Key: k, Position: Route(ns, k)}
	if p.w.deletes {
		rec.Tombstone = p.w.chance(ofLoad, 0.4)
		if !rec.Tombstone && p.w.chance(ofLoad, 0.3) {
			rec.Expires = p.now().UnixMilli() + p.w.roll(ofLoad).Int64N(600)
		}
	}
	if p.w.hinting.on && p.w.chance(ofHints, 0.5) {
		p.writeSloppy(key, rec)
		return
	}
	p.write(key, rec, level)
}

// write writes a record, but for its version, by the configuration that the peer has.
func (p *peer) write(key string, rec Record, level Level) {
	w := p.w
	var encoded []byte
	encode := func(v Version) {
		if other, ok := w.written[v]; ok {
			w.fail("version %v stamped twice, for %s and %s", v, other, key)
		}
		w.written[v] = key
		rec.Version = v
		if w.deletes {
			w.mark(&rec)
		} else {
			rec.Value = fmt.Appendf(nil, "%s=%v", key, v)
		}
		encoded = rec.AppendTo(nil)
	}
	encode(p.stamp())
	before, began := w.acked[key], w.now
	var op Write
	op.Believe(wall(p.now().Add(modelSkew)))
	over := false
	var handle func(st Step)
	handle = func(st Step) {
		if err := op.check(); err != nil {
			w.fail("write: %v", err)
		}
		if over {
			return
		}
		switch st.Outcome {
		case Stamp:
			if w.mutant == noRestamp {
				handle(op.Again(op.Version()))
				return
			}
			if p.clock.Observe(p.now(), op.Newest()) != nil {
				over = true
				w.did["clocks refused"]++
				return
			}
			w.did["writes stamped anew"]++
			encode(p.stamp())
			handle(op.Again(rec.Version))
			return
		case Failed:
			over = true
			p.forget()
			w.did["writes failed"]++
			w.logf("%s cannot write %s epoch %d: %b failed", p.self.Peer, key, op.Config().Epoch, op.Missing())
			return
		case Done:
			over = true
			p.use(op.Config())
			w.did["writes"]++
			if level == LevelOne || began <= w.force.at {
				return
			}
			w.afterFence("a write", key, began)
			w.logf("%s wrote %s %v epoch %d by %b", p.self.Peer, key, rec.Version, op.Config().Epoch, op.Acks())
			if !before.Less(rec.Version) {
				w.fail("put of %s got %v, %v was acknowledged before it began", key, rec.Version, before)
			}
			w.acknowledged(key, rec.Version, began)
			return
		}
		c, version := op.Config(), encoded
		for i := range st.Send.All() {
			to := op.Member(i)
			req := WriteRequest{Target: p.target(c, i, to, st.Push), Record: version}
			w.call(p, to.Peer, func(q *peer, answer func(any)) { q.serveWrite(c.Epoch, req, answer) }, func(reply any, ok bool) {
				r, is := reply.(WriteReply)
				if !ok || !is {
					handle(op.Fail(st.Round, i))
					return
				}
				r.Config = p.narrow(r.Config, false)
				handle(op.Reply(st.Round, i, r))
			})
		}
	}
	p.later(400, func() { over = true })
	handle(op.Start(p.narrow(p.cache, false), level, rec.Version))
}

func (p *peer) get(key string) {
	if !p.locate() {
		return
	}
	p.read(key, p.level())
}

// read reads a key by the configuration that the peer has.
func (p *peer) read(key string, level Level) {
	w := p.w
	ns, k := SplitKey(key)
	before, later := w.acked[key], w.hinting.later[key]
	var op Read
	op.Believe(wall(p.now().Add(modelSkew)))
	over := false
	began := w.now
	var handle func(st Step)
	handle = func(st Step) {
		if err := op.check(); err != nil {
			w.fail("read: %v", err)
		}
		if over {
			return
		}
		switch st.Outcome {
		case Failed:
			over = true
			p.forget()
			w.did["reads failed"]++
			w.logf("%s cannot read %s epoch %d: %b failed", p.self.Peer, key, op.Config().Epoch, op.Missing())
			return
		case Done:
			over = true
			p.use(op.Config())
			w.did["reads"]++
			_, v := op.Result()
			if level != LevelOne {
				if began > w.fencing.at {
					w.afterFence("a read", key, began)
				}
				w.logf("%s read %s %v epoch %d began %d by %b", p.self.Peer, key, v, op.Config().Epoch, began, op.Acks())
				if v.Less(before) && began > w.force.at && !w.mayBeGone(key, v, before) {
					w.fail("read of %s returned %v, %v was acknowledged before it began", key, v, before)
				}
				w.returned(key, v, later)
			}
			if w.written[v] != key && !v.IsZero() {
				w.fail("read of %s returned %v, never written", key, v)
			}
			p.repair(&op)
			return
		}
		c := op.Config()
		for i := range st.Send.All() {
			to := op.Member(i)
			req := ReadRequest{Target: p.target(c, i, to, st.Push), Brief: st.Brief.Has(i), Namespace: ns, Key: k}
			w.call(p, to.Peer, func(q *peer, answer func(any)) { q.serveRead(c.Epoch, req, answer) }, func(reply any, ok bool) {
				r, is := reply.(ReadReply)
				if !ok || !is {
					handle(op.Fail(st.Round, i))
					return
				}
				r.Config = p.narrow(r.Config, true)
				handle(op.Reply(st.Round, i, r))
			})
		}
	}
	p.later(8, func() {
		if !over {
			w.did["hedges"]++
			handle(op.Hedge())
		}
	})
	p.later(400, func() { over = true })
	rank := func(v Voter) int { return int(v.Peer[0]^p.self.Peer[0]) & 7 }
	handle(op.Start(p.narrow(p.cache, true), level, ns, k, rank))
}

// repair brings the replicas up that a read found stale.
func (p *peer) repair(op *Read) {
	record, _ := op.Result()
	c := op.Config()
	for i := range op.Stale().All() {
		to := op.Member(i)
		req := WriteRequest{Target: Target{Incarnation: to.Incarnation}, Repair: true, Record: record}
		p.w.did["read repairs"]++
		p.w.call(p, to.Peer, func(q *peer, answer func(any)) { q.serveWrite(c.Epoch, req, answer) }, func(any, bool) {})
	}
}
