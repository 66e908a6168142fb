package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// replica answers for this peer's shards: what other peers, and this peer's own
// operations, may ask of them. Its methods may be called from any goroutine.
type replica struct {
	shards *shards
	disk   *disk.Store
	clock  *clock
	fences *fences
	pace   *pace
	now    func() time.Time // what may be settled is judged by it

	// moved is called when a shard's configuration changed.
	moved func(store.ShardID)
	// signed refuses a record of an owned namespace that lacks a signature which holds.
	signed func(store.View) error
	// corrupt is called when a record on disk turned out to be damaged.
	corrupt func(store.ShardID)
}

// learn takes in a configuration that a request or an answer carries.
func (r *replica) learn(ctx context.Context, shard store.ShardID, c store.Config) error {
	if c.Epoch == 0 {
		return nil
	}
	changed, err := r.shards.observe(ctx, shard, c)
	if changed {
		r.moved(shard)
	}
	return err
}

// write stores one record.
func (r *replica) write(ctx context.Context, shard store.ShardID, epoch uint64, req store.WriteRequest) (store.WriteReply, error) {
	result := r.writes(ctx, []wire.Write{{Shard: shard, Epoch: epoch, Request: req}})[0]
	return result.Reply, result.Err
}

// writes stores records, all with one sync if the disk has nothing else to do.
func (r *replica) writes(ctx context.Context, writes []wire.Write) []wire.WriteResult {
	results := make([]wire.WriteResult, len(writes))
	puts, at := make([]disk.Put, 0, len(writes)), make([]int, 0, len(writes)) // puts[j] is of writes[at[j]]
	passes := make([]pass, 0, len(writes))                                    // and was admitted with passes[j]
	now := time.Now()
	for i := range writes {
		w := &writes[i]
		reply, p, admitted, err := r.admitWrite(ctx, w, now)
		if results[i] = (wire.WriteResult{Reply: reply, Err: err}); admitted {
			passes = append(passes, p)
			puts, at = append(puts, disk.Put{Shard: w.Shard, Record: w.Request.Record}), append(at, i)
		}
	}
	r.disk.QueueMany(puts)
	for j := range puts {
		w := &writes[at[j]]
		results[at[j]].Reply, results[at[j]].Err = r.finishWrite(ctx, w, &puts[j])
		r.shards.leave(w.Shard, passes[j])
	}
	return results
}

// admitWrite tells whether a record may be stored now, or what to answer. Whoever
// stores it tells the shard when it is done.
func (r *replica) admitWrite(ctx context.Context, w *wire.Write, now time.Time) (reply store.WriteReply, p pass, admitted bool, err error) {
	if !r.shards.valid(w.Shard) {
		return store.WriteReply{}, pass{}, false, errNoShard
	}
	v, err := store.OpenRecord(w.Request.Record)
	if err != nil {
		return store.WriteReply{}, pass{}, false, fmt.Errorf("write: %w", err)
	}
	if err := checkRegister(v, w.Request.Repair); err != nil {
		return store.WriteReply{}, pass{}, false, fmt.Errorf("write: %w", err)
	}
	if err := r.signed(v); err != nil {
		return store.WriteReply{}, pass{}, false, fmt.Errorf("write: %w", err)
	}
	if !w.Request.Repair {
		r.pace.serving(now)
	}
	if err := r.learn(ctx, w.Shard, w.Request.Push); err != nil {
		return store.WriteReply{}, pass{}, false, err
	}
	status, c, p, err := r.shards.enter(ctx, w.Shard, w.Request.Incarnation, w.Epoch)
	if err != nil || status != store.StatusOK {
		return store.WriteReply{Status: status, Config: referral(status, c)}, pass{}, false, err
	}
	switch status, _ := store.Judge(store.Version{}, v.Version(), now, store.DefaultSkew); {
	case r.fences.keepOutRecord(w.Shard, v):
		err = errElsewhere
	case status != store.StatusOK:
		reply = store.WriteReply{Status: status}
	case v.Class() == store.ClassEventual && v.Version().Clock <= p.settled && !replacedExactly(v):
		reply = store.WriteReply{Status: store.StatusStale, Version: store.Version{Clock: p.settled}}
	default:
		return store.WriteReply{}, p, true, nil
	}
	r.shards.leave(w.Shard, p)
	return reply, pass{}, false, err
}

