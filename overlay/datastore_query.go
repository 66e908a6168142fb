package overlay

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/ipfs/go-datastore/query"

	"github.com/chorus-net/chorus/store"
)

// Query answers q as the package query says: prefix, filters, orders, offset
// and limit, in this order.
func (d *ringDatastore) Query(ctx context.Context, q query.Query) (query.Results, error) {
	c := &cursor{
		d: d, ctx: ctx, prefix: d.ns + "/",
		values:  !q.KeysOnly || q.ReturnsSizes || q.ReturnExpirations || needValues(q),
		page:    store.MaxPage,
		expires: q.ReturnExpirations,
	}
	if p := path.Clean("/" + q.Prefix); p != "/" {
		c.prefix = d.ns + p + "/"
	}
	if q.Limit > 0 && len(q.Filters) == 0 && byKey(q.Orders) {
		c.page = min(q.Offset+q.Limit, store.MaxPage)
	}
	all := query.ResultsFromIterator(q, query.Iterator{Next: c.next})
	if byKey(q.Orders) {
		q.Orders = nil // as they come
	}
	out := query.NaiveQueryApply(query.Query{Filters: q.Filters, Orders: q.Orders, Offset: q.Offset, Limit: q.Limit}, all)
	if !q.KeysOnly || !c.values {
		return out, nil
	}
	return query.ResultsFromIterator(all.Query(), query.Iterator{
		Next: func() (query.Result, bool) {
			r, ok := out.NextSync()
			r.Value = nil
			return r, ok
		},
		Close: out.Close,
	}), nil
}

// byKey reports whether an order is that in which keys are listed.
func byKey(orders []query.Order) bool {
	if len(orders) == 0 {
		return true
	}
	switch orders[0].(type) { // keys are unique: what follows has no say
	case query.OrderByKey, *query.OrderByKey:
		return true
	}
	return false
}

// needValues reports whether filters or orders may look at values.
func needValues(q query.Query) bool {
	for _, f := range q.Filters {
		switch f.(type) {
		case query.FilterKeyCompare, *query.FilterKeyCompare, query.FilterKeyPrefix, *query.FilterKeyPrefix:
		default:
			return true
		}
	}
	for _, o := range q.Orders {
		switch o.(type) {
		case query.OrderByKey, *query.OrderByKey, query.OrderByKeyDescending, *query.OrderByKeyDescending:
		default:
			return true
		}
	}
	return false
}

// cursor walks through the keys under a prefix, in order: keys by the page,
// their values by the handful.
type cursor struct {
	d       *ringDatastore
	ctx     context.Context // the query's: results have no other
	prefix  string
	values  bool
	expires bool
	page    int

	after   string
	end     bool // nothing comes after keys
	keys    []string
	entries []query.Entry
}

// next returns the next entry. An error is the last result.
func (c *cursor) next() (query.Result, bool) {
	for len(c.entries) == 0 {
		if c.end && len(c.keys) == 0 {
			return query.Result{}, false
		}
		if err := c.fill(); err != nil {
			c.end, c.keys, c.entries = true, nil, nil
			return query.Result{Error: err}, true
		}
	}
	e := c.entries[0]
	c.entries = c.entries[1:]
	return query.Result{Entry: e}, true
}

// fill gets more entries, if only by getting more keys.
func (c *cursor) fill() error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if len(c.keys) == 0 {
		keys, err := c.d.n.List(c.ctx, c.prefix, c.after, c.page)
		if err != nil {
			return err
		}
		if c.end = len(keys) < c.page; len(keys) > 0 {
			c.after = keys[len(keys)-1]
		}
		c.keys = keys
	}
	entries := make([]query.Entry, len(c.keys))
	if c.values {
		entries = entries[:min(len(entries), sideBySide)]
	}
	for i := range entries {
		entries[i] = query.Entry{Key: strings.TrimPrefix(c.keys[i], c.d.ns), Size: -1}
	}
	c.keys = c.keys[len(entries):]
	if c.values {
		if err := c.d.n.each(c.ctx, len(entries), func(ctx context.Context, i int) error {
			return c.open(ctx, &entries[i])
		}); err != nil {
			return err
		}
	}
	c.entries = slices.DeleteFunc(entries, func(e query.Entry) bool {
		// Keys of datastores do not end with a slash: somebody else put it.
		return e.Key == "" || len(e.Key) > 1 && strings.HasSuffix(e.Key, "/")
	})
	return nil
}

// open reads the value of an entry, and empties the entry if the key is gone.
func (c *cursor) open(ctx context.Context, e *query.Entry) error {
	rec, err := c.d.n.Get(ctx, c.d.ns+e.Key)
	if errors.Is(err, ErrNotFound) {
		*e = query.Entry{}
		return nil
	}
	if err != nil {
		return err
	}
	e.Value, e.Size = rec.Value, len(rec.Value)
	if c.expires {
		e.Expiration = rec.Expires
	}
	return nil
}
