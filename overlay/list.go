package overlay

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/chorus-net/chorus/store"
)

const (
	listAtOnce  = 32 // shards that one listing asks at a time
	defaultPage = 1000
)

// List returns up to limit keys that begin with prefix and sort behind after,
// in order; fewer mean that there are no more. A limit of 0 means 1,000, the
// most is 4,096. Each key that was there all the while is listed; one that
// comes or goes meanwhile may be.
func (n *Node) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, store.MaxPage)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		pages = make(chan shardPage)
		slots = make(chan struct{}, listAtOnce)
		keys  []string
	)
	started := n.group.start(func() {
		for i := range n.ring.Shards {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			id := store.ShardID(i)
			n.group.start(func() {
				defer func() { <-slots }()
				page, err := n.listShard(ctx, id, prefix, after, limit)
				select {
				case pages <- shardPage{page, err}:
				case <-ctx.Done():
				}
			})
		}
	})
	if !started {
		return nil, ErrClosed
	}
	for range n.ring.Shards {
		select {
		case p := <-pages:
			if p.err != nil {
				return nil, p.err
			}
			keys = keep(append(keys, p.keys...), limit)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-n.ctx.Done():
			return nil, ErrClosed
		}
	}
	slices.Sort(keys)
	return keys[:min(len(keys), limit)], nil
}

type shardPage struct {
	keys []string
	err  error
}

// keep cuts keys down to the first limit once there are many more.
func keep(keys []string, limit int) []string {
	if len(keys) < 4*limit {
		return keys
	}
	slices.Sort(keys)
	return slices.Clone(keys[:limit])
}

// listShard returns up to limit live keys of one shard, in order.
func (n *Node) listShard(ctx context.Context, id store.ShardID, prefix, after string, limit int) ([]string, error) {
	var keys []string
	for {
		entries, more, err := n.scanShard(ctx, id, store.ScanRequest{Prefix: prefix, After: after, Limit: limit - len(keys)})
		if err != nil {
			return nil, err
		}
		now := time.Now().UnixMilli()
		for _, e := range entries {
			ns, _ := store.SplitKey(e.Key)
			if !e.Deleted && (e.Expires == 0 || e.Expires > now) && !strings.HasPrefix(ns, "_") {
				keys = append(keys, e.Key)
			}
		}
		if !more || len(keys) >= limit {
			return keys, nil
		}
		after = entries[len(entries)-1].Key
	}
}

// scanShard runs the quorum scan of one page.
func (n *Node) scanShard(ctx context.Context, id store.ShardID, req store.ScanRequest) ([]store.Entry, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	c, err := n.configOf(ctx, id)
	if err != nil {
		return nil, false, err
	}
	s := new(store.Scan)
	ask := apart(n, func(ctx context.Context, to store.Voter, by goesBy) (store.ScanReply, error) {
		return n.askScan(ctx, to, id, by, req)
	})
	for {
		st := s.Start(c, store.LevelQuorum, req, n.near)
		end, why := runOp(ctx, n, s, st, ask, n.hedgeAfter(c), s.Hedge)
		n.remember(id, c, s.Config())
		if end == store.Done {
			page, more := s.Result()
			return page, more, nil
		}
		newer, found := n.newerConfig(ctx, id, s.Config())
		if !found || ctx.Err() != nil {
			return nil, false, n.unanswered(ctx, "list", req.Prefix, &s.Quorum, why)
		}
		c = newer
	}
}
