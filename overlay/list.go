package overlay

import (
	"context"

	"github.com/chorus-net/chorus/store"
)

const (
	defaultPage = 1000
	// sparePage is how many keys of a shard are asked for beyond its share: shards
	// differ, and some keys turn out to be deleted.
	sparePage = 16
)

// List returns up to limit keys that begin with prefix and sort behind after,
// in order; fewer mean that there are no more. A limit of 0 means 1,000, the
// most is 4,096. Each key that was there all the while is listed, also while
// shards move; one that comes or goes meanwhile may be.
//
// It holds a page of each shard, whose size is the shard's share of limit.
func (n *Node) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	if n.guest != nil {
		return n.guest.client.List(ctx, prefix, after, limit)
	}
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, store.MaxPage)
	merge := n.newMerge(prefix, after, limit*3/2/n.ring.Shards+sparePage)
	keys := make([]string, 0, min(limit, defaultPage))
	for len(keys) < limit {
		e, ok, err := merge.next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		keys = append(keys, e.Key)
	}
	return keys, nil
}

// scanShard runs the quorum scan of one page.
func (n *Node) scanShard(ctx context.Context, id store.ShardID, level store.Level, req store.ScanRequest) ([]store.Entry, bool, error) {
	ctx, cancel := bounded(ctx)
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
		st := s.Start(c, level, req, n.near)
		end, why := runOp(ctx, n, s, st, ask, n.hedgeAfter(c), s.Hedge)
		n.remember(id, c, s.Config())
		if end == store.Done {
			page, more := s.Result()
			return page, more, nil
		}
		newer, found := n.newerConfig(ctx, id, s.Config())
		switch {
		case ctx.Err() != nil || !found && !silence(why):
			return nil, false, n.unanswered(ctx, "list", req.Prefix, &s.Quorum, why)
		case found:
			c = newer
		default:
			c = s.Config()
		}
	}
}
