package overlay

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

const (
	// keptChanges is how many changes a peer remembers, for watches to take up
	// where they were.
	keptChanges = 32 << 10
	// maxPolls bounds the watches that wait for a change at one peer at a time;
	// others look in now and then.
	maxPolls = 64
	maxPoll  = 10 * time.Second
)

// changeLog remembers the last changes of this peer's records in the order in
// which the disk took them. Positions in it count up from 1. It is in memory: it
// has a number of its own, run, so that a position of a former life is known as
// such.
type changeLog struct {
	run    uint64
	system func(store.ShardID, store.View) // is told of records of the system; nil: nobody is

	mu    sync.Mutex
	list  []changeEntry // a ring: the change at position p is list[p%keptChanges]
	next  uint64        // position of the next change
	first uint64        // of the oldest that is kept
	wake  chan struct{} // closed at the next change; nil while nobody waits
	polls int
}

// changeEntry is one change of one shard.
type changeEntry struct {
	shard store.ShardID
	entry store.Entry
}

var _ disk.Listener = (*changeLog)(nil)

func newChangeLog() *changeLog {
	return &changeLog{run: 1 + rand.Uint64N(1<<63), next: 1, first: 1}
}

// Changed takes in a record that was written. Those of the system's namespaces
// are nobody's to watch.
func (l *changeLog) Changed(shard store.ShardID, v store.View) {
	ns := v.Namespace()
	if len(ns) > 0 && ns[0] == '_' {
		if l.system != nil {
			l.system(shard, v)
		}
		return
	}
	e := store.Entry{Key: store.JoinKey(string(ns), string(v.Key())), Version: v.Version(), Expires: v.Expires(), Deleted: v.Tombstone()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) < keptChanges {
		// Position p lies at p%keptChanges: the list grows along with it, once.
		if at := int(l.next % keptChanges); at >= len(l.list) {
			l.list = append(l.list, make([]changeEntry, at+1-len(l.list))...)
		}
	}
	l.list[l.next%keptChanges] = changeEntry{shard, e}
	l.next++
	l.first = max(l.first, l.next-min(l.next, keptChanges))
	l.stir()
}

// Doubt takes in that changes may have been made that nobody told of: what was
// before can not be taken up any more.
func (l *changeLog) Doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	l.first = l.next
	l.stir()
}

// stir wakes those who wait, under the lock.
func (l *changeLog) stir() {
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// look returns the changes from a position on that concern shards and a prefix,
// up to limit, and the position to go on from. A position of another run, or one
// that is not kept any more, is answered with the present one and gap.
func (l *changeLog) look(req wire.WatchRequest) (r wire.WatchReply, wake <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Run, r.Position = l.run, l.next
	if req.Run != l.run || req.Position < l.first || req.Position > l.next {
		r.Gap = true
		return r, nil
	}
	for p := req.Position; p < l.next; p++ {
		c := &l.list[p%keptChanges]
		if !req.Shards.Has(c.shard) || !strings.HasPrefix(c.entry.Key, req.Prefix) {
			continue
		}
		if len(r.Changes) == req.Limit {
			r.Position = p
			return r, nil
		}
		r.Changes = append(r.Changes, wire.Change{Shard: c.shard, Entry: c.entry})
	}
	if len(r.Changes) > 0 {
		return r, nil
	}
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return r, l.wake
}

// poll is look, but waits for a while if there is nothing to tell.
func (l *changeLog) poll(ctx context.Context, req wire.WatchRequest) wire.WatchReply {
	l.mu.Lock()
	waits := l.polls < maxPolls
	if waits {
		l.polls++
	}
	l.mu.Unlock()
	if !waits {
		r, _ := l.look(req)
		return r
	}
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.polls--
	}()
	end := time.NewTimer(min(req.Wait, maxPoll))
	defer end.Stop()
	for {
		r, wake := l.look(req)
		if wake == nil {
			return r
		}
		req.Position = r.Position // what was passed over need not be looked at again
		select {
		case <-wake:
		case <-end.C:
			return r
		case <-ctx.Done():
			return r
		}
	}
}

// serveWatch answers a peer that follows this one's changes.
func (n *Node) serveWatch(ctx context.Context, req *rpc.Request) ([]byte, error) {
	in, err := wire.ParseWatchRequest(req.Payload)
	if err != nil {
		return nil, err
	}
	out := n.watchReplica(ctx, in)
	return wire.AppendWatchReply(nil, &out), nil
}

// watchReplica returns changes of shards of which this peer is a voter, and
// names those of which it is not.
func (n *Node) watchReplica(ctx context.Context, in wire.WatchRequest) wire.WatchReply {
	if in.Incarnation != n.self.Incarnation {
		return wire.WatchReply{Run: n.changes.run, Gap: true, Lost: in.Shards}
	}
	lost := func() (s wire.ShardSet) {
		for id := range in.Shards.All() {
			if !n.shards.valid(id) || !n.shards.config(id).IsVoter(n.self) {
				s.Add(id)
			}
		}
		return s
	}
	if gone := lost(); len(gone) > 0 {
		in.Wait = 0
	}
	followed := slices.Collect(in.Shards.All())
	abreast := n.abreast(followed) // before the changes are looked at
	out := n.changes.poll(ctx, in)
	// Asked again behind the wait: a shard may have gone meanwhile.
	out.Lost, out.Abreast = lost(), abreast
	out.Changes = slices.DeleteFunc(out.Changes, func(c wire.Change) bool { return out.Lost.Has(c.Shard) })
	return out
}
