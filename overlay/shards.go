package overlay

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/chorus-net/chorus/store"
)

// registers is the disk as shards need it.
type registers interface {
	// SaveRegister puts the encoded state of a shard on stable storage.
	SaveRegister(ctx context.Context, shard store.ShardID, state []byte) error
	// DropUntil forgets the records of a shard whose versions' clocks are not above
	// one.
	DropUntil(ctx context.Context, shard store.ShardID, clock uint64) error
}

// shards holds what this peer knows of every shard of the ring: the newest
// decided configuration, whether or not the peer is a member of it, and the
// acceptor's state.
type shards struct {
	self store.Voter
	disk registers
	n    int // shards of a bank
	// dropped is told when records of a shard were dropped; nil: nobody is.
	dropped func(store.ShardID)

	// banks holds the shards of each bank by their index. But for the first, a bank
	// is nil until this peer hears of a configuration there.
	banks   [store.MaxN + 1]atomic.Pointer[[]shard]
	opening sync.Mutex
	absent  shard // stands for each shard of the others: nothing is known of it
}

// shard is one shard's state. Its lock is held for looks and changes only; the
// change token is held while a change is being synced.
type shard struct {
	change  chan struct{} // a token; whoever holds it may change state
	unsaved bool          // state differs from the disk's; guarded by the token

	mu    sync.Mutex
	state store.State
	// saved is the epoch up to which the disk knows the shard's configuration,
	// as far as it concerns this peer. Nothing that follows from a newer one may
	// leave the peer before.
	saved uint64
	// seated tells that this peer is, or was, a member: its state is on disk.
	seated bool
	gate   gate
}

func newShards(self store.Voter, disk registers, n int, saved map[store.ShardID]store.State) *shards {
	s := &shards{self: self, disk: disk, n: n}
	s.open(0)
	for id, st := range saved {
		sh := s.open(id)
		sh.state, sh.saved, sh.seated = st, st.Config.Epoch, true
	}
	return s
}

// at returns a shard, whose ID must pass valid; one of which nothing is known if
// its bank is not open here.
func (s *shards) at(id store.ShardID) *shard {
	if bank := s.banks[id.Bank(s.n)].Load(); bank != nil {
		return &(*bank)[id.Index(s.n)]
	}
	return &s.absent
}

// open returns a shard that is going to be known.
func (s *shards) open(id store.ShardID) *shard {
	bank := &s.banks[id.Bank(s.n)]
	if bank.Load() == nil {
		s.opening.Lock()
		defer s.opening.Unlock()
		if bank.Load() == nil {
			list := make([]shard, s.n)
			for i := range list {
				list[i].change = make(chan struct{}, 1)
			}
			bank.Store(&list)
		}
	}
	return s.at(id)
}

// valid reports whether the ring may have a shard of that ID.
func (s *shards) valid(id store.ShardID) bool { return store.CheckBank(id.Bank(s.n), s.n) == nil }

// all yields the shards of the banks that are open here.
func (s *shards) all() iter.Seq[store.ShardID] {
	return func(yield func(store.ShardID) bool) {
		for bank := range s.banks {
			if s.banks[bank].Load() == nil {
				continue
			}
			for i := range s.n {
				if !yield(store.ShardID(i).In(bank, s.n)) {
					return
				}
			}
		}
	}
}

