package overlay

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// Bounds of moving shards.
const (
	moving        = 32               // shards that one peer moves at once
	moveTimeout   = 15 * time.Second // of one push at a shard; the next sweep goes on
	voteTimeout   = 2 * time.Second
	stuckAfter    = 3 * time.Second // a proposal accepted so long ago is finished by any voter
	sweepRestful  = 10 * time.Second
	sweepBusy     = time.Second
	gatherViews   = 150 * time.Millisecond
	gatherTouched = 20 * time.Millisecond
	awaitFirst    = 5 * time.Millisecond
	awaitMost     = 500 * time.Millisecond
)

// mover moves this peer's shards to where the ring wants them. Its goroutine
// looks at all shards when the ring changed, at one when its configuration did,
// and now and then besides; each shard that is not in place gets a goroutine, of
// a bounded number, that takes one planned step after the other.
type mover struct {
	n    *Node
	wake chan struct{} // holds a token while a sweep is wanted
	look chan struct{} // holds a token while shards are touched

	mu      sync.Mutex
	touched map[store.ShardID]bool
	busy    map[store.ShardID]bool      // a goroutine is at it
	pending map[store.ShardID]time.Time // since when the fate of a proposal is unknown
	absent  map[chord.PeerID]time.Time  // voters not in the ring's view, since when
	extra   map[store.ShardID]time.Time // shards with data and without a seat, since when
	told    map[store.ShardID]*told
}

// told is who confirmed to hold a shard's configuration of an epoch.
type told struct {
	epoch  uint64
	voters map[store.Voter]bool
}

func newMover(n *Node) *mover {
	return &mover{
		n: n, wake: make(chan struct{}, 1), look: make(chan struct{}, 1),
		touched: make(map[store.ShardID]bool),
		busy:    make(map[store.ShardID]bool),
		pending: make(map[store.ShardID]time.Time),
		absent:  make(map[chord.PeerID]time.Time),
		extra:   make(map[store.ShardID]time.Time),
		told:    make(map[store.ShardID]*told),
	}
}

// kick asks for a sweep soon: the ring changed.
func (m *mover) kick() { signal(m.wake) }

// touch asks for a look at one shard soon: its configuration changed.
func (m *mover) touch(id store.ShardID) {
	m.mu.Lock()
	m.touched[id] = true
	m.mu.Unlock()
	signal(m.look)
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run sweeps until the context ends.
func (m *mover) run(ctx context.Context) {
	slots := make(chan struct{}, moving)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.look:
			if !sleep(ctx, gatherTouched) {
				return
			}
			m.visitTouched(ctx, slots)
			continue
		case <-m.wake:
			// Peers seldom come alone. A move for each would cost more than the wait.
			if !sleep(ctx, gatherViews) {
				return
			}
		case <-timer.C:
		}
		pause := sweepRestful
		if !m.sweep(ctx, slots) {
			pause = sweepBusy
		}
		timer.Reset(min(pause, m.nextGone()))
	}
}

// visitTouched looks at the shards whose configurations changed.
func (m *mover) visitTouched(ctx context.Context, slots chan struct{}) {
	m.mu.Lock()
	touched := m.touched
	m.touched = make(map[store.ShardID]bool)
	m.mu.Unlock()
	view := m.n.view()
	for id := range touched {
		m.visit(ctx, slots, view, id)
	}
}

// sweep looks at all shards, and reports whether all are in place.
func (m *mover) sweep(ctx context.Context, slots chan struct{}) (restful bool) {
	view := m.n.view()
	if view.Len() == 0 {
		return false
	}
	m.noteAbsent(view)
	restful = true
	for id := range m.n.shards.all() {
		restful = m.visit(ctx, slots, view, id) && restful
	}
	return restful
}

// visit starts work on a shard if it has some, and reports whether it is in
// place.
func (m *mover) visit(ctx context.Context, slots chan struct{}, view *chord.View, id store.ShardID) (restful bool) {
	if view.Len() == 0 || !m.n.shards.wasSeated(id) && !m.reopens(view, id) {
		return true
	}
	state := m.n.shards.snapshot(id)
	restful = state.Config.Stable() && !state.Pending()
	if !state.Config.IsMember(m.n.self) {
		restful = m.tidy(id, state.Config) && restful
	}
	m.n.puller.catchUp(id, state.Config)
	if m.situation(view, id, state).Next().Action == store.Rest {
		return restful
	}
	if !m.claim(id) {
		return false
	}
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		m.release(id)
		return false
	}
	if !m.n.group.start(func() {
		defer func() { <-slots }()
		defer m.release(id)
		m.push(ctx, id)
	}) {
		m.release(id)
	}
	return false
}

// claim gives a shard to one goroutine.
func (m *mover) claim(id store.ShardID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[id] {
		return false
	}
	m.busy[id] = true
	return true
}

func (m *mover) release(id store.ShardID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.busy, id)
}

