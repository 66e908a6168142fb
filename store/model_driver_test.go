package store

import (
	"slices"
)

// tick is the periodic part of a peer: beliefs, then one step for the shard.
func (p *peer) tick() {
	p.later(15+p.w.roll(ofDrivers).Int64N(20), p.tick)
	for _, q := range p.w.peers {
		if p.w.chaos && p.w.chance(ofDrivers, 0.2) {
			continue // news takes time
		}
		live := q.up && !p.w.cut[[2]int{p.index, q.index}] && !p.w.cut[[2]int{q.index, p.index}]
		p.believed[q.self] = live
		if live {
			p.seen[q.self] = p.w.now
		} else if _, ok := p.seen[q.self]; !ok {
			p.seen[q.self] = p.w.now
		}
	}
	for v := range p.believed {
		if p.w.peer(v.Peer).self != v {
			p.believed[v] = false
		}
	}
	p.pull()
	p.reclaim()
	p.handHints()
	if p.busy {
		return
	}
	s := p.situation()
	s.Synced = nil
	if c := p.mem.Config; c.IsVoter(p.self) && !c.Stable() && s.leads() {
		p.collect(c)
		return
	}
	p.act(s)
}

func (p *peer) situation() Situation {
	s := Situation{
		Self:  p.self,
		State: p.mem,
		Stuck: p.pending > 0 && p.w.now-p.pending > 100+40*int64(p.index),
		N:     p.w.target,
		Live:  func(v Voter) bool { return p.believed[v] },
		Gone: func(v Voter) bool {
			at, ok := p.seen[v]
			return ok && !p.believed[v] && p.w.now-at > 300
		},
		Told:      func(v Voter) bool { return p.told[v] >= p.mem.Config.Epoch },
		Leaving:   func(v Voter) bool { return p.w.peer(v.Peer).leaving && p.w.peer(v.Peer).self == v },
		Forgotten: func(v Voter) bool { return p.w.forgotten[v] },
		Forced:    p.w.force.has,
	}
	for _, i := range p.w.order {
		q := p.w.peers[i]
		if p.believed[q.self] || p.w.now-p.seen[q.self] < 60 {
			s.Proposal = append(s.Proposal, q.self)
		}
	}
	return s
}

// collect asks the new voters how far they are, then acts.
func (p *peer) collect(c Config) {
	p.busy = true
	reports, left := map[Voter][]Voter{}, len(c.Next)
	for _, v := range c.Next {
		p.w.call(p, v.Peer, func(q *peer, answer func(any)) { q.serveInfo(answer) }, func(reply any, ok bool) {
			if info, _ := reply.(ShardInfo); ok && info.Config.Equal(c) && p.w.peer(v.Peer).self == v {
				reports[v] = info.Synced
			}
			if left--; left > 0 {
				return
			}
			p.busy = false
			s := p.situation()
			if !s.State.Config.Equal(c) {
				return
			}
			s.Synced = func(v Voter) []Voter {
				if p.w.mutant == noSync {
					return c.Voters
				}
				if got := reports[v]; p.w.mutant == syncTooFew && len(got) > 0 || p.w.mutant == syncTooFew && c.IsVoter(v) {
					return c.Voters
				}
				return reports[v]
			}
			p.act(s)
		})
	}
}

func (p *peer) act(s Situation) {
	plan := s.Next()
	if plan.Action == Rest && p.w.deletes {
		p.raise(s)
	}
	switch plan.Action {
	case Await:
		p.tell(s.State.Config, plan.Await)
	case Salvage:
		p.salvage(s.State.Config, plan)
	}
	if plan.Action != Propose {
		return
	}
	if err := s.State.Config.CheckNext(plan.Value); err != nil {
		p.w.fail("%s plans %v after %v: %v", p.self.Peer, plan.Value, s.State.Config, err)
		return
	}
	p.w.logf("%s proposes %v: %s", p.self.Peer, plan.Value, plan.Why)
	p.w.did["proposals"]++
	p.propose(s.State.Config, plan.Value)
}

func (p *peer) propose(base, value Config) {
	p.busy = true
	pr := NewProposer(p.self.Incarnation, base, value)
	attempts, over := 0, false
	ask := pr.Acceptors()
	finish := func(c Config) {
		over, p.busy = true, false
		if c.Epoch == 0 {
			return
		}
		p.learn(c)
		p.tell(c, base.Members())
		p.tell(c, c.Members())
	}
	var handle func(st ProposerStep)
	handle = func(st ProposerStep) {
		if over {
			return
		}
		switch st.Attempt {
		case Decided:
			finish(pr.Outcome())
			return
		case Backoff:
			if attempts++; attempts > 4 {
				finish(Config{})
				return
			}
			p.w.did["ballots retried"]++
			over = true
			p.later(5+p.w.roll(ofDrivers).Int64N(50), func() {
				over = false
				handle(pr.Start())
			})
			return
		}
		if base.forces(value) {
			p.w.force.quorums[ballotOf{base.Epoch, st.Proposal.Ballot}] = ask
		}
		for i := range st.Send.All() {
			p.w.call(p, ask[i].Peer, func(q *peer, answer func(any)) {
				q.serveProposal(st.Proposal, answer)
			}, func(reply any, ok bool) {
				if !ok {
					handle(pr.Fail(st.Round, i))
					return
				}
				vote := reply.(Vote)
				if p.w.mutant == ignoreAccepted {
					vote.Accepted, vote.Value = Ballot{}, Config{}
				}
				if p.w.mutant == minorityDecides && st.Proposal.Value.Epoch > 0 && vote.Status == StatusOK && !over {
					finish(st.Proposal.Value)
					return
				}
				handle(pr.Vote(st.Round, i, vote))
			})
		}
	}
	handle(pr.Start())
}

