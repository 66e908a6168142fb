package overlay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// Pauses after an attempt at a register that was outbid. They double, so that of
// many peers that change one register at once one gets through.
const (
	outbidPause    = 2 * time.Millisecond
	outbidPauseMax = 128 * time.Millisecond
)

// CompareAndSwap sets the register of a key to value, at most 512 KiB less some
// bytes, if it is at version, which is 0 if it was never set; each change adds one.
// It returns the register as it is then. Calls on one register are linearizable,
// wherever they are made; its replicas are the voters of its shard.
//
// If the register is at another version nothing is changed, and the error is
// ErrConflict beside the register as it is. An error with ErrQuorum leaves open
// whether the change was or will be made: read the register to know.
//
// Registers lie beside the plain keys: no Put, Get or List sees one.
func (n *Node) CompareAndSwap(ctx context.Context, key string, version uint64, value []byte) (Register, error) {
	if n.guest != nil {
		return n.guest.client.CompareAndSwap(ctx, key, version, value)
	}
	if len(value) > store.MaxRegister {
		return Register{}, tooLarge(key, strconv.Itoa(len(value)), store.MaxRegister)
	}
	// The slowest replica may be asked when this call has returned.
	value = bytes.Clone(value)
	verdict, reg, err := n.changeRegister(ctx, "swap", key, store.Change{Expect: version, Value: value})
	if err == nil && verdict == store.Conflict {
		err = reg.Conflict(version)
	}
	return reg, err
}

// ReadRegister returns the register of a key as CompareAndSwap left it; one that
// was never set has version 0. It sees every change that returned before it began.
func (n *Node) ReadRegister(ctx context.Context, key string) (Register, error) {
	if n.guest != nil {
		return n.guest.client.ReadRegister(ctx, key)
	}
	_, reg, err := n.changeRegister(ctx, "read", key, store.Change{Read: true})
	return reg, err
}

// changeRegister runs a change of a register; verb names it in errors.
func (n *Node) changeRegister(ctx context.Context, verb, key string, change store.Change) (verdict store.Verdict, _ Register, err error) {
	ns, name := store.SplitKey(key)
	if err := checkKey(ns, name); err != nil {
		return 0, Register{}, err
	}
	if store.IsOwned(ns) {
		return 0, Register{}, usage("%s %.60q: an owned namespace has no registers: nothing signs them", verb, key)
	}
	defer n.meter.end("cas", n.meter.begin(), &err)
	ctx, cancel := bounded(ctx)
	defer cancel()
	verdict, state, err := n.swap(ctx, verb, key, change)
	if err != nil {
		return 0, Register{}, err
	}
	if verdict == store.Unsure {
		return 0, Register{}, quorumLost(verb, key, "an attempt was cut short, and others have changed the register since: whether this change was made among theirs is not known")
	}
	return verdict, Register{Key: key, Value: state.Value, Version: state.Version}, nil
}

// swap drives the machine of a change until it is done.
func (n *Node) swap(ctx context.Context, verb, key string, change store.Change) (store.Verdict, store.CASState, error) {
	fail := func(err error) (store.Verdict, store.CASState, error) { return 0, store.CASState{}, err }
	if err := store.CheckKey(store.RegisterNamespace, key); err != nil {
		return fail(&client.Error{Code: client.CodeKeyTooLong, Message: fmt.Sprintf("%s %.40q: %v", verb, key, err)})
	}
	p, err := n.find(ctx, verb, ruling(store.RegisterNamespace, key), key, store.Route(store.RegisterNamespace, key))
	if err != nil {
		return fail(err)
	}
	if !change.Read {
		t, err := n.clock.next(ctx)
		if err != nil {
			return fail(fmt.Errorf("%s %q: %w", verb, key, n.orClosed(err)))
		}
		change.Dot = store.Dot{Actor: n.self.Incarnation, Counter: t}
	}
	op := new(store.CAS)
	// The request is read while the machine stands still: another round has another.
	ask := func(to store.Voter, by goesBy, s slot[store.CASReply]) error {
		req, shard := op.Request(), p.shard
		return apart(n, func(ctx context.Context, to store.Voter, by goesBy) (store.CASReply, error) {
			return n.askCAS(ctx, to, shard, by, req)
		})(to, by, s)
	}
	st := op.Start(p.config, n.self.Incarnation, key, change)
	for pause := outbidPause; ; pause = min(2*pause, outbidPauseMax) {
		shard := p.shard
		end, why := runOp(ctx, n, op, st, ask, n.hedgeAfter(p.config), op.Hurry)
		n.remember(shard, p.config, op.Config())
		switch end {
		case store.Done:
			verdict, state := op.Result()
			return verdict, state, nil
		case store.Outbid:
			if !sleep(ctx, time.Duration(rand.Int64N(int64(pause)))) {
				return fail(n.unanswered(ctx, verb, key, &op.Quorum, cmp.Or(why, errContended)))
			}
			p.config = op.Config()
		default:
			if err := n.again(ctx, p, &op.Quorum, why); err != nil {
				return fail(err)
			}
		}
		if p.shard != shard { // what was accepted there counts for nothing
			op = new(store.CAS)
			st = op.Start(p.config, n.self.Incarnation, key, change)
			continue
		}
		st = op.Again(p.config)
	}
}

// checkRegister refuses a record in the place of a register that is none, and one
// that is not passed on but written: only a change may make it.
func checkRegister(v store.View, repair bool) error {
	if v.Class() == store.ClassEventual && string(v.Namespace()) != store.RegisterNamespace {
		return nil
	}
	if !repair {
		return errors.New("a register is not written")
	}
	_, err := store.RegisterOf(v)
	return err
}

var errContended = errors.New("others change the register at the same time")

// cas has a register of this peer answer a request.
func (r *replica) cas(ctx context.Context, shard store.ShardID, epoch uint64, req store.CASRequest) (store.CASReply, error) {
	r.pace.serving(time.Now())
	if err := req.Check(epoch); err != nil {
		return store.CASReply{}, err
	}
	if err := r.learn(ctx, shard, req.Push); err != nil {
		return store.CASReply{}, err
	}
	status, c, p, err := r.shards.enter(ctx, shard, req.Incarnation, epoch)
	if err != nil || status != store.StatusOK {
		return store.CASReply{Status: status, Config: referral(status, c)}, err
	}
	defer r.shards.leave(shard, p)
	if r.fences.keepOut(shard, req.Namespace, req.Key) {
		return store.CASReply{}, errElsewhere
	}
	ticket, err := r.disk.QueueCAS(shard, &req)
	if err != nil {
		return store.CASReply{}, err
	}
	reply, err := ticket.Wait(ctx)
	if err != nil {
		r.damaged(shard, err)
		return store.CASReply{}, noRoom(err)
	}
	return reply, nil
}
