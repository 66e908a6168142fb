package disk

import (
	"context"
	"fmt"

	"github.com/chorus-net/chorus/store"
)

// shardTree is a shard's tree, in the making or made. The lock of totals guards
// what is in it.
type shardTree struct {
	ready chan struct{} // closed when it is made, or err says why not
	err   error
	tree  store.Tree
	// late are the commits accounted for while the shard is read. They are put on
	// top of what was read, in which some of them show already.
	late []treeChange
}

type treeChange struct {
	item store.Item
	gone bool
}

// Tree calls fn with a shard's tree, which fn must not change or keep. The first
// call for a shard reads its records; from then on each write updates it.
func (s *Store) Tree(ctx context.Context, shard store.ShardID, fn func(*store.Tree)) error {
	for {
		st, mine := s.totals.tree(shard)
		if mine {
			s.growTree(shard, st)
		}
		select {
		case <-st.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if st.err != nil {
			return fmt.Errorf("tree of shard %d: %w", shard, st.err)
		}
		if s.totals.look(shard, st, fn) {
			return nil
		}
	}
}

// growTree reads a shard's records into its tree.
func (s *Store) growTree(shard store.ShardID, st *shardTree) {
	var items []store.Item
	err := s.walk(shard, "", "", func(_ string, v store.View, err error) bool {
		if err == nil {
			items = append(items, store.ItemOf(v.Namespace(), v.Key(), v.Version()))
		}
		return true
	})
	t := &s.totals
	t.mu.Lock()
	defer t.mu.Unlock()
	defer close(st.ready)
	if st.err = err; err != nil {
		t.dropTree(shard, st)
		return
	}
	for _, it := range items {
		st.tree.Put(it)
	}
	for _, ch := range st.late {
		st.apply(ch)
	}
	st.late = nil
}

func (st *shardTree) apply(ch treeChange) {
	if ch.gone {
		st.tree.Remove(ch.item.Path)
	} else {
		st.tree.Put(ch.item)
	}
}

// tree returns a shard's tree, and whether it is the caller's to make.
func (t *totals) tree(shard store.ShardID) (st *shardTree, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if st = t.trees[shard]; st != nil {
		return st, false
	}
	if t.trees == nil {
		t.trees = make(map[store.ShardID]*shardTree)
	}
	st = &shardTree{ready: make(chan struct{})}
	t.trees[shard] = st
	return st, true
}

// look calls fn with a tree that is ready, unless it does not count any more.
func (t *totals) look(shard store.ShardID, st *shardTree, fn func(*store.Tree)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.trees[shard] != st {
		return false
	}
	fn(&st.tree)
	return true
}

// dropTree forgets a shard's tree, or only st if that is not nil.
func (t *totals) dropTree(shard store.ShardID, st *shardTree) {
	if st == nil || t.trees[shard] == st {
		delete(t.trees, shard)
	}
}

// updateTree tells a shard's tree, if there is one, of a change that was
// committed.
func (t *totals) updateTree(ch change) {
	st := t.trees[ch.shard]
	if st == nil {
		return
	}
	tc := treeChange{store.ItemOf(ch.view.Namespace(), ch.view.Key(), ch.now.version), ch.now.version.IsZero()}
	select {
	case <-st.ready:
		st.apply(tc)
	default:
		st.late = append(st.late, tc)
	}
}
