package overlay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// Bounds of catching up.
const (
	pulling     = 16 // shards that one peer pulls at once
	repairing   = 8  // of them, those that a comparison found to differ
	pullTimeout = 5 * time.Minute
	// compareMost is how long repairs from one peer may take in a round: the others have
	// their turn, however slowly it answers.
	compareMost   = time.Minute
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
	stats pullStats

	abreast abreast

	mu      sync.Mutex
	catches map[store.ShardID]*catch
	damaged map[store.ShardID]uint64 // until it is restored: how often damage was found
}

func newPuller(n *Node) *puller {
	return &puller{
		n: n, slots: make(chan struct{}, pulling), wake: make(chan struct{}, 1),
		catches: make(map[store.ShardID]*catch),
		damaged: make(map[store.ShardID]uint64),
	}
}

// damage notes that records of a shard cannot be read: they are fetched from
// other replicas.
func (p *puller) damage(id store.ShardID) {
	p.mu.Lock()
	p.damaged[id]++
	p.mu.Unlock()
	p.kick()
}

// isDamaged reports whether a shard has records here that could not be read, and have not
// been fetched since.
func (p *puller) isDamaged(id store.ShardID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.damaged[id] > 0
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

// restoreDamaged fetches what cannot be read here. A shard stays damaged until all its other
// voters have been asked for all that they hold: nothing else tells of what lies damaged,
// since the fingerprint counts it.
func (p *puller) restoreDamaged(ctx context.Context) {
	p.mu.Lock()
	damaged := maps.Clone(p.damaged)
	p.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(damaged)) {
		if err := p.restore(ctx, id); err != nil {
			p.n.log.Warn("restore damaged shard", "shard", id, "err", err)
			continue
		}
		p.mu.Lock()
		if p.damaged[id] == damaged[id] { // and no more was found meanwhile
			delete(p.damaged, id)
		}
		p.mu.Unlock()
	}
}

// restore pulls all of a shard from its other voters.
func (p *puller) restore(ctx context.Context, id store.ShardID) error {
	c := p.n.shards.config(id)
	if !c.IsMember(p.n.self) {
		return nil // it goes with all the rest
	}
	ctx, cancel := context.WithTimeout(ctx, compareMost)
	defer cancel()
	var errs error
	for _, v := range c.Voters {
		if v == p.n.self {
			continue
		}
		if _, err := p.pull(ctx, sourceOf(id, c, v), "", true); err != nil {
			errs = errors.Join(errs, fmt.Errorf("pull from %s: %w", p.n.label(v.Peer), err))
		}
	}
	return errs
}

// compareAll compares fingerprints with every peer that shares a shard, and
// pulls where they differ.
func (p *puller) compareAll(ctx context.Context) {
	shared := make(map[chord.PeerID][]store.ShardID)
	view := p.n.view()
	for id := range p.n.shards.all() {
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
	p.n.spreadForgotten(ctx, peers)
	for _, peer := range peers {
		if ctx.Err() != nil {
			return
		}
		if err := p.compareShared(ctx, peer, shared[peer]); err != nil {
			p.n.log.Debug("compare shards", "peer", p.n.label(peer), "err", err)
		}
	}
}

// compareShared compares all shards that a peer shares, for as long as its turn is. What it
// did not get to has another round soon.
func (p *puller) compareShared(ctx context.Context, peer chord.PeerID, shared []store.ShardID) error {
	ctx, cancel := context.WithTimeout(ctx, compareMost)
	defer cancel()
	for ids := range slices.Chunk(shared, store.MaxInfos) {
		if err := p.compare(ctx, peer, ids); err != nil {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				p.kick()
			}
			return err
		}
	}
	return nil
}

// compare compares shards with one peer, twice if they differ: writes under way
// reach replicas at different times.
func (p *puller) compare(ctx context.Context, peer chord.PeerID, ids []store.ShardID) error {
	for again := range 2 {
		if again > 0 && !sleep(ctx, settleFor) {
			return ctx.Err()
		}
		began := time.Now()
		ours, configs := make([]store.ShardInfo, len(ids)), make(map[store.ShardID]store.Config, len(ids))
		for i, id := range ids {
			configs[id] = p.n.shards.config(id)
			ours[i] = store.ShardInfo{Shard: id, Epoch: configs[id].Epoch, Fingerprint: p.n.disk.Fingerprint(id)}
		}
		ctx, cancel := context.WithTimeout(ctx, pullCall)
		theirs, err := p.n.askFingerprints(ctx, peer, ours)
		cancel()
		if err != nil {
			return err
		}
		differ := ids[:0:0]
		for _, info := range theirs {
			c, asked := configs[info.Shard]
			isPeer := func(v store.Voter) bool { return v.Peer == peer }
			votes := slices.ContainsFunc(info.Config.Voters, isPeer)
			same := info.Fingerprint == p.n.disk.Fingerprint(info.Shard)
			if !same || !votes || info.Config.Epoch != c.Epoch {
				delete(configs, info.Shard)
			}
			if asked && votes && !same {
				differ = append(differ, info.Shard)
			}
		}
		for id, c := range configs {
			p.abreast.note(id, c, peer, began)
		}
		if ids = differ; len(ids) == 0 {
			return nil
		}
	}
	return p.repairAll(ctx, peer, ids)
}

// repairAll pulls what a peer has and this one has not, of several shards at a
// time.
func (p *puller) repairAll(ctx context.Context, peer chord.PeerID, ids []store.ShardID) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		errs  error
		slots = make(chan struct{}, repairing)
	)
	for _, id := range ids {
		c := p.n.shards.config(id)
		i := slices.IndexFunc(c.Voters, func(v store.Voter) bool { return v.Peer == peer })
		if i < 0 {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return errors.Join(errs, ctx.Err())
		}
		wg.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			whole, err := p.align(ctx, sourceOf(id, c, c.Voters[i]))
			switch {
			case err != nil:
				mu.Lock()
				errs = errors.Join(errs, fmt.Errorf("shard %d: %w", id, err))
				mu.Unlock()
			case whole:
				p.abreast.note(id, c, peer, began)
			}
		})
	}
	wg.Wait()
	return errs
}
