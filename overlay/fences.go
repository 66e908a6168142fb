package overlay

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// fenceSpace holds the fences: the record "_fence/NS" in each shard of bank 0
// keeps the keys of namespace NS out of it, because they are kept in another bank,
// or are going to be. Its position is the shard's first.
const fenceSpace = "_fence"

// errElsewhere refuses a key whose namespace is fenced off.
var errElsewhere = &rpc.Error{Code: "elsewhere", Message: "the keys of this namespace are kept in other shards"}

// errHolds refuses to fence a namespace off that has keys.
var errHolds = &rpc.Error{Code: string(client.CodeReplicasFixed), Message: "the namespace has keys"}

// fences are the namespaces that this replica keeps out of its shards. Methods may be
// called from any goroutine.
type fences struct {
	count atomic.Int64 // entries of list, to look without the lock

	mu   sync.RWMutex
	list map[fenceOf]*fence
}

type fenceOf struct {
	shard store.ShardID
	ns    string
}

// fence is what is known of one fence: the newest version of its record that was
// written here, whether that is one, and how many are about to be written.
type fence struct {
	version store.Version
	held    bool
	coming  int
}

// loadFences finds the fences that are on disk.
func loadFences(d *disk.Store, shards *shards) (*fences, error) {
	f := &fences{list: make(map[fenceOf]*fence)}
	for id := range shards.all() {
		if err := f.load(d, id); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// load finds the fences of one shard that are on disk.
func (f *fences) load(d *disk.Store, id store.ShardID) error {
	if d.Counts(id).Live == 0 {
		return nil
	}
	for q := (disk.Query{Prefix: fenceSpace + "/"}); ; {
		page, err := d.Scan(id, q)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			_, ns := store.SplitKey(e.Key)
			f.saw(fenceOf{id, ns}, e.Version, !e.Deleted)
		}
		if q.After = page.Last; !page.More {
			return nil
		}
	}
}

// dropped takes in that records of a shard were dropped, perhaps fences.
func (f *fences) dropped(d *disk.Store, id store.ShardID) error {
	if f.count.Load() == 0 {
		return nil
	}
	f.mu.Lock()
	for of, have := range f.list {
		if of.shard == id {
			have.version, have.held = store.Version{}, false
			f.tidy(of, have)
		}
	}
	f.mu.Unlock()
	return f.load(d, id)
}

// changed takes in a record of the system that was written.
func (f *fences) changed(shard store.ShardID, v store.View) {
	if string(v.Namespace()) == fenceSpace {
		f.saw(fenceOf{shard, string(v.Key())}, v.Version(), !v.Tombstone())
	}
}

func (f *fences) saw(of fenceOf, version store.Version, held bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.at(of)
	if have.version.Less(version) {
		have.version, have.held = version, held
	}
	f.tidy(of, have)
}

// at returns what is known of a fence, under the lock.
func (f *fences) at(of fenceOf) *fence {
	have := f.list[of]
	if have == nil {
		have = new(fence)
		f.list[of] = have
		f.count.Add(1)
	}
	return have
}

// tidy forgets a fence that is none, under the lock.
func (f *fences) tidy(of fenceOf, have *fence) {
	if !have.held && have.coming == 0 {
		delete(f.list, of)
		f.count.Add(-1)
	}
}

// come keeps a namespace out until the fence that is about to be written was, or was
// not: whoever brings it then calls gone.
func (f *fences) come(of fenceOf) (gone func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.at(of)
	have.coming++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		have.coming--
		f.tidy(of, have)
	}
}

// keepOut reports whether a key must not be read or written in a shard.
func (f *fences) keepOut(shard store.ShardID, ns, name string) bool {
	if f.count.Load() == 0 {
		return false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	have := f.list[fenceOf{shard, ruling(ns, name)}]
	return have != nil && (have.held || have.coming > 0)
}

// held counts the fences that lie among the records, by shard.
func (f *fences) held() map[store.ShardID]int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	held := make(map[store.ShardID]int)
	for of, have := range f.list {
		if have.held {
			held[of.shard]++
		}
	}
	return held
}

// keepOutRecord is keepOut for a record.
func (f *fences) keepOutRecord(shard store.ShardID, v store.View) bool {
	return f.count.Load() > 0 && f.keepOut(shard, string(v.Namespace()), string(v.Key()))
}

// fence fences a namespace off, unless this replica holds one of its keys. When it
// answers, whatever was admitted before is on disk and was looked at, and nothing
// is admitted any more.
func (r *replica) fence(ctx context.Context, shard store.ShardID, epoch uint64, req store.WriteRequest) (store.WriteReply, error) {
	v, err := store.OpenRecord(req.Record)
	if err != nil {
		return store.WriteReply{}, fmt.Errorf("fence: %w", err)
	}
	if string(v.Namespace()) != fenceSpace || v.Tombstone() {
		return store.WriteReply{}, fmt.Errorf("fence: %w", store.ErrBadPeer)
	}
	if shard.Bank(r.shards.n) != 0 {
		return store.WriteReply{}, errNoShard
	}
	ns := string(v.Key())
	gone := r.fences.come(fenceOf{shard, ns})
	defer gone()
	// First the epoch: what it means to hold a key there is settled by then.
	if err := r.learn(ctx, shard, req.Push); err != nil {
		return store.WriteReply{}, err
	}
	status, c, err := r.shards.admit(ctx, shard, req.Incarnation, epoch)
	if err != nil || status != store.StatusOK {
		return store.WriteReply{Status: status, Config: referral(status, c)}, err
	}
	if err := r.shards.settle(ctx, shard); err != nil {
		return store.WriteReply{}, err
	}
	for _, space := range []string{"", store.RegisterNamespace + "/", largeSpace + "/"} {
		if holds, err := r.holds(shard, space+ns+"/"); err != nil {
			return store.WriteReply{}, err
		} else if holds {
			return store.WriteReply{}, errHolds
		}
	}
	return r.write(ctx, shard, epoch, req)
}

// holds reports whether a key that begins with a prefix is held here, and is neither
// deleted nor expired.
func (r *replica) holds(shard store.ShardID, prefix string) (bool, error) {
	now := time.Now().UnixMilli()
	for after, more := "", true; more; {
		var page []store.Entry
		var err error
		if page, more, _, err = r.page(shard, disk.Query{Prefix: prefix, After: after}); err != nil {
			return false, err
		}
		for _, e := range page {
			if after = e.Key; !e.Deleted && (e.Expires == 0 || e.Expires > now) {
				return true, nil
			}
		}
	}
	return false, nil
}
