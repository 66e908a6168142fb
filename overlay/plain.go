package overlay

import (
	"context"
	"fmt"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire"
)

// openPlain makes this peer's part in a ring of textbook Chord: the same core with
// one position a peer, where its ID says; successor lists and fingers, no table;
// round trips choose nothing, and nobody is asked beside a late one.
func (n *Node) openPlain() error {
	if !n.cfg.PlainChord {
		return nil
	}
	self := n.record.get()
	self.Indexes = []uint32{0}
	self, err := n.sign(self)
	if err != nil {
		return err
	}
	n.plain, err = newRing(n, wire.MethodChord, chord.Config{Ring: ringNumber(n.ring), TableSize: -1, Classic: true}, self, func() {})
	if err != nil {
		return err
	}
	n.host.OnDisconnect(n.plain.unreachable)
	return nil
}

// enterPlain joins the ring of textbook Chord that the contacts are in; without
// contacts it starts it.
func (n *Node) enterPlain(ctx context.Context, contacts []chord.PeerID) error {
	if n.plain == nil {
		return nil
	}
	err := n.plain.do(ctx, func(core *chord.Ring, now time.Time) chord.Output {
		if len(contacts) == 0 {
			return core.Create(now)
		}
		return core.Join(now, contacts)
	})
	if err != nil {
		return fmt.Errorf("enter plain ring: %w", err)
	}
	select {
	case <-n.plain.joined:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("enter plain ring: %w", ctx.Err())
	}
}

// plainOwner returns the owner of a position in a ring of textbook Chord that
// consists of the peers of a view.
func plainOwner(v *chord.View, target chord.ID) chord.PeerID {
	peers := make([]chord.Peer, 0, v.Len())
	for _, p := range v.Peers() {
		peers = append(peers, chord.Peer{ID: p.ID, Indexes: []uint32{0}})
	}
	return chord.NewView("", peers).Owner(target).ID
}
