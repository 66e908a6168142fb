package overlay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

const (
	followPage = 512 // changes or keys that are asked for at once
	followWait = 10 * time.Second
)

// follower follows one voter for a watch. Its goroutine owns what is not under
// the lock.
type follower struct {
	w     *Watch
	voter store.Voter

	known   bool // run and at are a position of the voter's log
	run, at uint64
	when    time.Time // all that had been acknowledged by then is before that

	mu     sync.Mutex
	shards wire.ShardSet // that are followed
	taken  []watchShard  // to be followed
	gone   wire.ShardSet // not to be followed any more
	wake   chan struct{}
	stop   context.CancelFunc // ends the poll under way
	failed time.Time          // guarded by the watch's lock
}

func newFollower(w *Watch, v store.Voter, p *watchPlace) *follower {
	f := &follower{w: w, voter: v, wake: make(chan struct{}, 1)}
	if p != nil {
		f.known, f.run, f.at, f.when = true, p.run, p.at, p.when
	}
	return f
}

// take adds shards.
func (f *follower) take(s ...watchShard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = append(f.taken, s...)
	f.interrupt()
}

// drop takes a shard away, for another follower.
func (f *follower) drop(id store.ShardID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone.Add(id)
	f.interrupt()
}

func (f *follower) interrupt() {
	if f.stop != nil {
		f.stop()
	}
	signal(f.wake)
}

// following returns the shards that are followed.
func (f *follower) following() wire.ShardSet {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.shards)
}

// follow follows the voter until the watch ends.
func (f *follower) follow() {
	for f.w.ctx.Err() == nil {
		f.mu.Lock()
		taken, gone := f.taken, f.gone
		f.taken, f.gone = nil, nil
		f.mu.Unlock()
		f.giveBack(gone)
		if len(taken) > 0 && !f.begin(taken) {
			continue
		}
		if f.following().Empty() {
			select {
			case <-f.wake:
			case <-f.w.ctx.Done():
			}
			continue
		}
		f.poll()
	}
}

// begin follows shards from here on. What is to be scanned is scanned once the
// position in the log is known from which on changes will come.
func (f *follower) begin(taken []watchShard) bool {
	if !f.known {
		began := time.Now()
		r, err := f.ask(f.w.ctx, wire.WatchRequest{Limit: 1})
		if err != nil {
			f.fail(taken)
			return false
		}
		f.known, f.run, f.at, f.when = true, r.Run, r.Position, began // what was before is nobody's to show
	}
	for _, s := range taken {
		if !s.since.IsZero() && s.since.Before(f.when) {
			f.when = s.since // the voter may have missed what it has yet to get
		}
	}
	for i, s := range taken {
		if s.scan {
			if err := f.scan(s); err != nil {
				f.w.n.log.Debug("watch: scan shard", "shard", s.id, "peer", f.w.n.label(f.voter.Peer), "err", err)
				f.fail(taken[i:])
				return false
			}
		}
		f.mu.Lock()
		f.shards.Add(s.id)
		f.mu.Unlock()
		var add wire.ShardSet
		add.Add(s.id)
		f.move(add, nil)
		f.w.begun(s.id)
	}
	return true
}

// poll waits for changes and hands them on.
func (f *follower) poll() {
	ctx, cancel := context.WithTimeout(f.w.ctx, followWait+opTimeout)
	defer cancel()
	f.mu.Lock()
	if len(f.taken) > 0 || !f.gone.Empty() {
		f.mu.Unlock()
		return
	}
	f.stop = cancel
	shards := slices.Clone(f.shards)
	f.mu.Unlock()
	began := time.Now()
	r, err := f.ask(ctx, wire.WatchRequest{
		Run: f.run, Position: f.at, Shards: shards, Prefix: f.w.spec.Prefix, Limit: followPage, Wait: followWait,
	})
	f.mu.Lock()
	f.stop = nil
	interrupted := len(f.taken) > 0 || !f.gone.Empty()
	f.mu.Unlock()
	switch {
	case err != nil && interrupted:
		return
	case err != nil:
		f.fail(nil)
		return
	case r.Gap:
		f.w.n.log.Debug("watch: changes were missed", "peer", f.w.n.label(f.voter.Peer))
		f.again()
		f.run, f.at = r.Run, r.Position
		return
	}
	for _, c := range r.Changes {
		if !shards.Has(c.Shard) || !strings.HasPrefix(c.Entry.Key, f.w.spec.Prefix) {
			f.fail(nil) // nobody asked for that
			return
		}
		if !f.w.stray(c.Shard, c.Entry.Key) && !f.hand(c.Entry) {
			return
		}
	}
	f.at = r.Position
	if when := began.Add(-r.Abreast); r.Abreast > 0 && len(r.Changes) < followPage && when.After(f.when) {
		f.when = when
	}
	f.move(nil, nil)
	f.giveBack(r.Lost)
	if len(r.Changes) == 0 && time.Since(began) < watchRetry {
		sleep(f.w.ctx, watchRetry) // the voter has too many who wait
	}
}

