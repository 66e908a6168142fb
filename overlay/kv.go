package overlay

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// Put stores value, of at most 512 KiB (see PutStream for more), under key, of
// the form "namespace/name" or "name". When it
// returns without an error, as many voters of the key's shard as the level asks
// for have the record on stable storage; the receipt names them.
//
// An error with ErrQuorum leaves open whether the write happened: some
// replicas may have it. It comes at once where too many are out of reach; those
// that are silent are waited for until the context's deadline, or for 5 s if it has
// none. That goes for all operations on keys; where the context has no deadline, a guest
// waits for the member that carries them out for up to 20 s.
func (n *Node) Put(ctx context.Context, key string, value []byte, opts ...PutOption) (Receipt, error) {
	if n.guest != nil {
		return n.guest.client.Put(ctx, key, value, opts...)
	}
	if len(value) > store.MaxValue {
		return Receipt{}, tooLarge(key, strconv.Itoa(len(value)), store.MaxValue)
	}
	return n.put(ctx, key, store.Record{Value: value}, opts)
}

// Delete removes key: it writes a tombstone, which wins over all older
// versions. Deleting what is not there is no error.
func (n *Node) Delete(ctx context.Context, key string, opts ...PutOption) (Receipt, error) {
	if n.guest != nil {
		return n.guest.client.Delete(ctx, key, opts...)
	}
	return n.put(ctx, key, store.Record{Tombstone: true}, opts)
}

func (n *Node) put(ctx context.Context, key string, rec store.Record, opts []PutOption) (Receipt, error) {
	ns, name := store.SplitKey(key)
	if err := checkKey(ns, name); err != nil {
		return Receipt{}, err
	}
	o := client.NewPutOptions(opts...)
	write := n.write
	if o.W == client.LevelSloppy {
		if rec.Large {
			return Receipt{}, sloppyLarge(key)
		}
		o.W, write = client.LevelQuorum, n.writeSloppy
	}
	level, expires, err := n.writeOptions(ctx, ns, o)
	if err != nil {
		return Receipt{}, fmt.Errorf("put %q: %w", key, err)
	}
	rec.Namespace, rec.Key, rec.Position = ns, name, store.Route(ns, name)
	if !rec.Tombstone {
		rec.Expires = expires
	}
	return write(ctx, ns, rec, level)
}

// write runs the quorum write of a record that lacks only its version, where the N of
// the namespace rule has it.
func (n *Node) write(ctx context.Context, rule string, rec store.Record, level store.Level) (Receipt, error) {
	return n.writing(ctx, rule, rec, func(ctx context.Context, p *place, rec *store.Record) (Receipt, error) {
		for short := error(nil); ; {
			w := new(store.Write)
			why, err := n.runWrite(ctx, w, p, rec, level)
			if err == nil {
				return n.receipt(p.key, w), nil
			}
			if !errors.Is(err, ErrQuorum) {
				if errors.Is(err, context.DeadlineExceeded) && short != nil {
					err = short // which says more
				}
				return Receipt{}, err
			}
			short = n.unanswered(ctx, p.verb, p.key, &w.Quorum, why)
			if err := n.again(ctx, p, &w.Quorum, why); err != nil {
				return Receipt{}, err
			}
		}
	})
}

// writing has run write a record at its place. It counts that, and bounds it.
func (n *Node) writing(ctx context.Context, rule string, rec store.Record, run func(context.Context, *place, *store.Record) (Receipt, error)) (_ Receipt, err error) {
	op := "put"
	if rec.Tombstone {
		op = "delete"
	}
	defer n.meter.end(op, n.meter.begin(), &err)
	ctx, cancel := bounded(ctx)
	defer cancel()
	p, err := n.find(ctx, op, rule, store.JoinKey(rec.Namespace, rec.Key), rec.Position)
	if err != nil {
		return Receipt{}, err
	}
	return run(ctx, p, &rec)
}

// runWrite writes under a configuration and those that replicas refer to.
// Where that fails for want of answers, why is the first that was missing.
func (n *Node) runWrite(ctx context.Context, w *store.Write, p *place, rec *store.Record, level store.Level) (why, err error) {
	if err := n.stamp(ctx, rec); err != nil {
		return nil, err
	}
	encoded := rec.AppendTo(make([]byte, 0, rec.Size()))
	w.Believe(believable())
	shard := p.shard
	// The record of a round is fixed: one of an earlier round may still wait to
	// be sent when the record is stamped anew.
	ask := func(encoded []byte) ask[store.WriteReply] {
		return func(to store.Voter, by goesBy, s slot[store.WriteReply]) error {
			return n.outboxes.send(to, shard, by, encoded, s)
		}
	}
	st := w.Start(p.config, level, rec.Version)
	for {
		end, why := runOp(ctx, n, w, st, ask(encoded), 0, nil)
		n.remember(shard, p.config, w.Config())
		switch end {
		case store.Done:
			return nil, nil
		case store.Stamp:
			if err := n.clock.observe(w.Newest()); err != nil {
				return nil, fmt.Errorf("put %q: %w", rec.Key, err)
			}
			if err := n.stamp(ctx, rec); err != nil {
				return nil, err
			}
			encoded = rec.AppendTo(make([]byte, 0, rec.Size()))
			st = w.Again(rec.Version)
		default:
			return why, ErrQuorum
		}
	}
}