// tell sends a decided configuration and notes who confirmed it.
func (p *peer) tell(c Config, to []Voter) {
	for _, v := range to {
		p.w.did["tellings"]++
		p.w.call(p, v.Peer, func(q *peer, answer func(any)) {
			q.learn(c)
			q.barrier(func() { answer(q.self) })
		}, func(reply any, ok bool) {
			if ok && reply == v {
				p.told[v] = max(p.told[v], c.Epoch)
			}
		})
	}
}

// pull synchronises a new voter from the sources that it still needs, and
// others, now and then, from anybody.
func (p *peer) pull() {
	c := p.mem.Config
	if p.pulling || !c.IsMember(p.self) {
		return
	}
	done := p.synced[c.Epoch]
	if c.SyncSources(p.self) == 0 || c.Synced(p.self, done) {
		if !p.w.chance(ofDrivers, 0.02) {
			return
		}
		p.w.did["repairs"]++
	}
	var from []Voter
	for _, v := range c.Voters {
		if v != p.self && !slices.Contains(done, v) {
			from = append(from, v)
		}
	}
	if len(from) == 0 {
		return
	}
	p.pulling = true
	source := from[p.w.roll(ofDrivers).IntN(len(from))]
	var local Fingerprint
	for k := range p.records {
		local = local.Plus(p.fingerprint(k))
	}
	p.advance(c, source, NewPull(0, 1, local, "").By(p.rules(c)), func(ok bool) {
		p.pulling = false
		if !ok {
			return
		}
		// What is reported must be on disk, the joint configuration included.
		p.barrier(func() {
			p.synced[c.Epoch] = append(p.synced[c.Epoch], source)
			p.anySync = append(p.anySync, source)
			p.w.did["pulls"]++
		})
	})
}

// advance takes the next step of a pull and calls done when it has ended, with
// whether the peer now holds all that the source did.
func (p *peer) advance(c Config, source Voter, pull *Pull, done func(ok bool)) {
	target := Target{Incarnation: source.Incarnation, Push: c}
	if p.w.mutant == syncAnyEpoch {
		target.Push = Config{}
	}
	next := func(reply any, ok bool) {
		var err error
		switch r := reply.(type) {
		case SyncReply:
			if ok = ok && r.Status == StatusOK; ok {
				err = pull.Paged(r)
			}
		case FetchReply:
			if ok = ok && r.Status == StatusOK; ok {
				err = pull.Fetched(r)
			}
		}
		if err != nil {
			p.w.fail("pull: %v", err)
		}
		if !ok {
			done(false)
			return
		}
		p.advance(c, source, pull, done)
	}
	st := pull.Next()
	switch st.Kind {
	case PullPage:
		st.Page.Target = target
		p.w.call(p, source.Peer, func(q *peer, answer func(any)) { q.serveSync(c.Epoch, st.Page, answer) }, next)
	case PullCompare:
		held := make([]Version, len(st.Entries))
		for i, e := range st.Entries {
			held[i] = p.held(e.Key)
		}
		if err := pull.Compared(held); err != nil {
			p.w.fail("pull: %v", err)
		}
		p.advance(c, source, pull, done)
	case PullFetch:
		st.Fetch.Target = target
		p.w.call(p, source.Peer, func(q *peer, answer func(any)) { q.serveFetch(c.Epoch, st.Fetch, answer) }, next)
	case PullStore:
		if !p.mem.Config.Equal(c) && p.w.mutant != latePulls {
			done(false)
			return
		}
		left := len(st.Records)
		stored := func() {
			pull.Stored()
			p.advance(c, source, pull, done)
		}
		for _, v := range st.Records {
			p.store(v.Raw(), func(Status, Version) {
				if left--; left == 0 {
					stored()
				}
			})
		}
		if left == 0 {
			stored()
		}
	case PullDone:
		done(pull.Passed() == 0 && p.mem.Config.Equal(c))
	}
}

// locate makes sure that the peer has some configuration, however old.
func (p *peer) locate() bool {
	if p.cache.Epoch > 0 {
		return true
	}
	for _, q := range p.w.peers {
		if p.w.chaos && p.w.chance(ofDrivers, 0.5) {
			continue
		}
		p.w.call(p, q.self.Peer, func(q *peer, answer func(any)) { q.serveInfo(answer) }, func(reply any, ok bool) {
			if info, _ := reply.(ShardInfo); ok && info.Config.Epoch > p.cache.Epoch {
				p.cache = info.Config
			}
		})
	}
	return false
}

// forget drops a configuration that did not serve: perhaps nobody of it is left
// to refer to a newer one.
func (p *peer) forget() {
	if p.w.chance(ofDrivers, 0.5) {
		p.cache = Config{}
	}
}

// use remembers the configuration that an operation ended with.
func (p *peer) use(c Config) {
	if c.Epoch > p.cache.Epoch {
		p.cache = p.w.decided[c.Epoch]
		p.w.did["referrals followed"]++
	}
}