// ask asks the voter.
func (f *follower) ask(ctx context.Context, req wire.WatchRequest) (wire.WatchReply, error) {
	n := f.w.n
	req.Incarnation = f.voter.Incarnation
	if f.voter == n.self {
		r := n.watchReplica(ctx, req)
		return r, ctx.Err()
	}
	h := rpc.Header{Method: wire.MethodWatch, Deadline: time.Now().Add(req.Wait + opTimeout)}
	return call(ctx, n, f.voter.Peer, h, wire.AppendWatchRequest(nil, &req), wire.ParseWatchReply)
}

// again has all shards scanned anew: the log does not tell what changed in them.
func (f *follower) again() {
	f.mu.Lock()
	shards := f.shards
	f.shards = nil
	for id := range shards.All() {
		f.taken = append(f.taken, watchShard{id: id, scan: true, since: f.when})
	}
	f.mu.Unlock()
	f.move(nil, shards)
}

// fail gives all shards back: others shall be followed in the voter's place.
func (f *follower) fail(taken []watchShard) {
	f.w.mu.Lock()
	f.failed = time.Now()
	f.w.mu.Unlock()
	f.known = false
	f.giveBack(f.following())
	f.w.release(taken...)
}

// giveBack stops following shards.
func (f *follower) giveBack(shards wire.ShardSet) {
	var back []watchShard
	f.mu.Lock()
	for id := range shards.All() {
		if f.shards.Has(id) {
			f.shards.Remove(id)
			back = append(back, watchShard{id: id, scan: true, since: f.when})
		}
	}
	f.mu.Unlock()
	if len(back) > 0 {
		f.move(nil, shards)
		f.w.release(back...)
	}
}

// move tells the reader how far the voter was followed.
func (f *follower) move(add, remove wire.ShardSet) {
	f.w.send(watchItem{move: &watchMove{voter: f.voter, run: f.run, at: f.at, when: f.when, add: add, remove: remove}})
}

// hand hands a change on, and reports whether the watch goes on.
func (f *follower) hand(e store.Entry) bool {
	ev := client.Event{Kind: client.EventPut, Key: e.Key, Version: e.Version.String()}
	if e.Expires != 0 {
		ev.Expires = time.UnixMilli(e.Expires)
	}
	if e.Deleted || e.Expires != 0 && e.Expires <= time.Now().UnixMilli() {
		ev.Kind = client.EventDelete
	}
	return f.w.send(watchItem{event: ev})
}

// scan hands on all that the voter holds of a shard.
func (f *follower) scan(s watchShard) error {
	n := f.w.n
	if !s.quiet && !f.w.send(watchItem{event: client.Event{Kind: client.EventResync}}) {
		return f.w.ctx.Err()
	}
	for after, more := "", true; more; {
		ctx, cancel := context.WithTimeout(f.w.ctx, opTimeout)
		r, err := n.askScan(ctx, f.voter, s.id, goesBy{config: n.shards.config(s.id), push: true}, store.ScanRequest{Prefix: f.w.spec.Prefix, After: after, Limit: followPage})
		cancel()
		if err != nil {
			return err
		}
		if r.Status == store.StatusReferral {
			n.remember(s.id, n.shards.config(s.id), r.Config)
		}
		if r.Status != store.StatusOK || r.More && len(r.Entries) == 0 {
			return errors.New("voter answered " + r.Status.String())
		}
		for _, e := range r.Entries {
			after = max(after, e.Key)
			if ns, _ := store.SplitKey(e.Key); len(ns) > 0 && ns[0] == '_' {
				after = max(after, behind(ns))
			} else if !f.w.stray(s.id, e.Key) && !f.hand(e) {
				return f.w.ctx.Err()
			}
		}
		more = r.More
	}
	if c := n.shards.config(s.id); s.missed(c.Horizon) {
		f.w.cancel(lapsed(f.w.spec.Prefix, s.since))
		return f.w.ctx.Err()
	}
	return nil
}

// missed reports whether a scan of the shard may leave out a key that was deleted
// since it was last followed: one whose record the horizon let go.
func (s watchShard) missed(horizon uint64) bool {
	return !s.since.IsZero() && horizon >= store.ClockAt(s.since.Add(-store.DefaultSkew))
}
