package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/chorus-net/chorus/store"
)

// pullStats counts what was done to replicas since the start.
type pullStats struct {
	records   atomic.Uint64 // pulled and stored
	meta      atomic.Uint64 // bytes of the calls that found out which, both ways
	reclaimed atomic.Uint64 // dead records removed
}

// source is a voter to pull a shard from, under a configuration.
type source struct {
	id   store.ShardID
	by   goesBy
	from store.Voter
}

func sourceOf(id store.ShardID, c store.Config, from store.Voter) source {
	return source{id: id, by: goesBy{config: c, push: true}, from: from}
}

// pull makes this peer hold everything of a shard that a voter holds after a full key,
// "" being the start. With all, it compares every key even where the fingerprints agree.
// It returns the key from which one that was cut off may go on.
func (p *puller) pull(ctx context.Context, src source, after string, all bool) (reached string, err error) {
	local := p.n.disk.Fingerprint(src.id)
	if all {
		local = store.Fingerprint{}
	}
	pull := store.NewPull(src.id, p.n.ring.Shards, local, after).By(p.rules(src))
	err = p.drive(ctx, src, pull)
	if pull.Passed() > 0 {
		why := fmt.Errorf("%d records of %s are ahead of this peer's clock: %w", pull.Passed(), p.n.label(src.from.Peer), store.ErrSkew)
		return after, errors.Join(err, why)
	}
	return pull.Cursor(), err
}

// rules are those of a pull that begins now.
func (p *puller) rules(src source) store.Rules {
	state := p.n.shards.snapshot(src.id)
	return store.Rules{Now: time.Now(), Horizon: src.by.config.Horizon, Latest: max(believable(), state.Settled())}
}

// repair makes this peer hold everything of a shard that a voter holds, at the
// cost of what differs. Records that are ahead of this peer's clock are left.
func (p *puller) repair(ctx context.Context, src source) error {
	_, err := p.align(ctx, src)
	return err
}

// align is repair, and tells whether no record was left.
func (p *puller) align(ctx context.Context, src source) (whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	d := store.NewDiff()
	for len(d.Next()) > 0 {
		r, err := p.n.askNodes(ctx, src.from, src.id, src.by, store.NodesRequest{Nodes: d.Next()})
		src.by.push = false // it has the configuration now
		if err == nil {
			err = p.refusal(ctx, src.id, r.Status, r.Config)
		}
		if err != nil {
			return false, err
		}
		err = p.n.replica.pace.step(ctx, func() (bad error) {
			err := p.n.disk.Tree(ctx, src.id, func(mine *store.Tree) { bad = d.Answered(mine, r.Nodes) })
			return errors.Join(err, bad)
		})
		if err != nil {
			return false, err
		}
	}
	var pull *store.Pull
	switch {
	case d.Many():
		pull = store.NewPull(src.id, p.n.ring.Shards, p.n.disk.Fingerprint(src.id), "")
	case len(d.Paths()) == 0:
		return true, nil
	default:
		pull = store.NewRepair(src.id, p.n.ring.Shards, d.Paths())
	}
	err = p.drive(ctx, src, pull.By(p.rules(src)))
	return pull.Passed() == 0, err
}

// drive takes the steps of a pull to its end.
func (p *puller) drive(ctx context.Context, src source, pull *store.Pull) error {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		st := pull.Next()
		if st.Kind == store.PullDone {
			return nil
		}
		if err := p.step(ctx, src, pull, st); err != nil {
			return err
		}
	}
}

// step does what a pull wants next.
func (p *puller) step(ctx context.Context, src source, pull *store.Pull, st store.PullStep) error {
	switch st.Kind {
	case store.PullPage:
		r, err := p.n.askSync(ctx, src.from, src.id, src.by, st.Page)
		if err == nil {
			err = p.refusal(ctx, src.id, r.Status, r.Config)
		}
		if err != nil {
			return err
		}
		return pull.Paged(r)
	case store.PullCompare:
		return p.n.replica.pace.step(ctx, func() error {
			held, err := p.n.replica.versions(src.id, st.Entries)
			if err != nil {
				return err
			}
			return pull.Compared(held)
		})
	case store.PullFetch:
		r, err := p.n.askFetch(ctx, src.from, src.id, src.by, st.Fetch)
		if err == nil {
			err = p.refusal(ctx, src.id, r.Status, r.Config)
		}
		if err != nil {
			return err
		}
		return pull.Fetched(r)
	case store.PullStore:
		records := make([][]byte, 0, len(st.Records))
		for _, v := range st.Records {
			if err := checkRegister(v, true); err != nil {
				return fmt.Errorf("source handed over: %w", err)
			}
			if p.n.owned.check(v) == nil { // a forged one is as good as none
				records = append(records, v.Raw())
			}
		}
		for some := range slices.Chunk(records, stepRecords) {
			if err := p.n.replica.pace.step(ctx, func() error { return p.store(ctx, src, some) }); err != nil {
				return err
			}
			p.stats.records.Add(uint64(len(some)))
		}
		pull.Stored()
	case store.PullDone:
	}
	return nil
}

// store keeps what was pulled, if the shard is still at the epoch that it was
// pulled under: after that some of it may have been deleted and forgotten.
func (p *puller) store(ctx context.Context, src source, records [][]byte) error {
	status, c, pass, err := p.n.shards.enter(ctx, src.id, p.n.self.Incarnation, src.by.config.Epoch)
	if err == nil {
		err = p.refusal(ctx, src.id, status, c)
	}
	if err != nil {
		return err
	}
	defer p.n.shards.leave(src.id, pass)
	_, err = p.n.disk.ApplyMany(ctx, src.id, records)
	return err
}

// refusal is the error of a source that does not serve.
func (p *puller) refusal(ctx context.Context, id store.ShardID, s store.Status, c store.Config) error {
	if s == store.StatusOK {
		return nil
	}
	if err := p.n.replica.learn(ctx, id, c); err != nil {
		return err
	}
	return fmt.Errorf("source answered %s", s)
}
