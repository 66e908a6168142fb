package overlay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// memoryRegisters keeps states of shards; it fails, or blocks, when told to.
type memoryRegisters struct {
	saved map[store.ShardID][]byte
	fail  error
	hold  chan struct{} // if set, saving waits for it to be closed
	saves int

	dropped []uint64 // what was asked to be dropped
}

func (r *memoryRegisters) DropUntil(_ context.Context, _ store.ShardID, clock uint64) error {
	if r.fail != nil {
		return r.fail
	}
	r.dropped = append(r.dropped, clock)
	return nil
}

func (r *memoryRegisters) SaveRegister(ctx context.Context, id store.ShardID, state []byte) error {
	if r.hold != nil {
		select {
		case <-r.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.fail != nil {
		return r.fail
	}
	r.saves++
	r.saved[id] = state
	return nil
}

var (
	voterA = store.Voter{Peer: chord.PeerID("a"), Incarnation: 1}
	voterB = store.Voter{Peer: chord.PeerID("b"), Incarnation: 2}
)

// shardsAt returns the shards of peer a, which is the voter of shard 0.
func shardsAt(t *testing.T, r *memoryRegisters) *shards {
	t.Helper()
	r.saved = make(map[store.ShardID][]byte)
	s := newShards(voterA, r, 4, nil)
	if changed, err := s.observe(t.Context(), 0, store.Genesis(voterA)); !changed || err != nil {
		t.Fatalf("observe: %v, %v", changed, err)
	}
	return s
}

func TestShardsSaveWhatConcernsThem(t *testing.T) {
	disk := &memoryRegisters{}
	s := shardsAt(t, disk)
	if disk.saves != 1 {
		t.Fatalf("saved %d times", disk.saves)
	}
	// The configuration of a stranger's shard is known, and not kept.
	if changed, err := s.observe(t.Context(), 1, store.Genesis(voterB)); !changed || err != nil {
		t.Fatalf("observe: %v, %v", changed, err)
	}
	if disk.saves != 1 || s.config(1).Epoch != 1 || s.wasSeated(1) {
		t.Errorf("saved %d times, epoch %d", disk.saves, s.config(1).Epoch)
	}
	// An older or equal one is no change.
	if changed, err := s.observe(t.Context(), 0, store.Genesis(voterA)); changed || err != nil {
		t.Errorf("observed again: %v, %v", changed, err)
	}
	// One that dismisses this peer is kept: it refers callers.
	moved := store.Config{Epoch: 3, Voters: []store.Voter{voterB}}
	if _, err := s.observe(t.Context(), 0, moved); err != nil {
		t.Fatal(err)
	}
	state, err := store.DecodeState(disk.saved[0])
	if err != nil || !state.Config.Equal(moved) {
		t.Errorf("on disk: %+v, %v", state.Config, err)
	}
	again := newShards(voterA, disk, 4, map[store.ShardID]store.State{0: state})
	if status, c, err := again.admit(t.Context(), 0, voterA.Incarnation, 1); status != store.StatusReferral || !c.Equal(moved) || err != nil {
		t.Errorf("after a restart: %v, %+v, %v", status, c, err)
	}
}

// What one call failed to save is saved before the next one is answered, though
// that one changes nothing.
func TestShardsSaveRepetitions(t *testing.T) {
	disk := &memoryRegisters{}
	s := shardsAt(t, disk)
	proposal := store.Proposal{Base: store.Genesis(voterA), Ballot: store.Ballot{Counter: 1, Proposer: 1}}
	proposal.Value = proposal.Base.Joint([]store.Voter{voterB})
	accept := func() (vote store.Vote, err error) {
		_, err = s.update(t.Context(), 0, func(st *store.State) (changed bool, err error) {
			vote, changed, err = st.Accept(voterA, proposal)
			return changed, err
		})
		return vote, err
	}
	disk.fail = errors.New("no space")
	for range 2 {
		if _, err := accept(); !errors.Is(err, disk.fail) {
			t.Fatalf("accepted without a disk: %v", err)
		}
	}
	disk.fail = nil
	if vote, err := accept(); err != nil || vote.Status != store.StatusOK {
		t.Fatalf("accept: %+v, %v", vote, err)
	}
	state, err := store.DecodeState(disk.saved[0])
	if err != nil || !state.Pending() {
		t.Errorf("on disk: %+v, %v", state, err)
	}
	saves := disk.saves
	if _, err := accept(); err != nil || disk.saves != saves {
		t.Errorf("a repetition of what is on disk was saved again: %v", err)
	}
}

// While a configuration is on its way to the disk nothing is served by it, and
// requests by the former one are not served any more.
func TestShardsWaitForDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memoryRegisters{}
		s := shardsAt(t, disk)
		disk.hold = make(chan struct{})
		joint := store.Genesis(voterA).Joint([]store.Voter{voterA, voterB})
		go s.observe(t.Context(), 0, joint)
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := s.admit(short, 0, voterA.Incarnation, joint.Epoch); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("served by a configuration that is not on disk: %v", err)
		}
		served := make(chan store.Status)
		go func() {
			status, _, _ := s.admit(t.Context(), 0, voterA.Incarnation, 1)
			served <- status
		}()
		synctest.Wait()
		close(disk.hold)
		if status := <-served; status != store.StatusReferral {
			t.Errorf("by the former configuration: %v", status)
		}
		if status, _, err := s.admit(t.Context(), 0, voterA.Incarnation, joint.Epoch); status != store.StatusOK || err != nil {
			t.Errorf("by the new configuration: %v, %v", status, err)
		}
	})
}

