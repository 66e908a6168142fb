package overlay

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store/disk"
)

// Names of what the disk keeps of the peer's positions.
const (
	metaIndexes = "ring/indexes" // 4 bytes each
	metaWeight  = "ring/weight"  // they were chosen by, 4 bytes; without it chord.DefaultWeight
)

// positions returns the peer's position indexes and its weight: those on disk, whatever
// the settings say now, since keys lie by them; or, for a new peer, as many as the
// settings say, which suit the ring that a contact shows. They are kept before they are used.
func (n *Node) positions(ctx context.Context, contacts []bootstrap.Contact) (indexes []uint32, weight uint32, err error) {
	indexes, weight, err = loadPositions(n.disk)
	if err != nil {
		return nil, 0, diskError(err)
	}
	if len(indexes) > 0 {
		if n.cfg.Weight != 0 && n.cfg.weight() != weight {
			n.log.Warn("weight not changed: a peer keeps the positions of its first start", "weight", weight, "asked", n.cfg.Weight)
		}
		return indexes, weight, nil
	}
	weight = n.cfg.weight()
	view := chord.NewView(n.self.Peer, n.askPeers(ctx, contacts))
	indexes = chord.NewIndexes(view, n.self.Peer, chord.WeightedPositions(n.cfg.Positions, weight))
	return indexes, weight, diskError(savePositions(ctx, n.disk, indexes, weight))
}

// loadPositions returns no indexes if there are none yet.
func loadPositions(d *disk.Store) (indexes []uint32, weight uint32, err error) {
	b, found, err := d.GetMeta(metaIndexes)
	if err != nil || !found || len(b)%4 != 0 {
		return nil, 0, err
	}
	for ; len(b) > 0; b = b[4:] {
		indexes = append(indexes, binary.BigEndian.Uint32(b))
	}
	b, found, err = d.GetMeta(metaWeight)
	switch {
	case err != nil:
		return nil, 0, err
	case !found:
		return indexes, chord.DefaultWeight, nil
	case len(b) != 4:
		return nil, 0, fmt.Errorf("weight of %d bytes: %w", len(b), disk.ErrCorrupt)
	}
	return indexes, binary.BigEndian.Uint32(b), nil
}

// savePositions keeps the weight first: without indexes it means nothing.
func savePositions(ctx context.Context, d *disk.Store, indexes []uint32, weight uint32) error {
	if err := d.PutMeta(ctx, metaWeight, binary.BigEndian.AppendUint32(nil, weight)); err != nil {
		return err
	}
	var b []byte
	for _, i := range indexes {
		b = binary.BigEndian.AppendUint32(b, i)
	}
	return d.PutMeta(ctx, metaIndexes, b)
}
