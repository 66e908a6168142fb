package overlay

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// unsettled remembers what the reclaimer last met in each shard, for the status. Its
// methods may be called from any goroutine.
type unsettled struct {
	mu      sync.Mutex
	expired map[store.ShardID]int     // records of expired keys that no horizon settled
	last    map[store.ShardID]attempt // the last raise, if voters refused it
}

// attempt is a raise of a shard's horizon that voters refused.
type attempt struct {
	epoch uint64 // of the configuration that was to be raised
	by    objections
}

// objection is why a voter does not take part in a raise.
type objection struct {
	peer chord.PeerID
	err  error
}

// objections is the error of a raise that voters refused.
type objections []objection

func (o objections) Error() string {
	parts := make([]string, len(o))
	for i, one := range o {
		parts[i] = fmt.Sprintf("%s: %v", one.peer, one.err)
	}
	return strings.Join(parts, "; ")
}

func newUnsettled() *unsettled {
	return &unsettled{expired: make(map[store.ShardID]int), last: make(map[store.ShardID]attempt)}
}

// found tells how many records of expired keys a shard has that no horizon settled.
func (u *unsettled) found(id store.ShardID, expired int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.expired[id] = expired; expired == 0 {
		delete(u.expired, id)
	}
}

// refused tells how a raise ended.
func (u *unsettled) refused(id store.ShardID, epoch uint64, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if by := objections(nil); errors.As(err, &by) {
		u.last[id] = attempt{epoch, by}
	} else {
		delete(u.last, id)
	}
}

// of returns what is known of a shard at an epoch.
func (u *unsettled) of(id store.ShardID, epoch uint64) (expired int, by objections) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := u.last[id]; last.epoch == epoch {
		by = last.by
	}
	return u.expired[id], by
}

// blockers counts the records of deleted and expired keys here that no horizon settled,
// and tells for whom they wait: for voters that are not live, and, in the shards that
// this peer leads, for those that refused when it last asked.
func (n *Node) blockers() (waiting int, blockers []client.Blocker) {
	by, view := make(map[chord.PeerID]*client.Blocker), n.view()
	for id := range n.shards.all() {
		state := n.shards.snapshot(id)
		expired, refused := n.unsettled.of(id, state.Config.Epoch)
		keys := int(n.disk.Counts(id).Tombstones) + expired
		if keys == 0 {
			continue
		}
		waiting += keys
		blocker := func(p chord.PeerID) *client.Blocker {
			if by[p] == nil {
				by[p] = &client.Blocker{Peer: n.label(p)}
			}
			by[p].Keys += keys
			return by[p]
		}
		situation := n.mover.situation(view, id, state)
		for _, v := range situation.Blockers() {
			blocker(v.Peer)
		}
		if !situation.MayRaise() {
			continue
		}
		for _, r := range refused {
			blocker(r.peer).Why = r.err.Error()
		}
	}
	for _, b := range by {
		blockers = append(blockers, *b)
	}
	slices.SortFunc(blockers, func(a, b client.Blocker) int { return cmp.Compare(a.Peer, b.Peer) })
	return waiting, blockers
}