// Whoever catches up waits for the writes that were admitted under former
// epochs, and for no others.
func TestShardsDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shardsAt(t, &memoryRegisters{})
		enter := func(epoch uint64) func() {
			t.Helper()
			status, _, pass, err := s.enter(t.Context(), 0, voterA.Incarnation, epoch)
			if status != store.StatusOK || err != nil {
				t.Fatalf("enter at epoch %d: %v, %v", epoch, status, err)
			}
			return func() { s.leave(0, pass) }
		}
		first, second := enter(1), enter(1)
		if _, _, err := s.enterSync(t.Context(), 0, voterA.Incarnation, 1); err != nil {
			t.Fatalf("a write of the present epoch was waited for: %v", err)
		}
		c := store.Genesis(voterA).Joint([]store.Voter{voterA, voterB})
		if _, err := s.observe(t.Context(), 0, c); err != nil {
			t.Fatal(err)
		}
		third := enter(c.Epoch)
		synced := false
		go func() {
			if status, _, err := s.enterSync(t.Context(), 0, voterA.Incarnation, c.Epoch); status != store.StatusOK || err != nil {
				t.Errorf("sync: %v, %v", status, err)
			}
			synced = true
		}()
		for _, done := range []func(){first, second} {
			synctest.Wait()
			if synced {
				t.Fatal("a page was handed over while a write of a former epoch was under way")
			}
			done()
		}
		synctest.Wait()
		if !synced {
			t.Fatal("still waiting after the last write of a former epoch")
		}
		third()
		if g := &s.at(0).gate; g.now != 0 || g.former != 0 || g.drained != nil {
			t.Errorf("left over: %+v", g)
		}

		// Two epochs later a write of either former one counts.
		first = enter(c.Epoch)
		if _, err := s.observe(t.Context(), 0, c.Settle()); err != nil {
			t.Fatal(err)
		}
		second = enter(c.Epoch + 1)
		next := c.Settle().Joint([]store.Voter{voterA})
		if _, err := s.observe(t.Context(), 0, next); err != nil {
			t.Fatal(err)
		}
		second()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := s.enterSync(short, 0, voterA.Incarnation, next.Epoch); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("sync past a write two epochs old: %v", err)
		}
		first()
		if _, _, err := s.enterSync(t.Context(), 0, voterA.Incarnation, next.Epoch); err != nil {
			t.Error(err)
		}
	})
}

