package overlay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// raiseTimeout bounds the raise of one shard's horizon.
const raiseTimeout = time.Minute

// reclaimer drops what nobody needs any more: records of deleted and expired keys
// that a horizon settled. Where this peer leads a shard, it raises the horizon.
type reclaimer struct{ n *Node }

// run goes through all shards now and then, until the context ends.
func (r *reclaimer) run(ctx context.Context) {
	for sleep(ctx, r.n.cfg.ReclaimAfter/2) {
		for id := range r.n.shards.all() {
			if err := r.visit(ctx, id); err != nil && ctx.Err() == nil {
				r.n.log.Debug("reclaim", "shard", id, "err", err)
			}
		}
	}
}

// visit drops what is settled of one shard and, if there is more that was deleted
// or has expired for long enough, raises the horizon up to that.
func (r *reclaimer) visit(ctx context.Context, id store.ShardID) error {
	n := r.n
	if counts := n.disk.Counts(id); counts.Tombstones+counts.Expiring == 0 {
		n.unsettled.found(id, 0)
		return nil
	}
	// What was admitted before the horizon was raised is on disk after this.
	epoch := n.shards.config(id).Epoch
	status, c, err := n.shards.enterSync(ctx, id, n.self.Incarnation, epoch)
	if err != nil || status != store.StatusOK {
		return err
	}
	found, err := r.drop(ctx, id, c.Horizon)
	if err != nil {
		return err
	}
	n.unsettled.found(id, found.expired)
	if !found.whole && len(c.Voters) > 1 {
		err := objections{{n.self.Peer, errDamaged}} // one may be of a delete that another voter missed: they come back first
		n.unsettled.refused(id, c.Epoch, err)
		return err
	}
	if found.target == 0 {
		return nil
	}
	state := n.shards.snapshot(id)
	if !n.mover.situation(n.view(), id, state).MayRaise() || !n.mover.claim(id) {
		return nil
	}
	defer n.mover.release(id)
	ctx, cancel := context.WithTimeout(ctx, raiseTimeout)
	defer cancel()
	raise, err := store.NewRaise(n.self, state.Config, found.target)
	if err != nil {
		return err
	}
	err = r.raise(ctx, id, raise)
	n.unsettled.refused(id, state.Config.Epoch, err)
	if err != nil {
		return fmt.Errorf("raise horizon: %w", err)
	}
	if found, err = r.drop(ctx, id, found.target); err == nil {
		n.unsettled.found(id, found.expired)
	}
	return err
}

// leftover is what drop left of a shard.
type leftover struct {
	target  uint64 // the clock of the newest record that is old enough to be dead under a higher horizon; 0 if there is none
	expired int    // the records of expired keys among those
	whole   bool   // all records could be read
}

// drop removes a shard's dead records up to a horizon.
func (r *reclaimer) drop(ctx context.Context, id store.ShardID, horizon uint64) (leftover, error) {
	now := time.Now()
	ripe := store.ClockAt(now.Add(-r.n.cfg.ReclaimAfter))
	left := leftover{whole: true}
	for q := (disk.Query{}); ; {
		page, err := r.n.disk.Scan(id, q)
		if err != nil {
			return leftover{}, err
		}
		if len(page.Corrupt) > 0 {
			left.whole = false
			r.n.replica.corrupt(id)
		}
		for _, e := range page.Entries {
			switch {
			case e.Dead(horizon, now):
				ns, key := store.SplitKey(e.Key)
				if _, err := r.n.disk.Remove(ctx, id, ns, key, e.Version); err != nil {
					return leftover{}, err
				}
				r.n.puller.stats.reclaimed.Add(1)
			case e.Dead(ripe, now):
				left.target = max(left.target, e.Version.Clock)
				if !e.Deleted {
					left.expired++
				}
			}
		}
		if q.After = page.Last; !page.More {
			return left, nil
		}
	}
}

// raise goes through the phases of a raise, until voters refuse one. It comes to nothing where a damaged record is
// met: the trees by which replicas compare count it as held, and it may have given way to
// an older copy, so what was collected and confirmed may be less than it seemed.
func (r *reclaimer) raise(ctx context.Context, id store.ShardID, raise *store.Raise) error {
	c, damage := raise.Base(), r.n.disk.Damage()
	for {
		phase, left := raise.Next()
		if phase == store.RaisePropose {
			break
		}
		errs := make([]error, len(left))
		var wg sync.WaitGroup
		for i, v := range left {
			wg.Go(func() {
				if phase == store.RaiseCollect {
					errs[i] = r.n.puller.repair(ctx, sourceOf(id, c, v))
				} else {
					errs[i] = r.ask(ctx, id, c, v, raise.Request())
				}
			})
		}
		wg.Wait()
		var refused objections
		for i, v := range left {
			if errs[i] != nil {
				refused = append(refused, objection{v.Peer, errs[i]})
			}
		}
		if refused != nil {
			return refused
		}
		for _, v := range left {
			raise.Done(v)
		}
	}
	if r.n.disk.Damage() != damage {
		return objections{{r.n.self.Peer, errDamaged}}
	}
	if !r.n.mover.decide(ctx, id, c, raise.Value()) {
		return errNotDecided
	}
	r.n.mover.touch(id) // the others are to be told
	return nil
}

var (
	errNotDecided  = errors.New("the vote came to nothing")
	errClockBehind = errors.New("its clock is behind")
)

func (r *reclaimer) ask(ctx context.Context, id store.ShardID, c store.Config, v store.Voter, req store.HorizonRequest) error {
	reply, err := r.n.askHorizon(ctx, v, id, goesBy{config: c, push: true}, req)
	if err != nil {
		return err
	}
	if reply.Status == store.StatusSkewed {
		return errClockBehind
	}
	return r.n.puller.refusal(ctx, id, reply.Status, reply.Config)
}

// horizon takes a step towards a shard's next horizon, as one of its voters.
func (r *replica) horizon(ctx context.Context, shard store.ShardID, epoch uint64, req store.HorizonRequest, pull func(store.Config) error) (reply store.HorizonReply, err error) {
	if err := r.learn(ctx, shard, req.Push); err != nil {
		return store.HorizonReply{}, err
	}
	if req.Confirm && req.From != r.shards.self {
		c := r.shards.config(shard)
		if c.Epoch != epoch || !c.IsVoter(req.From) {
			return store.HorizonReply{Status: store.StatusNotMember}, nil
		}
		damage := r.disk.Damage()
		if err := pull(c); err != nil {
			return store.HorizonReply{}, err
		}
		if r.disk.Damage() != damage {
			return store.HorizonReply{}, errDamaged // see reclaimer.raise
		}
	}
	state, err := r.shards.update(ctx, shard, func(st *store.State) (changed bool, err error) {
		if req.Confirm {
			reply.Status, changed = st.Confirm(r.shards.self, epoch, req.Horizon)
		} else {
			reply.Status, changed = st.Close(r.shards.self, epoch, req.Horizon, r.now())
		}
		return changed, nil
	})
	if err != nil {
		return store.HorizonReply{}, err
	}
	reply.Config = referral(reply.Status, state.Config)
	return reply, r.shards.drain(ctx, shard)
}