// finishWrite waits for the disk and answers.
func (r *replica) finishWrite(ctx context.Context, w *wire.Write, put *disk.Put) (store.WriteReply, error) {
	if put.Err != nil {
		return store.WriteReply{}, put.Err
	}
	out, err := put.Ticket.Wait(ctx)
	if err != nil {
		return store.WriteReply{}, noRoom(err)
	}
	v, err := store.OpenRecord(w.Request.Record)
	if err != nil {
		return store.WriteReply{}, fmt.Errorf("write: %w", err)
	}
	version := v.Version()
	// The clock may refuse what it has just been judged by, a moment later.
	_ = r.clock.observe(version)
	if out.Superseded(version) {
		return store.WriteReply{Status: store.StatusSuperseded, Synced: true, Version: out.Held}, nil
	}
	return store.WriteReply{Status: store.StatusOK, Synced: true}, nil
}

// read returns the record held of a key.
func (r *replica) read(ctx context.Context, shard store.ShardID, epoch uint64, req store.ReadRequest) (store.ReadReply, error) {
	r.pace.serving(time.Now())
	if err := r.learn(ctx, shard, req.Push); err != nil {
		return store.ReadReply{}, err
	}
	status, c, err := r.shards.admit(ctx, shard, req.Incarnation, epoch)
	if err != nil || status != store.StatusOK {
		return store.ReadReply{Status: status, Config: referral(status, c)}, err
	}
	if r.fences.keepOut(shard, req.Namespace, req.Key) {
		return store.ReadReply{}, errElsewhere
	}
	var reply store.ReadReply
	_, err = r.disk.View(shard, req.Namespace, req.Key, func(v store.View) error {
		reply.Version = v.Version()
		if !req.Brief || len(v.Value()) <= store.BriefValue {
			reply.Record = bytes.Clone(v.Raw())
		}
		return nil
	})
	if err != nil {
		r.damaged(shard, err)
		return store.ReadReply{}, err
	}
	return reply, nil
}

// damaged starts the repair of a shard one of whose records cannot be read.
func (r *replica) damaged(shard store.ShardID, err error) {
	if errors.Is(err, disk.ErrCorrupt) {
		r.corrupt(shard)
	}
}

// scan returns a page of a shard's keys.
func (r *replica) scan(ctx context.Context, shard store.ShardID, epoch uint64, req store.ScanRequest) (store.ScanReply, error) {
	if err := r.learn(ctx, shard, req.Push); err != nil {
		return store.ScanReply{}, err
	}
	status, c, err := r.shards.admit(ctx, shard, req.Incarnation, epoch)
	if err != nil || status != store.StatusOK {
		return store.ScanReply{Status: status, Config: referral(status, c)}, err
	}
	entries, more, _, err := r.page(shard, disk.Query{Prefix: req.Prefix, After: req.After, Limit: req.Limit})
	return store.ScanReply{Entries: entries, More: more}, err
}

// sync returns a page of the versions that a shard holds, for a member that
// catches up. All writes that were admitted under former epochs are in.
func (r *replica) sync(ctx context.Context, shard store.ShardID, epoch uint64, req store.SyncRequest) (store.SyncReply, error) {
	if err := r.learn(ctx, shard, req.Push); err != nil {
		return store.SyncReply{}, err
	}
	status, c, err := r.shards.enterSync(ctx, shard, req.Incarnation, epoch)
	if err != nil || status != store.StatusOK {
		return store.SyncReply{Status: status, Config: referral(status, c)}, err
	}
	fp, whole := r.disk.Fingerprint(shard), true
	var entries []store.Entry
	var more bool
	err = r.pace.step(ctx, func() (err error) {
		entries, more, whole, err = r.page(shard, disk.Query{After: req.After, Paths: paths(req.Paths), Bytes: req.Limit})
		return err
	})
	if !whole && len(c.Voters) > 1 {
		// Whoever catches up from here would take the gaps for the truth. Other
		// voters have the records, and this peer is getting them back.
		return store.SyncReply{}, errDamaged
	}
	return store.SyncReply{Fingerprint: fp, Entries: entries, More: more}, err
}

// paths returns a query's paths in order; nil for none.
func paths(asked []uint64) []uint64 {
	if len(asked) == 0 {
		return nil
	}
	return slices.Sorted(slices.Values(asked))
}