// believable returns the clock up to which this peer believes in versions.
func believable() uint64 { return store.ClockAt(time.Now().Add(store.DefaultSkew)) }

// stamp gives a record the next version and dot of this peer, and its signature if it needs
// one.
func (n *Node) stamp(ctx context.Context, rec *store.Record) error {
	t, err := n.clock.next(ctx)
	if err != nil {
		return fmt.Errorf("issue a version: %w", n.orClosed(err))
	}
	rec.Version = store.Version{Clock: t, Writer: n.self.Incarnation}
	rec.Dot = store.Dot{Actor: n.self.Incarnation, Counter: t}
	return n.owned.sign(ctx, rec)
}

func (n *Node) receipt(key string, w *store.Write) Receipt {
	need, of := w.Need()
	r := Receipt{Key: key, Version: w.Version().String(), Hints: []string{}, W: need, N: of, Epoch: w.Config().Epoch}
	r.Acks = make([]client.Ack, 0, of)
	for i := range w.Acks().All() {
		ack := client.Ack{Peer: n.label(w.Member(i).Peer), Synced: w.Synced().Has(i)}
		if i < of { // members are voters first
			r.Acks = append(r.Acks, ack)
		} else {
			r.Joining = append(r.Joining, ack)
		}
	}
	return r
}

// Get reads the newest version of key that as many voters as the level asks
// for hold. The error is ErrNotFound if there is none, or if it was deleted or
// has expired, and ErrTooLarge if it is larger than 512 KiB: GetStream reads
// those.
func (n *Node) Get(ctx context.Context, key string, opts ...GetOption) (Record, error) {
	if n.guest != nil {
		return n.guest.client.Get(ctx, key, opts...)
	}
	ns, name := store.SplitKey(key)
	if err := checkKey(ns, name); err != nil {
		return Record{}, err
	}
	level, err := n.readLevel(ctx, ns, client.NewGetOptions(opts...))
	if err != nil {
		return Record{}, fmt.Errorf("get %q: %w", key, err)
	}
	rec, err := n.read(ctx, ns, name, level)
	if err == nil && rec.Large {
		return Record{}, largeValue(key)
	}
	return rec, err
}

// read is a get that is counted as one.
func (n *Node) read(ctx context.Context, ns, name string, level store.Level) (_ Record, err error) {
	defer n.meter.end("get", n.meter.begin(), &err)
	return n.lookUp(ctx, ns, name, level)
}

// lookUp runs the quorum read of a key.
func (n *Node) lookUp(ctx context.Context, ns, name string, level store.Level) (Record, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	key := store.JoinKey(ns, name)
	p, err := n.find(ctx, "get", ruling(ns, name), key, store.Route(ns, name))
	if err != nil {
		return Record{}, err
	}
	r := new(store.Read)
	r.Believe(believable())
	for {
		shard := p.shard
		ask := apart(n, func(ctx context.Context, to store.Voter, by goesBy) (store.ReadReply, error) {
			by.brief = by.brief && !store.IsOwned(ns) // what is not shown cannot be checked
			reply, err := n.askRead(ctx, to, shard, by, ns, name)
			if err == nil {
				err = n.owned.checkReply(ns, reply)
			}
			return reply, err
		})
		st := r.Start(p.config, level, ns, name, n.near)
		end, why := runOp(ctx, n, r, st, ask, n.hedgeAfter(p.config), r.Hedge)
		n.remember(shard, p.config, r.Config())
		if end == store.Done {
			rec, found, err := n.foundRecord(key, r)
			n.repairStale(shard, r)
			if err == nil && !found {
				err = notFound(key)
			}
			return rec, err
		}
		if err := n.again(ctx, p, &r.Quorum, why); err != nil {
			return Record{}, err
		}
	}
}

// foundRecord returns what a finished read found; found is false for a key that is
// not there any more.
func (n *Node) foundRecord(key string, r *store.Read) (rec Record, found bool, err error) {
	encoded, version := r.Result()
	if version.IsZero() {
		return Record{}, false, nil
	}
	v, err := store.OpenRecord(encoded)
	if err != nil {
		return Record{}, false, fmt.Errorf("get %q: %w", key, err)
	}
	if !v.Live(time.Now()) {
		return Record{}, false, nil
	}
	rec = Record{
		Key: key, Value: v.Value(), Size: int64(len(v.Value())), Large: v.Large(),
		Version: version.String(), Replies: r.Acks().Len(),
	}
	if at := v.Expires(); at != 0 {
		rec.Expires = time.UnixMilli(at)
	}
	for _, voter := range r.Config().Voters {
		rec.Holders = append(rec.Holders, n.label(voter.Peer))
	}
	return rec, true, nil
}

// repairStale passes the record that a read found on to the replicas that
// answered with an older one, in the background.
func (n *Node) repairStale(shard store.ShardID, r *store.Read) {
	stale := r.Stale()
	encoded, _ := r.Result()
	if stale == 0 || len(encoded) == 0 {
		return
	}
	by := goesBy{config: r.Config()}
	for i := range stale.All() {
		to := r.Member(i)
		n.group.start(func() {
			ctx, cancel := context.WithTimeout(n.ctx, opTimeout)
			defer cancel()
			// A replica that cannot be repaired now is found by the next
			// comparison of the shard's replicas.
			if _, err := n.askWrite(ctx, to, shard, by, encoded, true); err != nil {
				n.log.Debug("read repair", "peer", n.label(to.Peer), "err", err)
			}
		})
	}
}
