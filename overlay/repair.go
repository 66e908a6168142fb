package overlay

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// Bounds of catching up.
const (
	pulling       = 16 // shards that one peer pulls at once
	pullTimeout   = 5 * time.Minute
	pullCall      = 10 * time.Second
	catchPatience = 250 * time.Millisecond
	settleFor     = 200 * time.Millisecond // writes under way make replicas differ for this long
)

// puller brings this peer's shards up to what others hold: as a new voter, which
// counts only once it has, and in the background, because a replica may have
// missed writes.
type puller struct {
	n     *Node
	slots chan struct{}
	wake  chan struct{} // holds a token while a comparison is wanted at once

	mu      sync.Mutex
	catches map[store.ShardID]*catch
	damaged map[store.ShardID]bool
}

// catch is how far this peer has synchronised as a member of a configuration.
type catch struct {
	epoch   uint64
	from    []store.Voter
	running bool
	done    chan struct{} // closed when it has stopped running
}

func newPuller(n *Node) *puller {
	return &puller{
		n: n, slots: make(chan struct{}, pulling), wake: make(chan struct{}, 1),
		catches: make(map[store.ShardID]*catch),
		damaged: make(map[store.ShardID]bool),
	}
}

// synced returns the voters of which this peer holds everything, under the
// shard's configuration c.
func (p *puller) synced(id store.ShardID, c store.Config) []store.Voter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.catches[id]; k != nil && k.epoch == c.Epoch {
		return slices.Clone(k.from)
	}
	return nil
}

// catchUp starts to synchronise from the voters of c if c asks that of this
// peer and nobody is at it.
func (p *puller) catchUp(id store.ShardID, c store.Config) {
	if c.SyncSources(p.n.self) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.catches[id]
	if k == nil || k.epoch != c.Epoch {
		k = &catch{epoch: c.Epoch}
		p.catches[id] = k
	}
	if k.running || c.Synced(p.n.self, k.from) {
		return
	}
	k.done = make(chan struct{})
	k.running = p.n.group.start(func() { p.catchFrom(id, c, k) })
}

// await waits a little for a catch-up under way: with little to catch up on, who
// asks how far it is need not ask twice.
func (p *puller) await(ctx context.Context, id store.ShardID) {
	p.mu.Lock()
	k := p.catches[id]
	running := k != nil && k.running
	p.mu.Unlock()
	if !running {
		return
	}
	t := time.NewTimer(catchPatience)
	defer t.Stop()
	select {
	case <-k.done:
	case <-t.C:
	case <-ctx.Done():
	}
}

// catchFrom pulls from one voter after the other until enough are done.
func (p *puller) catchFrom(id store.ShardID, c store.Config, k *catch) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		k.running = false
		close(k.done)
	}()
	for _, v := range c.Voters {
		if v == p.n.self || slices.Contains(p.synced(id, c), v) {
			continue
		}
		if err := p.pull(p.n.ctx, id, c, v, false); err != nil {
			p.n.log.Debug("catch up", "shard", id, "peer", p.n.label(v.Peer), "err", err)
			continue
		}
		p.mu.Lock()
		k.from = append(k.from, v)
		enough := c.Synced(p.n.self, k.from)
		p.mu.Unlock()
		if enough {
			return
		}
	}
}

// pull makes this peer hold everything of a shard that a voter holds. With
// all, it compares every key even where the fingerprints agree.
func (p *puller) pull(ctx context.Context, id store.ShardID, c store.Config, from store.Voter, all bool) error {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	local := p.n.disk.Fingerprint(id)
	if all {
		local = store.Fingerprint{}
	}
	pull := store.NewPull(id, p.n.ring.Shards, local, "")
	by := goesBy{config: c, push: true}
	for {
		st := pull.Next()
		if st.Kind == store.PullDone {
			return nil
		}
		if err := p.step(ctx, id, by, from, pull, st); err != nil {
			return err
		}
	}
}

