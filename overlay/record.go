package overlay

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/wire"
)

const (
	defaultWeight = 100 // the share of keys of a peer that says nothing about it
	maxAddrs      = 16  // in a record
)

// makeRecord makes this peer's signed record. Its sequence number is the time,
// so that it grows over restarts too.
func (n *Node) makeRecord(ctx context.Context, contacts []bootstrap.Contact) (chord.Peer, error) {
	indexes, err := n.indexes(ctx, contacts)
	if err != nil {
		return chord.Peer{}, err
	}
	addrs := n.host.Addrs()
	n.record, err = n.sign(chord.Peer{
		ID: n.self.Peer, Incarnation: n.self.Incarnation, Indexes: indexes, Weight: defaultWeight,
		Name: n.Name(), Addrs: addrs[:min(len(addrs), maxAddrs)],
	})
	return n.record, err
}

// sign gives a record its sequence number and signature.
func (n *Node) sign(p chord.Peer) (chord.Peer, error) {
	p.Seq = uint64(time.Now().UnixMilli())
	record, err := wire.SignPeer(p, nil, n.host.Sign)
	if err != nil {
		return chord.Peer{}, fmt.Errorf("sign own record: %w", err)
	}
	p.Record = record
	return p, nil
}

// publish announces another record of this peer.
func (n *Node) publish(ctx context.Context, p chord.Peer) error {
	p, err := n.sign(p)
	if err != nil {
		return err
	}
	return n.members.do(ctx, func(core *chord.Ring, now time.Time) chord.Output { return core.Announce(now, p) })
}

// ringNumber is the number that the ring core tells rings apart by.
func ringNumber(r bootstrap.Ring) uint64 { return binary.BigEndian.Uint64(r.ID[:8]) }

// verified drops the records whose signatures do not hold.
func (n *Node) verified(peers []chord.Peer) []chord.Peer {
	return slices.DeleteFunc(peers, func(p chord.Peer) bool { return !n.signatures.valid(p.Record) })
}

// maxSignatures bounds the records whose signatures are known to hold.
const maxSignatures = 8192

// signatures remembers which signed records were checked: the same ones come
// with every other message of the ring, and a check takes 60 microseconds.
type signatures struct {
	mu   sync.Mutex
	good map[string]struct{}
}

func (s *signatures) valid(record []byte) bool {
	key := string(record)
	s.mu.Lock()
	_, known := s.good[key]
	s.mu.Unlock()
	if known {
		return true
	}
	if wire.VerifyPeer(record, p2p.Verify) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good == nil || len(s.good) >= maxSignatures {
		s.good = make(map[string]struct{})
	}
	s.good[key] = struct{}{}
	return true
}
