package overlay

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/store"
)

// Bounds of what a peer keeps for others.
const (
	maxHints     = 16 << 10
	maxHintBytes = 64 << 20
	handEvery    = 5 * time.Second        // between attempts to hand hints over
	handGather   = 100 * time.Millisecond // after the ring changed
	hintPrefix   = "hint/"                // of their names on disk
)

// hints are the writes that this peer keeps for voters that were out of reach, for as
// long as Config.ReclaimAfter. They are on disk, and lie beside the records: they
// are no replicas.
type hints struct {
	n    *Node
	wake chan struct{} // holds a token while an attempt is wanted

	handed, refused, expired atomic.Uint64 // what became of them

	mu    sync.Mutex
	kept  map[string]int // by name, the size
	bytes int
}

// loadHints finds the hints that are on disk.
func loadHints(n *Node) (*hints, error) {
	h := &hints{n: n, wake: make(chan struct{}, 1), kept: make(map[string]int)}
	names, err := n.disk.ListMeta(hintPrefix)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		b, found, err := n.disk.GetMeta(name)
		if err != nil || !found {
			n.log.Warn("read hint", "err", err)
			continue
		}
		h.kept[name], h.bytes = len(b), h.bytes+len(b)
	}
	return h, nil
}

// kick asks for an attempt soon: somebody may be back.
func (h *hints) kick() { signal(h.wake) }

// count returns how many hints are kept.
func (h *hints) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.kept)
}

// keep keeps a record for the voters of its shard, and returns when it is on disk.
func (h *hints) keep(ctx context.Context, shard store.ShardID, record []byte) error {
	v, err := store.OpenRecord(record)
	if err != nil {
		return fmt.Errorf("keep hint: %w", err)
	}
	if err := checkKey(string(v.Namespace()), string(v.Key())); err != nil {
		return err
	}
	if err := h.n.owned.check(v); err != nil {
		return err
	}
	if store.Shard(v.Position(), h.n.ring.Shards) != shard.Index(h.n.ring.Shards) {
		return fmt.Errorf("keep hint: %w", errNoShard)
	}
	hint, err := store.NewHint(record, time.Now(), h.n.cfg.ReclaimAfter, store.DefaultSkew)
	if err != nil {
		return fmt.Errorf("keep hint: %w", err)
	}
	position := v.Position()
	name := hintPrefix + hex.EncodeToString(position[:]) + "/" + v.Version().String()
	b := hint.AppendTo(nil)
	if err := h.reserve(name, len(b)); err != nil {
		return err
	}
	if err := h.n.disk.PutMeta(ctx, name, b); err != nil {
		h.forget(name)
		return noRoom(err)
	}
	return nil
}

var errHintsFull = &rpc.Error{Code: rpc.CodeBusy, Message: "the peer keeps as many writes for others as it may"}

func (h *hints) reserve(name string, size int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.kept[name]
	if old == 0 && len(h.kept) >= maxHints || h.bytes-old+size > maxHintBytes {
		return errHintsFull
	}
	h.kept[name], h.bytes = size, h.bytes-old+size
	return nil
}

func (h *hints) forget(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes -= h.kept[name]
	delete(h.kept, name)
}

// run hands hints over until the context ends: when the ring changed, and now and
// then.
func (h *hints) run(ctx context.Context) {
	for {
		h.handAll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
			if !sleep(ctx, handGather) {
				return
			}
		case <-time.After(handEvery):
		}
	}
}

// handAll tries to hand over all that is kept.
func (h *hints) handAll(ctx context.Context) {
	h.mu.Lock()
	names := slices.Sorted(maps.Keys(h.kept)) // older versions of a key first
	h.mu.Unlock()
	short := make(map[store.ShardID]bool) // shards that lack voters: one attempt tells
	shardOf := h.n.shardsOf(ctx)
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		if err := h.hand(ctx, name, shardOf, short); err != nil {
			h.n.log.Debug("hand over hint", "err", err)
		}
	}
}

// hand tries to hand one hint over. What was handed over, refused for good, or kept
// for too long is dropped.
func (h *hints) hand(ctx context.Context, name string, shardOf func(string, chord.ID) store.ShardID, short map[store.ShardID]bool) error {
	b, found, err := h.n.disk.GetMeta(name)
	if err != nil {
		return err
	}
	if !found { // not on disk yet
		return nil
	}
	hint, err := store.DecodeHint(b)
	if err != nil {
		return errors.Join(err, h.drop(ctx, name))
	}
	if !time.Now().Before(hint.Until) {
		h.expired.Add(1)
		return h.drop(ctx, name)
	}
	v, err := store.OpenRecord(hint.Record)
	if err != nil {
		return err
	}
	rule := ruling(string(v.Namespace()), string(v.Key()))
	shard := shardOf(rule, v.Position())
	if short[shard] {
		return nil
	}
	stored, err := h.write(ctx, shard, hint.Record, v.Version())
	switch {
	case err != nil:
		short[shard] = true
		return err
	case stored:
		h.handed.Add(1)
	default:
		h.refused.Add(1)
	}
	return h.drop(ctx, name)
}

func (h *hints) drop(ctx context.Context, name string) error {
	if err := h.n.disk.DropMeta(ctx, name); err != nil {
		return err
	}
	h.forget(name)
	return nil
}

// write writes a hint's record, as it is. It reports whether a quorum stored it;
// without an error it is of no use any more if not: a newer version is there, or the
// shard is settled beyond it.
func (h *hints) write(ctx context.Context, shard store.ShardID, record []byte, v store.Version) (stored bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	c, err := h.n.configOf(ctx, shard)
	if err != nil {
		return false, err
	}
	var w store.Write
	w.Believe(believable())
	end, why := runOp(ctx, h.n, &w, w.Start(c, store.LevelQuorum, v), func(to store.Voter, by goesBy, s slot[store.WriteReply]) error {
		return h.n.outboxes.send(to, shard, by, record, s)
	}, 0, nil)
	h.n.remember(shard, c, w.Config())
	switch end {
	case store.Done:
		return true, nil
	case store.Stamp:
		return false, nil
	default:
		return false, fmt.Errorf("%s", h.n.shortOf(&w.Quorum, why))
	}
}
