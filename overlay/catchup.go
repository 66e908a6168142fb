package overlay

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/chorus-net/chorus/store"
)

// catch is how far this peer has synchronised as a member of a configuration.
type catch struct {
	epoch   uint64
	from    []store.Voter
	reached map[store.Voter]string // of the others: the key up to which all that they hold is here
	running bool
	done    chan struct{} // closed when it has stopped running
}

func newCatch(c store.Config) *catch {
	return &catch{epoch: c.Epoch, reached: make(map[store.Voter]string)}
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
		k = newCatch(c)
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
	if k == nil || !k.running {
		p.mu.Unlock()
		return
	}
	done := k.done // the next one that runs has another
	p.mu.Unlock()
	t := time.NewTimer(catchPatience)
	defer t.Stop()
	select {
	case <-done:
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
		// What this voter took under former epochs was there when the first of these
		// pulls began; what it takes since, a quorum of the new voters has too.
		reached, err := p.pull(p.n.ctx, sourceOf(id, c, v), k.reached[v], false)
		k.reached[v] = reached
		if err != nil {
			level := slog.LevelDebug
			if errors.Is(err, store.ErrSkew) {
				level = slog.LevelWarn // it will not get better by itself
			}
			p.n.log.Log(p.n.ctx, level, "catch up", "shard", id, "peer", p.n.label(v.Peer), "err", err)
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