// push takes the planned steps of one shard until it is in place, somebody
// else's, or time is up.
func (m *mover) push(whole context.Context, id store.ShardID) {
	ctx, cancel := context.WithTimeout(whole, moveTimeout)
	defer cancel()
	synced := make(map[store.Voter][]store.Voter)
	epoch, pause := uint64(0), time.Duration(0)
	for ctx.Err() == nil {
		s := m.situation(m.n.view(), id, m.n.shards.snapshot(id))
		if s.State.Config.Epoch != epoch {
			clear(synced)
			epoch, pause = s.State.Config.Epoch, 0
		}
		s.Synced = func(v store.Voter) []store.Voter { return synced[v] }
		plan := s.Next()
		switch plan.Action {
		case store.Rest:
			return
		case store.Propose:
			m.n.log.Debug("move shard", "shard", id, "epoch", plan.Value.Epoch, "why", plan.Why)
			if !m.decide(ctx, id, s.State.Config, plan.Value) {
				return // outbid: the next sweep looks again
			}
		case store.Await:
			if pause > 0 && !sleep(ctx, pause) {
				return
			}
			pause = min(max(2*pause, awaitFirst), awaitMost)
			m.tell(ctx, id, s.State.Config, plan.Await, synced)
		case store.Salvage:
			if err := m.salvage(whole, id, s.State.Config, plan); err != nil {
				m.n.log.Info("force shard", "shard", id, "err", err)
				return
			}
		case store.Reopen:
			if err := m.reopen(whole, id, s.State.Config, plan.Value); err != nil {
				m.n.log.Info("reopen shard", "shard", id, "err", err)
				return
			}
		}
	}
}

// tell teaches peers a configuration, all at a time, and notes what they answer:
// that they hold it, and what they synchronised from.
func (m *mover) tell(ctx context.Context, id store.ShardID, c store.Config, peers []store.Voter, synced map[store.Voter][]store.Voter) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, v := range peers {
		wg.Go(func() {
			info, err := m.n.askLearn(ctx, v, store.ShardInfo{Shard: id, Config: c})
			if err != nil {
				m.n.log.Debug("tell configuration", "shard", id, "peer", m.n.label(v.Peer), "err", err)
				return
			}
			m.n.remember(id, c, info.Config)
			m.confirm(id, v, info.Config.Epoch)
			if info.Config.Epoch == c.Epoch {
				mu.Lock()
				defer mu.Unlock()
				synced[v] = info.Synced
			}
		})
	}
	wg.Wait()
}

// decide runs the vote on the successor of a configuration and tells those
// whom its outcome concerns. It reports whether there was one.
func (m *mover) decide(ctx context.Context, id store.ShardID, base, want store.Config) bool {
	p := store.NewProposer(m.n.self.Incarnation, base, want)
	for try := range 4 {
		if try > 0 && !sleep(ctx, time.Duration(1+rand.IntN(20<<try))*time.Millisecond) {
			return false
		}
		if m.attempt(ctx, id, p) {
			m.announce(ctx, id, base, p.Outcome())
			return true
		}
	}
	return false
}

// vote is an acceptor's answer on its way to the proposer.
type vote struct {
	round uint32
	i     int
	vote  store.Vote
	err   error
}

// attempt runs both phases of one ballot.
func (m *mover) attempt(ctx context.Context, id store.ShardID, p *store.Proposer) bool {
	ctx, cancel := context.WithTimeout(ctx, voteTimeout)
	defer cancel()
	votes := make(chan vote, 2*store.MaxVoters)
	for st := p.Start(); ; {
		for i := range st.Send.All() {
			to, proposal, round := p.Acceptors()[i], st.Proposal, st.Round
			m.n.group.start(func() {
				v, err := m.n.askVote(ctx, to, id, proposal)
				votes <- vote{round, i, v, err}
			})
		}
		switch st.Attempt {
		case store.Decided:
			return true
		case store.Backoff:
			return false
		case store.Voting:
		}
		select {
		case v := <-votes:
			if v.err != nil {
				m.n.log.Debug("vote", "shard", id, "peer", m.n.label(p.Acceptors()[v.i].Peer), "err", v.err)
				st = p.Fail(v.round, v.i)
			} else {
				st = p.Vote(v.round, v.i, v.vote)
			}
		case <-ctx.Done():
			return false
		}
	}
}

// announce takes in a decided configuration and teaches it to those whom it
// dismissed, and to its members unless that is this peer's next step anyway.
// Whoever misses it learns it by a referral.
func (m *mover) announce(ctx context.Context, id store.ShardID, base, c store.Config) {
	if err := m.n.replica.learn(ctx, id, c); err != nil {
		m.n.log.Error("learn configuration", "shard", id, "err", err)
	}
	tells := !m.atRest(id)
	told := map[store.Voter]bool{m.n.self: true}
	for _, v := range slices.Concat(base.Members(), c.Members()) {
		if told[v] || tells && c.IsMember(v) {
			continue
		}
		told[v] = true
		m.n.group.start(func() {
			ctx, cancel := context.WithTimeout(m.n.ctx, voteTimeout)
			defer cancel()
			info, err := m.n.askLearn(ctx, v, store.ShardInfo{Shard: id, Config: c})
			if err != nil {
				m.n.log.Debug("announce configuration", "shard", id, "peer", m.n.label(v.Peer), "err", err)
				return
			}
			m.confirm(id, v, info.Config.Epoch)
		})
	}
}

