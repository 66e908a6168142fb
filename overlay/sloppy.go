package overlay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// Bounds of a sloppy write.
const (
	sloppyPatience = time.Second // for the voters
	sloppyTries    = 4
	maxKeepers     = 16 // peers asked to keep a hint
)

// writeSloppy is write at the level sloppy: where voters are out of reach, other
// peers keep the record for them, as many as the level lacks.
func (n *Node) writeSloppy(ctx context.Context, rule string, rec store.Record, level store.Level) (Receipt, error) {
	return n.writing(ctx, rule, rec, func(ctx context.Context, p *place, rec *store.Record) (Receipt, error) {
		w, why := new(store.Write), error(nil)
		w.Patient() // whoever is there counts
		for try := 1; ; try++ {
			patience, cancel := context.WithTimeout(ctx, sloppyPatience)
			var err error
			why, err = n.runWrite(patience, w, p, rec, level)
			cancel()
			if err == nil {
				return n.receipt(p.key, w), nil
			}
			if !errors.Is(err, ErrQuorum) {
				return Receipt{}, err
			}
			if errors.Is(why, errElsewhere) {
				if err := n.reroute(ctx, p); err != nil {
					return Receipt{}, err
				}
				continue
			}
			// A voter that answered may know of a newer version: a hint below it would be
			// of no use.
			if p.config = w.Config(); try >= sloppyTries || !w.Version().Less(w.Newest()) || n.clock.observe(w.Newest()) != nil {
				break
			}
		}
		keepers := n.leaveHints(ctx, p.shard, w, rec.AppendTo(make([]byte, 0, rec.Size())))
		if len(keepers) < w.Lacks() {
			if len(keepers) > 0 {
				why = errors.Join(why, fmt.Errorf("%d other peers keep it for them", len(keepers)))
			}
			return Receipt{}, n.unanswered(ctx, p.verb, p.key, &w.Quorum, why)
		}
		r := n.receipt(p.key, w)
		r.Hints = keepers
		return r, nil
	})
}

// leaveHints has peers that are no members of the shard keep a record, as many as a
// write lacks, and returns who does. Those come first whom the ring names next.
func (n *Node) leaveHints(ctx context.Context, shard store.ShardID, w *store.Write, record []byte) []string {
	members := make(map[chord.PeerID]bool)
	for _, v := range w.Config().Members() {
		members[v.Peer] = true
	}
	keepers := []string{}
	view := n.view()
	for _, p := range view.Successors(store.ShardStart(shard, n.ring.Shards), maxKeepers+len(members)) {
		if len(keepers) == w.Lacks() {
			break
		}
		if members[p.ID] || view.Suspect(p.ID) {
			continue
		}
		if err := n.askHint(ctx, p.ID, shard, record); err != nil {
			n.log.Debug("leave hint", "peer", n.label(p.ID), "err", err)
			continue
		}
		keepers = append(keepers, n.label(p.ID))
	}
	return keepers
}

// askHint asks a peer to keep a record for the voters of a shard.
func (n *Node) askHint(ctx context.Context, peer chord.PeerID, shard store.ShardID, record []byte) error {
	if peer == n.self.Peer {
		return n.hints.keep(ctx, shard, record)
	}
	ctx, cancel := context.WithTimeout(ctx, sloppyPatience)
	defer cancel()
	h := rpc.Header{Method: wire.MethodHint, Shard: uint32(shard)}
	_, err := call(ctx, n, peer, h, record, func([]byte) (struct{}, error) { return struct{}{}, nil })
	return err
}

// serveHint keeps a write for others.
func (n *Node) serveHint(ctx context.Context, req *rpc.Request) ([]byte, error) {
	id, err := n.shardNamed(req)
	if err != nil {
		return nil, err
	}
	return nil, n.hints.keep(ctx, id, req.Payload)
}

// sloppyLarge refuses a value that is kept in chunks.
func sloppyLarge(key string) error {
	return usage("put %q: a value of more than %d bytes cannot be put with the level %s", key, store.MaxValue, client.LevelSloppy)
}