// step does what a pull wants next.
func (p *puller) step(ctx context.Context, id store.ShardID, by goesBy, from store.Voter, pull *store.Pull, st store.PullStep) error {
	switch st.Kind {
	case store.PullPage:
		r, err := p.n.askSync(ctx, from, id, by, st.Page)
		if err == nil {
			err = p.refusal(ctx, id, r.Status, r.Config)
		}
		if err != nil {
			return err
		}
		return pull.Paged(r)
	case store.PullCompare:
		held, err := p.n.replica.versions(id, st.Entries)
		if err != nil {
			return err
		}
		return pull.Compared(held)
	case store.PullFetch:
		r, err := p.n.askFetch(ctx, from, id, by, st.Fetch)
		if err == nil {
			err = p.refusal(ctx, id, r.Status, r.Config)
		}
		if err != nil {
			return err
		}
		return pull.Fetched(r)
	case store.PullStore:
		records := make([][]byte, len(st.Records))
		for i, v := range st.Records {
			records[i] = v.Raw()
		}
		if _, err := p.n.disk.ApplyMany(ctx, id, records); err != nil {
			return err
		}
		pull.Stored()
	case store.PullDone:
	}
	return nil
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

// damage notes that records of a shard cannot be read: they are fetched from
// other replicas.
func (p *puller) damage(id store.ShardID) {
	p.mu.Lock()
	p.damaged[id] = true
	p.mu.Unlock()
	p.kick()
}

// kick asks for a comparison with the other replicas soon.
func (p *puller) kick() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run compares this peer's shards with their other replicas, at once and then
// every RepairEvery, until the context ends.
func (p *puller) run(ctx context.Context) {
	for {
		p.restoreDamaged(ctx)
		p.compareAll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			if !sleep(ctx, settleFor) {
				return
			}
		case <-time.After(p.n.cfg.RepairEvery):
		}
	}
}

func (p *puller) restoreDamaged(ctx context.Context) {
	p.mu.Lock()
	damaged := p.damaged
	p.damaged = make(map[store.ShardID]bool)
	p.mu.Unlock()
	for id := range damaged {
		c := p.n.shards.config(id)
		for _, v := range c.Voters {
			if v == p.n.self {
				continue
			}
			if err := p.pull(ctx, id, c, v, true); err != nil {
				p.n.log.Warn("restore damaged shard", "shard", id, "peer", p.n.label(v.Peer), "err", err)
			}
		}
	}
}

// compareAll compares fingerprints with every peer that shares a shard, and
// pulls where they differ.
func (p *puller) compareAll(ctx context.Context) {
	shared := make(map[chord.PeerID][]store.ShardID)
	view := p.n.view()
	for i := range p.n.shards.list {
		id := store.ShardID(i)
		c := p.n.shards.config(id)
		if !c.Stable() || !c.IsVoter(p.n.self) {
			continue
		}
		for _, v := range c.Voters {
			if _, ok := view.Peer(v.Peer); ok && v != p.n.self {
				shared[v.Peer] = append(shared[v.Peer], id)
			}
		}
	}
	peers := make([]chord.PeerID, 0, len(shared))
	for peer := range shared {
		peers = append(peers, peer)
	}
	slices.Sort(peers)
	for _, peer := range peers {
		for ids := range slices.Chunk(shared[peer], store.MaxInfos) {
			if ctx.Err() != nil {
				return
			}
			if err := p.compare(ctx, peer, ids); err != nil {
				p.n.log.Debug("compare shards", "peer", p.n.label(peer), "err", err)
				break
			}
		}
	}
}

// compare compares shards with one peer, twice if they differ: writes under way
// reach replicas at different times.
func (p *puller) compare(ctx context.Context, peer chord.PeerID, ids []store.ShardID) error {
	for again := range 2 {
		if again > 0 && !sleep(ctx, settleFor) {
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(ctx, pullCall)
		theirs, err := p.n.askFingerprints(ctx, peer, ids)
		cancel()
		if err != nil {
			return err
		}
		differ := ids[:0:0]
		for _, info := range theirs {
			if slices.Contains(ids, info.Shard) && info.Fingerprint != p.n.disk.Fingerprint(info.Shard) {
				differ = append(differ, info.Shard)
			}
		}
		if ids = differ; len(ids) == 0 {
			return nil
		}
	}
	for _, id := range ids {
		c := p.n.shards.config(id)
		i := slices.IndexFunc(c.Voters, func(v store.Voter) bool { return v.Peer == peer })
		if i < 0 {
			continue
		}
		if err := p.pull(ctx, id, c, c.Voters[i], false); err != nil {
			return err
		}
	}
	return nil
}