// situation is what this peer knows of a shard when it plans.
func (m *mover) situation(view *chord.View, id store.ShardID, state store.State) *store.Situation {
	n := m.n.copies(id)
	s := &store.Situation{
		Self: m.n.self, State: state, N: n, Stuck: m.stuck(id, state),
		Live: func(v store.Voter) bool {
			p, ok := view.Peer(v.Peer)
			return ok && p.Incarnation == v.Incarnation && !view.Suspect(v.Peer)
		},
		Told:      func(v store.Voter) bool { return m.isTold(id, v, state.Config.Epoch) },
		Gone:      func(v store.Voter) bool { return m.gone(v.Peer) },
		Forgotten: m.n.forgotten.has,
		Forced:    m.n.forgotten.forced,
		Leaving:   func(v store.Voter) bool { p, ok := view.Peer(v.Peer); return ok && p.Weight == 0 },
	}
	for _, p := range view.Successors(store.ShardStart(id, m.n.ring.Shards), 2*n+len(state.Config.Voters)) {
		s.Proposal = append(s.Proposal, store.Voter{Peer: p.ID, Incarnation: p.Incarnation})
	}
	return s
}

// confirm notes that a voter holds a shard's configuration of an epoch.
func (m *mover) confirm(id store.ShardID, v store.Voter, epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.told[id]
	if t == nil || t.epoch < epoch {
		t = &told{epoch: epoch, voters: make(map[store.Voter]bool)}
		m.told[id] = t
	}
	if t.epoch == epoch {
		t.voters[v] = true
	}
}

func (m *mover) isTold(id store.ShardID, v store.Voter, epoch uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.told[id]
	return t != nil && t.epoch == epoch && t.voters[v]
}

// atRest reports whether nothing of a shard is left to this peer to do.
func (m *mover) atRest(id store.ShardID) bool {
	return m.situation(m.n.view(), id, m.n.shards.snapshot(id)).Next().Action == store.Rest
}

// stuck reports whether the fate of an accepted proposal has been unknown for
// longer than a proposer takes.
func (m *mover) stuck(id store.ShardID, state store.State) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !state.Pending() {
		delete(m.pending, id)
		return false
	}
	since, ok := m.pending[id]
	if !ok {
		m.pending[id] = time.Now()
		return false
	}
	return time.Since(since) > stuckAfter
}

// noteAbsent keeps track of how long voters have been out of the ring.
func (m *mover) noteAbsent(view *chord.View) {
	m.mu.Lock()
	defer m.mu.Unlock()
	missing := make(map[chord.PeerID]bool)
	for id := range m.n.shards.all() {
		for _, v := range m.n.shards.config(id).Voters {
			if _, ok := view.Peer(v.Peer); !ok {
				missing[v.Peer] = true
			}
		}
	}
	for p := range m.absent {
		if !missing[p] {
			delete(m.absent, p)
		}
	}
	for p := range missing {
		if _, ok := m.absent[p]; !ok {
			m.absent[p] = time.Now()
		}
	}
}

func (m *mover) gone(p chord.PeerID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, ok := m.absent[p]
	return ok && time.Since(since) > m.n.cfg.ReplaceAfter
}

// nextGone returns how long it is until the next absent voter counts as gone.
func (m *mover) nextGone() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := sweepRestful
	for _, since := range m.absent {
		if left := m.n.cfg.ReplaceAfter - time.Since(since); left >= 0 {
			next = min(next, left+time.Millisecond)
		}
	}
	return next
}

// tidy drops the records of a shard in which this peer has had no seat for a
// while. It reports whether there is nothing to drop.
func (m *mover) tidy(id store.ShardID, c store.Config) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := m.n.disk.Counts(id)
	if counts.Live+counts.Tombstones == 0 || !c.Stable() || c.Epoch == 0 {
		delete(m.extra, id)
		return true
	}
	since, ok := m.extra[id]
	if !ok {
		m.extra[id] = time.Now()
	}
	if !ok || time.Since(since) < m.n.cfg.ReplaceAfter {
		return false
	}
	delete(m.extra, id)
	m.n.group.start(func() { m.drop(id) })
	return false
}

// drop forgets a shard's records. Its state is frozen meanwhile: were the peer
// given a seat again half-way, it would drop what it has just been handed.
func (m *mover) drop(id store.ShardID) {
	err := m.n.shards.freeze(m.n.ctx, id, func(st store.State) {
		if st.Config.IsMember(m.n.self) {
			return
		}
		if err := m.n.disk.DropShard(m.n.ctx, id); err != nil {
			m.n.log.Warn("drop shard", "shard", id, "err", err)
		}
		m.n.recordsDropped(id)
	})
	if err != nil {
		m.n.log.Debug("drop shard", "shard", id, "err", err)
	}
}

// sleep waits and reports whether the context still runs.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