// config returns the newest configuration known of a shard; its epoch is 0 if
// none is.
func (s *shards) config(id store.ShardID) store.Config {
	sh := s.at(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.state.Config
}

// snapshot returns a copy of a shard's state.
func (s *shards) snapshot(id store.ShardID) store.State {
	sh := s.at(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.state
}

// observe takes in a decided configuration that somebody answered with, and
// returns when it is on disk. It is kept there only where this peer is or was a
// member.
func (s *shards) observe(ctx context.Context, id store.ShardID, c store.Config) (changed bool, err error) {
	sh := s.at(id)
	sh.mu.Lock()
	known := c.Epoch <= sh.saved
	sh.mu.Unlock()
	if known {
		return false, nil
	}
	_, err = s.update(ctx, id, func(st *store.State) (bool, error) {
		changed, err = st.Learn(c)
		return changed, err
	})
	return changed, err
}

// update changes a shard's state by fn and returns when it is on disk, unless
// fn reports that nothing changed or the state concerns other peers only.
// Requests are refused by the new state at once; they are served by it, and
// votes leave the peer, when it is on disk.
func (s *shards) update(ctx context.Context, id store.ShardID, fn func(*store.State) (bool, error)) (store.State, error) {
	sh := s.open(id)
	select {
	case sh.change <- struct{}{}:
		defer func() { <-sh.change }()
	case <-ctx.Done():
		return store.State{}, ctx.Err()
	}
	sh.mu.Lock()
	next := sh.state
	changed, err := fn(&next)
	if err == nil && changed {
		if next.Config.Epoch != sh.state.Config.Epoch || next.Closed != sh.state.Closed {
			sh.gate.turn()
		}
		sh.state = next
		sh.seated = sh.seated || next.Config.IsMember(s.self)
	}
	seated := sh.seated
	sh.mu.Unlock()
	if err != nil {
		return next, err
	}
	// A repetition of what an earlier call failed to save must not be answered
	// as if it were on disk.
	sh.unsaved = sh.unsaved || changed && seated
	if sh.unsaved {
		if err := s.clean(ctx, id, &next); err != nil {
			return next, err
		}
		if err := s.disk.SaveRegister(ctx, id, next.AppendTo(nil)); err != nil {
			return next, fmt.Errorf("save state of shard %d: %w", id, err)
		}
		sh.unsaved = false
	}
	sh.mu.Lock()
	sh.saved = next.Config.Epoch
	sh.mu.Unlock()
	return next, nil
}

// clean drops what next asks to be dropped before it is served by. Whoever calls
// it holds the token.
func (s *shards) clean(ctx context.Context, id store.ShardID, next *store.State) error {
	clock := next.Unclean(s.self)
	if clock == 0 {
		return nil
	}
	if err := s.drain(ctx, id); err != nil {
		return err
	}
	if err := s.disk.DropUntil(ctx, id, clock); err != nil {
		return fmt.Errorf("drop settled records of shard %d: %w", id, err)
	}
	if s.dropped != nil {
		s.dropped(id)
	}
	next.Cleaned()
	sh := s.at(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.state.Cleaned()
	return nil
}

// drain waits for the writes that were admitted before the gate last turned.
func (s *shards) drain(ctx context.Context, id store.ShardID) error {
	sh := s.at(id)
	sh.mu.Lock()
	drained := sh.gate.drained
	sh.mu.Unlock()
	if drained == nil {
		return nil
	}
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle waits for the writes that are under way.
func (s *shards) settle(ctx context.Context, id store.ShardID) error {
	sh := s.at(id)
	sh.mu.Lock()
	sh.gate.turn()
	sh.mu.Unlock()
	return s.drain(ctx, id)
}

// freeze runs fn while the shard's state cannot change.
func (s *shards) freeze(ctx context.Context, id store.ShardID, fn func(store.State)) error {
	sh := s.at(id)
	select {
	case sh.change <- struct{}{}:
		defer func() { <-sh.change }()
	case <-ctx.Done():
		return ctx.Err()
	}
	fn(s.snapshot(id))
	return nil
}

// admit tells whether the shard's data may be looked at under an epoch. A
// status other than StatusOK says no, and the configuration why.
func (s *shards) admit(ctx context.Context, id store.ShardID, incarnation, epoch uint64) (status store.Status, c store.Config, err error) {
	err = s.whenSaved(ctx, id, func(sh *shard) {
		status, c = sh.state.Admit(s.self, incarnation, epoch), sh.state.Config
	})
	return status, c, err
}

// whenSaved calls fn under the shard's lock, once the disk knows the shard's
// configuration: nothing that follows from it may leave the peer before.
func (s *shards) whenSaved(ctx context.Context, id store.ShardID, fn func(*shard)) error {
	sh := s.at(id)
	for range 2 {
		sh.mu.Lock()
		if sh.saved >= sh.state.Config.Epoch {
			fn(sh)
			sh.mu.Unlock()
			return nil
		}
		sh.mu.Unlock()
		select { // whoever saves it has the token
		case sh.change <- struct{}{}:
			<-sh.change
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errUnsaved
}

var errUnsaved = errors.New("the shard's configuration could not be saved")

// wasSeated reports whether this peer is or was a member of the shard.
func (s *shards) wasSeated(id store.ShardID) bool {
	sh := s.at(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.seated
}

// pass is what a write was admitted with: the gate's turn, and the clock at or
// below which only pulls may store.
type pass struct {
	turn    uint64
	settled uint64
}

// enter admits a write under an epoch; the caller calls leave when it is
// committed or failed.
func (s *shards) enter(ctx context.Context, id store.ShardID, incarnation, epoch uint64) (status store.Status, c store.Config, p pass, err error) {
	err = s.whenSaved(ctx, id, func(sh *shard) {
		status, c = sh.state.Admit(s.self, incarnation, epoch), sh.state.Config
		if status == store.StatusOK {
			sh.gate.now++
			p = pass{sh.gate.turns, sh.state.Settled()}
		}
	})
	return status, c, p, err
}

// leave tells that a write is over that was admitted.
func (s *shards) leave(id store.ShardID, p pass) {
	sh := s.at(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.gate.leave(p.turn == sh.gate.turns)
}

// enterSync admits a reader of all that was written before the shard's present
// epoch: it waits for writes admitted under former ones.
func (s *shards) enterSync(ctx context.Context, id store.ShardID, incarnation, epoch uint64) (status store.Status, c store.Config, err error) {
	err = s.whenSaved(ctx, id, func(sh *shard) {
		status, c = sh.state.Admit(s.self, incarnation, epoch), sh.state.Config
	})
	if err != nil || status != store.StatusOK {
		return status, c, err
	}
	return status, c, s.drain(ctx, id)
}

// gate counts the writes under way, so that whoever hands a shard over, or closes
// it up to a horizon, can wait for those that were admitted before. The shard's
// lock guards it.
type gate struct {
	turns   uint64        // how often it turned
	now     int           // admitted since
	former  int           // admitted before
	drained chan struct{} // closed when former reaches 0; nil if it is 0
}

// turn tells that other writes are admitted from now on: under another epoch, or
// above another horizon.
func (g *gate) turn() {
	g.turns++
	g.former += g.now
	g.now = 0
	if g.former > 0 && g.drained == nil {
		g.drained = make(chan struct{})
	}
}

func (g *gate) leave(present bool) {
	if present {
		g.now--
		return
	}
	g.former--
	if g.former == 0 {
		close(g.drained)
		g.drained = nil
	}
}
