package overlay

import (
	"context"
	"fmt"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// maxSalvageAsked bounds the peers that are asked for a newer configuration before a
// shard is forced: those that come first from its first position on.
const maxSalvageAsked = 64

// salvage lets a shard go on with its survivors, by force: see store.Salvage.
func (m *mover) salvage(ctx context.Context, id store.ShardID, c store.Config, plan store.Plan) error {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	if newer, err := m.askAll(ctx, id, c); newer || err != nil {
		return err
	}
	for _, v := range plan.Await {
		if err := m.n.puller.repair(ctx, sourceOf(id, c, v)); err != nil {
			return fmt.Errorf("pull from %s: %w", m.n.label(v.Peer), err)
		}
	}
	m.n.log.Warn("shard is forced: what the voters that are left do not hold is lost",
		"shard", id, "epoch", c.Epoch, "voters", len(c.Members()), "left", 1+len(plan.Await))
	if !m.decide(ctx, id, c, plan.Value) {
		return errNotDecided
	}
	return nil
}

// askAll asks the peers of the ring whether they know a newer configuration than c,
// learns it if one does, and fails if one does not answer: it might.
func (m *mover) askAll(ctx context.Context, id store.ShardID, c store.Config) (newer bool, err error) {
	peers := m.n.view().Successors(store.ShardStart(id, m.n.ring.Shards), maxSalvageAsked)
	type answer struct {
		peer  chord.PeerID
		infos []store.ShardInfo
		err   error
	}
	answers := make(chan answer, len(peers))
	for _, p := range peers {
		if !m.n.group.start(func() {
			if p.ID == m.n.self.Peer {
				answers <- answer{peer: p.ID}
				return
			}
			ctx, cancel := context.WithTimeout(ctx, configTimeout)
			defer cancel()
			infos, err := m.n.askConfigs(ctx, p.ID, []store.ShardID{id})
			answers <- answer{p.ID, infos, err}
		}) {
			return false, ErrClosed
		}
	}
	for range peers {
		a := <-answers
		if a.err != nil {
			err = fmt.Errorf("ask %s for its configuration: %w", m.n.label(a.peer), a.err)
		}
		for _, info := range a.infos {
			if info.Shard == id && info.Config.Epoch > c.Epoch {
				m.n.remember(id, c, info.Config)
				newer = true
			}
		}
	}
	return newer, err
}
