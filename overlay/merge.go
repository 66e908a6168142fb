package overlay

import (
	"container/heap"
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chorus-net/chorus/store"
)

// merge yields the live keys of the whole ring that begin with a prefix, in
// order. It holds a page of each shard and asks a shard for the next one when
// its page is used up. It belongs to one goroutine.
type merge struct {
	n        *Node
	prefix   string
	after    string
	level    store.Level
	page     int  // entries of a shard that are asked for at a time
	internal bool // yield keys of the system's namespaces too, and only of
	bank     int  // this bank
	scatter  scatter
	shards   cursors
	begun    bool
}

// shardCursor is where a merge stands in one shard.
type shardCursor struct {
	id      store.ShardID
	after   string        // what was asked for so far
	more    bool          // the shard may hold keys behind that
	entries []store.Entry // not yielded yet
}

// newMerge returns a merge of the keys behind after, or of all if that is "".
func (n *Node) newMerge(prefix, after string, page int) *merge {
	return &merge{n: n, prefix: prefix, after: after, level: store.LevelQuorum, page: min(page, store.MaxPage)}
}

// in has a merge, which has not begun, yield keys of the system's namespaces too, and
// those of one bank only.
func (m *merge) in(bank int) *merge {
	m.internal, m.bank = true, bank
	return m
}

// at has a merge, which has not begun, ask as many voters of each shard as a level
// says: a majority of them if it is not called.
func (m *merge) at(level store.Level) *merge {
	m.level = level
	return m
}

// next returns the next key, or false after the last.
func (m *merge) next(ctx context.Context) (e store.Entry, ok bool, err error) {
	if !m.begun {
		if err := m.begin(ctx); err != nil {
			return store.Entry{}, false, err
		}
		m.begun = true
	}
	if len(m.shards) == 0 {
		return store.Entry{}, false, nil
	}
	c := m.shards[0]
	e = c.entries[0]
	c.entries = c.entries[1:]
	if len(c.entries) == 0 {
		if err := m.fill(ctx, c); err != nil {
			return store.Entry{}, false, err
		}
	}
	if len(c.entries) == 0 {
		heap.Pop(&m.shards)
	} else {
		heap.Fix(&m.shards, 0)
	}
	return e, true, nil
}

// begin gets a page of each shard.
func (m *merge) begin(ctx context.Context) error {
	banks := []int{m.bank}
	if !m.internal {
		var err error
		if m.scatter, err = m.n.scatterOf(ctx, m.prefix); err != nil {
			return err
		}
		banks = m.scatter.banks()
	}
	var all cursors
	for _, bank := range banks {
		for _, id := range m.n.bankOf(bank) {
			all = append(all, &shardCursor{id: id, after: m.after, more: true})
		}
	}
	if err := m.n.each(ctx, len(all), func(ctx context.Context, i int) error { return m.fill(ctx, all[i]) }); err != nil {
		return err
	}
	m.shards = m.shards[:0]
	for _, c := range all {
		if len(c.entries) > 0 {
			m.shards = append(m.shards, c)
		}
	}
	heap.Init(&m.shards)
	return nil
}

// fill gets the next page of a shard that has something to yield; none is left
// if it comes back without entries.
func (m *merge) fill(ctx context.Context, c *shardCursor) error {
	for c.more && len(c.entries) == 0 {
		page, more, err := m.n.scanShard(ctx, c.id, m.level, store.ScanRequest{Prefix: m.prefix, After: c.after, Limit: m.page})
		if err != nil {
			return err
		}
		c.more = more
		if len(page) > 0 {
			c.after = page[len(page)-1].Key
		}
		now := time.Now().UnixMilli()
		for _, e := range page {
			ns, _ := store.SplitKey(e.Key)
			switch {
			case !m.internal && strings.HasPrefix(ns, "_"):
				c.after = max(c.after, behind(ns))
			case !m.internal && m.scatter.bank(ns) != c.id.Bank(m.n.ring.Shards):
			case !e.Deleted && (e.Expires == 0 || e.Expires > now):
				c.entries = append(c.entries, e)
			}
		}
	}
	return nil
}

// behind returns a key behind all but the oddest of a namespace, so that it need
// not be paged through.
func behind(ns string) string { return ns + "/" + string(utf8.MaxRune) }

// cursors is a heap: the cursor with the first key is its root.
type cursors []*shardCursor

func (c cursors) Len() int           { return len(c) }
func (c cursors) Less(i, j int) bool { return c[i].entries[0].Key < c[j].entries[0].Key }
func (c cursors) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *cursors) Push(x any)        { *c = append(*c, x.(*shardCursor)) }

func (c *cursors) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}
