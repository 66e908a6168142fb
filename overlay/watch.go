package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

const (
	watchBuffer = 1024        // events that wait for the watch's reader
	watchStall  = time.Minute // a watch whose buffer is full for so long ends
	watchBegin  = 10 * time.Second
	watchCheck  = 30 * time.Second // between two looks whether the voters followed still are
	// watchScatter is how often a watch looks for namespaces that were given an N of
	// their own: so late their first changes may show.
	watchScatter = 3 * time.Second
	watchRetry   = 200 * time.Millisecond
)

// Watch follows the changes of keys, see Node.Watch. It belongs to one
// goroutine.
//
// Each shard is followed at one voter, whose log of changes has positions
// (changes.go). Whatever is acknowledged gets to that voter, by the write itself
// or by repair, and so into its log. Where the log does not reach back, because
// the voter is another one or was restarted, or the watch slept for long, all that
// the voter holds of the shard counts as changed.
//
// One goroutine finds voters for shards that have none; one for each voter
// follows it. They hand on what they see, in their order, together with the
// moves of the cursor, so that the cursor is never ahead of what was read.
type Watch struct {
	n      *Node
	spec   client.WatchSpec
	stall  time.Duration
	remote *guestWatch // of a guest: a member follows; the rest is not used

	ctx    context.Context //nolint:containedctx // the watch's life
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	items  chan watchItem // closed when all goroutines have ended

	// The cursor: of the reader's goroutine.
	places map[store.Voter]*watchPlace
	lost   map[store.ShardID]time.Time // shards without a voter, and until when they had one

	mu        sync.Mutex
	free      []watchShard // without a voter
	wake      chan struct{}
	began     map[store.ShardID]bool // followed at least once
	ready     chan struct{}          // closed when all shards are in began
	isReady   sync.Once
	shards    int     // that are to be
	scatter   scatter // by what was known lately
	followers map[store.Voter]*follower
}

// watchShard is a shard to be followed.
type watchShard struct {
	id    store.ShardID
	scan  bool      // all that it holds counts as changed
	quiet bool      // and is no resync
	since time.Time // until when it was followed; zero: never
}

// watchItem is what a watch's goroutines hand to its reader: an event, or a move
// of the cursor.
type watchItem struct {
	event client.Event
	move  *watchMove
}

// watchMove tells how far a voter is followed, and in which shards.
type watchMove struct {
	voter       store.Voter
	run, at     uint64
	when        time.Time
	add, remove wire.ShardSet
}

// Watch begins to follow the changes of keys that begin with a prefix, put or
// deleted: each that is acknowledged after it returned shows at least once,
// wherever shards move meanwhile; of several changes of a key the last does.
// That a key expires is no change. The context bounds the beginning only; Close
// ends the watch.
func (n *Node) Watch(ctx context.Context, spec client.WatchSpec) (*Watch, error) {
	if n.guest != nil {
		return n.guest.watch(ctx, spec)
	}
	w := &Watch{
		n: n, spec: spec, stall: cmp.Or(n.cfg.watchStall, watchStall), items: make(chan watchItem, watchBuffer),
		places: make(map[store.Voter]*watchPlace), lost: make(map[store.ShardID]time.Time), wake: make(chan struct{}, 1),
		began: make(map[store.ShardID]bool), ready: make(chan struct{}), followers: make(map[store.Voter]*follower),
	}
	places, since, err := parseCursor(spec, n.ring.Shards)
	if err != nil {
		return nil, err
	}
	if w.scatter, err = n.scatterOf(ctx, spec.Prefix); err != nil {
		return nil, err
	}
	w.ctx, w.cancel = context.WithCancelCause(n.ctx)
	for v, p := range places {
		w.places[v] = &watchPlace{run: p.run, at: p.at, when: p.when, shards: slices.Clone(p.shards)}
	}
	var known wire.ShardSet
	for _, p := range places {
		for id := range p.shards.All() {
			known.Add(id)
			w.shards++
		}
	}
	for _, bank := range w.scatter.banks() {
		for _, id := range n.bankOf(bank) {
			if known.Has(id) {
				continue
			}
			w.shards++
			w.free = append(w.free, watchShard{id: id, scan: spec.Cursor != "" || spec.Existing, quiet: spec.Cursor == "", since: since})
			if !since.IsZero() {
				w.lost[id] = since
			}
		}
	}
	for v, p := range places {
		var taken []watchShard // at once: what it has not taken when it asks first is passed over
		for id := range p.shards.All() {
			taken = append(taken, watchShard{id: id})
		}
		w.follower(v, p).take(taken...)
	}
	w.start(w.coordinate)
	if !n.group.start(func() { w.wg.Wait(); close(w.items) }) {
		w.cancel(ErrClosed)
		return nil, ErrClosed
	}
	if spec.Cursor != "" || spec.Existing {
		return w, nil // whatever comes from now on is behind what is scanned, or where the cursor is
	}
	ctx, cancel := context.WithTimeout(ctx, watchBegin)
	defer cancel()
	select {
	case <-w.ready:
		return w, nil
	case <-w.ctx.Done():
		return nil, context.Cause(w.ctx)
	case <-ctx.Done():
		err := w.notReady()
		return nil, errors.Join(err, w.Close())
	}
}