// nodes describes nodes of a shard's tree, for a replica that compares.
func (r *replica) nodes(ctx context.Context, shard store.ShardID, epoch uint64, req store.NodesRequest) (store.NodesReply, error) {
	if err := r.learn(ctx, shard, req.Push); err != nil {
		return store.NodesReply{}, err
	}
	status, c, err := r.shards.enterSync(ctx, shard, req.Incarnation, epoch)
	if err != nil || status != store.StatusOK {
		return store.NodesReply{Status: status, Config: referral(status, c)}, err
	}
	reply := store.NodesReply{Nodes: make([]store.Node, len(req.Nodes))}
	err = r.pace.step(ctx, func() error {
		return r.disk.Tree(ctx, shard, func(t *store.Tree) {
			for i, p := range req.Nodes {
				reply.Nodes[i] = t.Node(p)
			}
		})
	})
	return reply, err
}

// fetch returns the records of named keys.
func (r *replica) fetch(ctx context.Context, shard store.ShardID, epoch uint64, req store.FetchRequest) (store.FetchReply, error) {
	status, c, err := r.shards.enterSync(ctx, shard, req.Incarnation, epoch)
	if err != nil || status != store.StatusOK {
		return store.FetchReply{Status: status, Config: referral(status, c)}, err
	}
	var reply store.FetchReply
	err = r.pace.step(ctx, func() (err error) {
		reply, err = r.records(shard, req.Keys)
		return err
	})
	return reply, err
}

// records reads the first of named keys, as many as a reply may carry.
func (r *replica) records(shard store.ShardID, keys []string) (store.FetchReply, error) {
	var reply store.FetchReply
	budget := store.NewBudget(0)
	for _, key := range keys {
		ns, name := store.SplitKey(key)
		fits := true
		_, err := r.disk.View(shard, ns, name, func(v store.View) error {
			if fits = budget.Take(len(v.Raw())); fits {
				reply.Records = append(reply.Records, bytes.Clone(v.Raw()))
			}
			return nil
		})
		switch {
		case errors.Is(err, disk.ErrCorrupt):
			r.corrupt(shard) // other sources have it
		case err != nil:
			return store.FetchReply{}, err
		case !fits:
			return reply, nil
		}
		reply.Done++
	}
	return reply, nil
}

// page lists keys of a shard; whole is false if damaged records are left out.
func (r *replica) page(shard store.ShardID, q disk.Query) (entries []store.Entry, more, whole bool, err error) {
	whole = true
	for {
		p, err := r.disk.Scan(shard, q)
		if err != nil {
			return nil, false, false, err
		}
		if len(p.Corrupt) > 0 {
			whole = false
			r.corrupt(shard)
		}
		if len(p.Entries) > 0 || !p.More {
			return p.Entries, p.More, whole, nil
		}
		q.After = p.Last // a page of nothing but damaged records
	}
}

// vote answers a proposal for the successor of a configuration.
func (r *replica) vote(ctx context.Context, shard store.ShardID, p store.Proposal) (store.Vote, error) {
	var v store.Vote
	before := r.shards.config(shard).Epoch
	after, err := r.shards.update(ctx, shard, func(st *store.State) (changed bool, err error) {
		if p.Value.Epoch == 0 {
			v, changed, err = st.Prepare(r.shards.self, p)
		} else {
			v, changed, err = st.Accept(r.shards.self, p)
		}
		return changed, err
	})
	if after.Config.Epoch > before {
		r.moved(shard)
	}
	return v, err
}

var errDamaged = errors.New("records of the shard are damaged here and being restored")

// referral is the configuration that goes with a status.
func referral(s store.Status, c store.Config) store.Config {
	if s == store.StatusReferral {
		return c
	}
	return store.Config{}
}

// versions looks up what is held of the keys of entries: the zero Version where
// nothing is, or nothing whole.
func (r *replica) versions(shard store.ShardID, entries []store.Entry) ([]store.Version, error) {
	held := make([]store.Version, len(entries))
	for i, e := range entries {
		ns, name := store.SplitKey(e.Key)
		_, err := r.disk.View(shard, ns, name, func(v store.View) error {
			held[i] = v.Version()
			return nil
		})
		switch {
		case errors.Is(err, disk.ErrCorrupt):
			r.corrupt(shard) // the copy that comes may be older than what is lost
		case err != nil:
			return nil, err
		}
	}
	return held, nil
}