// A frozen shard does not change its state.
func TestShardsFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shardsAt(t, &memoryRegisters{})
		frozen, thaw := make(chan struct{}), make(chan struct{})
		go s.freeze(t.Context(), 0, func(store.State) {
			close(frozen)
			<-thaw
		})
		<-frozen
		learned := make(chan error, 1)
		go func() {
			_, err := s.observe(t.Context(), 0, store.Genesis(voterA).Joint([]store.Voter{voterB}))
			learned <- err
		}()
		synctest.Wait()
		if s.config(0).Epoch != 1 {
			t.Fatal("a frozen shard changed")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.freeze(ctx, 0, func(store.State) { t.Error("frozen twice") }); !errors.Is(err, context.Canceled) {
			t.Errorf("freeze without patience: %v", err)
		}
		close(thaw)
		if err := <-learned; err != nil || s.config(0).Epoch != 2 {
			t.Errorf("epoch %d after the thaw, %v", s.config(0).Epoch, err)
		}
	})
}

// A shard that closes up to a horizon waits for the writes admitted before, and
// tells those that come later.
func TestShardsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shardsAt(t, &memoryRegisters{})
		_, _, before, err := s.enter(t.Context(), 0, voterA.Incarnation, 1)
		if err != nil || before.settled != 0 {
			t.Fatal(before, err)
		}
		horizon := store.ClockAt(time.Now())
		if _, err := s.update(t.Context(), 0, func(st *store.State) (bool, error) {
			_, changed := st.Close(voterA, 1, horizon, time.Now())
			return changed, nil
		}); err != nil {
			t.Fatal(err)
		}
		_, _, after, err := s.enter(t.Context(), 0, voterA.Incarnation, 1)
		if err != nil || after.settled != horizon {
			t.Fatal(after, err)
		}
		s.leave(0, after)
		drained := false
		go func() {
			if err := s.drain(t.Context(), 0); err != nil {
				t.Error(err)
			}
			drained = true
		}()
		if synctest.Wait(); drained {
			t.Error("a write admitted before was not waited for")
		}
		s.leave(0, before)
		if synctest.Wait(); !drained {
			t.Error("still waiting")
		}
	})
}

// A peer that was away when a horizon was raised drops what it covers before it
// serves, also if its disk fails at first; a voter that confirmed keeps it.
func TestShardsClean(t *testing.T) {
	disk := &memoryRegisters{}
	s := shardsAt(t, disk)
	raised := store.Genesis(voterA).Raise(7)
	confirmed := shardsAt(t, &memoryRegisters{})
	if _, err := confirmed.update(t.Context(), 0, func(st *store.State) (bool, error) {
		st.Close(voterA, 1, 7, time.Now())
		_, changed := st.Confirm(voterA, 1, 7)
		return changed, nil
	}); err != nil {
		t.Fatal(err)
	}
	disk.fail = errors.New("no space")
	if _, err := s.observe(t.Context(), 0, raised); !errors.Is(err, disk.fail) {
		t.Fatalf("learned without a disk: %v", err)
	}
	disk.fail = nil
	for _, s := range []*shards{s, confirmed} {
		if _, err := s.observe(t.Context(), 0, raised); err != nil {
			t.Fatal(err)
		}
	}
	if len(disk.dropped) != 1 || disk.dropped[0] != 7 {
		t.Errorf("dropped %v", disk.dropped)
	}
	if d := confirmed.disk.(*memoryRegisters).dropped; len(d) > 0 {
		t.Errorf("who had confirmed dropped %v", d)
	}
	joint := raised.Joint([]store.Voter{voterA, voterB})
	if _, err := s.observe(t.Context(), 0, joint); err != nil || len(disk.dropped) != 1 {
		t.Errorf("dropped again: %v, %v", disk.dropped, err)
	}
}