// notReady is the error of a watch that found no voters in time.
func (w *Watch) notReady() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return quorumLost("watch", w.spec.Prefix, fmt.Sprintf("the voters of %d shards do not answer", w.shards-len(w.began)))
}

// start runs a goroutine of the watch.
func (w *Watch) start(fn func()) {
	w.wg.Add(1)
	if !w.n.group.start(func() { defer w.wg.Done(); fn() }) {
		w.wg.Done()
	}
}

// Next waits for the next event. The error is ErrLagging if the watch was not
// read for a minute while there was much to tell, and ErrClosed if the node was
// closed; the watch has then ended, and another one may go on at Cursor. It is
// ErrLapsed if the watch, or its cursor, did not follow some shard for so long that
// deletes there are forgotten (Config.ReclaimAfter, 10 minutes unless it says
// otherwise): begin anew, from the keys that are there.
func (w *Watch) Next(ctx context.Context) (client.Event, error) {
	if w.remote != nil {
		e, err := w.remote.next(ctx)
		return e, w.n.orClosed(err)
	}
	for {
		select {
		case it, open := <-w.items:
			switch {
			case !open:
				return client.Event{}, w.n.orClosed(context.Cause(w.ctx))
			case it.move == nil:
				return it.event, nil
			}
			w.apply(it.move)
		case <-ctx.Done():
			return client.Event{}, ctx.Err()
		}
	}
}

// take waits for an event and returns it with up to limit-1 more that are there.
func (w *Watch) take(ctx context.Context, limit int) (events []client.Event, err error) {
	e, err := w.Next(ctx)
	if err != nil {
		return nil, err
	}
	events = append(events, e)
	if w.remote != nil {
		for len(events) < limit && w.remote.w.Buffered() > 0 {
			if e, err = w.remote.next(ctx); err != nil {
				return events, err
			}
			events = append(events, e)
		}
		return events, nil
	}
	for len(events) < limit {
		select {
		case it, open := <-w.items:
			switch {
			case !open:
				return events, nil // the next call says why
			case it.move == nil:
				events = append(events, it.event)
			default:
				w.apply(it.move)
			}
		default:
			return events, nil
		}
	}
	return events, nil
}

// Close ends the watch.
func (w *Watch) Close() error {
	if w.remote != nil {
		w.remote.close()
		return nil
	}
	w.cancel(ErrClosed)
	for range w.items { // until the goroutines have ended
	}
	return nil
}

// send hands an item to the reader, who has time until the watch is stalled. It
// reports whether the watch goes on.
func (w *Watch) send(it watchItem) bool {
	select {
	case w.items <- it:
		return true
	default:
	}
	late := time.NewTimer(w.stall)
	defer late.Stop()
	select {
	case w.items <- it:
		return true
	case <-w.ctx.Done():
	case <-late.C:
		w.cancel(lagging(w.spec.Prefix, w.stall))
	}
	return false
}

// lagging is the error of a watch that is not read.
func lagging(prefix string, stall time.Duration) error {
	return &client.Error{
		Code:    client.CodeLagging,
		Message: fmt.Sprintf("watch %q: %d events waited for %v to be read", prefix, watchBuffer, stall),
		Fix:     "peer watch --cursor CURSOR (which goes on where this one ended)",
	}
}

// lapsed is the error of a watch that may have missed deletes.
func lapsed(prefix string, since time.Time) error {
	return &client.Error{
		Code:    client.CodeLapsed,
		Message: fmt.Sprintf("watch %q: some keys were last followed at %s, and deletes since then may be forgotten", prefix, since.Format(time.DateTime)),
		Fix:     "peer watch --existing, without the cursor (and drop what you have of keys that it does not show)",
	}
}

// release gives shards back: they need a voter.
func (w *Watch) release(shards ...watchShard) {
	w.mu.Lock()
	w.free = append(w.free, shards...)
	w.mu.Unlock()
	signal(w.wake)
}

// begun notes that a shard is followed.
func (w *Watch) begun(id store.ShardID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.began[id] {
		w.began[id] = true
		if len(w.began) == w.shards {
			w.isReady.Do(func() { close(w.ready) })
		}
	}
}

// coordinate finds voters for shards, and looks now and then whether those that
// are followed still are.
func (w *Watch) coordinate() {
	check, look := time.NewTicker(watchCheck), time.NewTicker(watchScatter)
	defer check.Stop()
	defer look.Stop()
	for {
		w.mu.Lock()
		free := w.free
		w.free = nil
		w.mu.Unlock()
		for _, s := range free {
			if !w.assign(s) {
				w.release(s)
			}
		}
		select {
		case <-w.wake:
			if !sleep(w.ctx, watchRetry) {
				return
			}
		case <-look.C:
			w.widen()
		case <-check.C:
			w.review()
		case <-w.ctx.Done():
			return
		}
	}
}

// widen has the watch follow banks that it did not know of, from their first key on.
func (w *Watch) widen() {
	ctx, cancel := context.WithTimeout(w.ctx, configTimeout)
	defer cancel()
	scatter, err := w.n.scatterOf(ctx, w.spec.Prefix)
	if err != nil {
		w.n.log.Debug("watch: look for namespaces", "prefix", w.spec.Prefix, "err", err)
		return
	}
	w.mu.Lock()
	known := w.scatter.banks()
	w.scatter = scatter
	w.mu.Unlock()
	for _, bank := range scatter.banks() {
		if slices.Contains(known, bank) {
			continue
		}
		for _, id := range w.n.bankOf(bank) {
			w.mu.Lock()
			w.shards++
			w.mu.Unlock()
			w.release(watchShard{id: id, scan: true, quiet: true})
		}
	}
}

// stray reports whether a key is not one of its shard: a write that was not
// acknowledged left it there when its namespace was given an N of its own.
func (w *Watch) stray(id store.ShardID, key string) bool {
	ns, _ := store.SplitKey(key)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.scatter.bank(ns) != id.Bank(w.n.ring.Shards)
}

// assign has a shard followed at one of its voters: at this peer if it is one,
// else at the nearest that answered last time.
func (w *Watch) assign(s watchShard) bool {
	ctx, cancel := context.WithTimeout(w.ctx, configTimeout)
	defer cancel()
	c, err := w.n.configOf(ctx, s.id)
	if err != nil {
		return false
	}
	if w.allFailed(c.Voters) { // perhaps they are not voters any more
		if newer, found := w.n.newerConfig(ctx, s.id, c); found {
			c = newer
		}
	}
	best := slices.MinFunc(c.Voters, func(a, b store.Voter) int {
		if f := w.failedAt(a).Compare(w.failedAt(b)); f != 0 {
			return f
		}
		return w.n.near(a) - w.n.near(b)
	})
	w.follower(best, nil).take(s)
	return true
}

// failedAt returns when a voter last failed this watch.
func (w *Watch) failedAt(v store.Voter) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.followers[v]; f != nil {
		return f.failed
	}
	return time.Time{}
}

// allFailed reports whether all of some voters failed this watch.
func (w *Watch) allFailed(voters []store.Voter) bool {
	for _, v := range voters {
		if w.failedAt(v).IsZero() {
			return false
		}
	}
	return true
}

// follower returns the follower of a voter, and starts one if there is none, at
// a place if there is one.
func (w *Watch) follower(v store.Voter, p *watchPlace) *follower {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.followers[v]
	if f == nil {
		f = newFollower(w, v, p)
		w.followers[v] = f
		w.start(f.follow)
	}
	return f
}

// review asks other voters of the shards that are followed for configurations:
// the one who is followed may not know that it was dismissed.
func (w *Watch) review() {
	w.mu.Lock()
	followers := maps.Clone(w.followers)
	w.mu.Unlock()
	ask := make(map[store.Voter][]store.ShardID)
	for v, f := range followers {
		for id := range f.following().All() {
			c := w.n.shards.config(id)
			if i := slices.IndexFunc(c.Voters, func(o store.Voter) bool { return o != v && o != w.n.self }); i >= 0 {
				ask[c.Voters[i]] = append(ask[c.Voters[i]], id)
			}
		}
	}
	for v, ids := range ask {
		for part := range slices.Chunk(ids, store.MaxInfos) {
			ctx, cancel := context.WithTimeout(w.ctx, configTimeout)
			infos, err := w.n.askConfigs(ctx, v.Peer, part)
			cancel()
			if err != nil {
				break
			}
			for _, info := range infos {
				if w.n.shards.valid(info.Shard) {
					w.n.remember(info.Shard, w.n.shards.config(info.Shard), info.Config)
				}
			}
		}
	}
	for _, f := range followers {
		for id := range f.following().All() {
			if !w.n.shards.config(id).IsVoter(f.voter) {
				f.drop(id)
			}
		}
	}
}
