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

const maxAddrs = 16 // in a record

// addrsEvery is the least time between two records that differ in addresses.
const addrsEvery = 5 * time.Second

// ownRecord is what this peer says of itself: its signed record.
type ownRecord struct {
	moved  chan struct{} // holds a token while the peer's addresses may be others
	weight uint32        // of the record, unless the peer leaves

	mu sync.Mutex
	p  chord.Peer
}

func (r *ownRecord) get() chord.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.p
}

// makeRecord makes this peer's record. Before that it finds out whether the peers that it
// joins by can reach it. Its sequence number is the time, so that it grows over restarts too.
func (n *Node) makeRecord(ctx context.Context, contacts []bootstrap.Contact) (chord.Peer, error) {
	n.host.Settle(ctx, n.introduceContacts(contacts))
	indexes, weight, err := n.positions(ctx, contacts)
	if err != nil {
		return chord.Peer{}, err
	}
	n.record.weight = weight
	n.record.p, err = n.sign(chord.Peer{
		ID: n.self.Peer, Incarnation: n.self.Incarnation, Indexes: indexes, Weight: weight,
		Name: n.Name(), Addrs: n.recordAddrs(),
	})
	return n.record.p, err
}

func (n *Node) recordAddrs() []string {
	addrs := n.host.Addrs()
	return addrs[:min(len(addrs), maxAddrs)]
}

// sign gives a record its sequence number and signature.
func (n *Node) sign(p chord.Peer) (chord.Peer, error) {
	p.Seq = max(p.Seq+1, uint64(time.Now().UnixMilli()))
	record, err := wire.SignPeer(p, nil, n.host.Sign)
	if err != nil {
		return chord.Peer{}, fmt.Errorf("sign own record: %w", err)
	}
	p.Record = record
	return p, nil
}

// publish changes this peer's record and announces it. Of two at once the later has both
// changes, and the ring takes no older one after it.
func (n *Node) publish(ctx context.Context, change func(*chord.Peer)) error {
	p, err := n.changeRecord(change)
	if err != nil {
		return err
	}
	return n.members.do(ctx, func(core *chord.Ring, now time.Time) chord.Output { return core.Announce(now, p) })
}

func (n *Node) changeRecord(change func(*chord.Peer)) (chord.Peer, error) {
	n.record.mu.Lock()
	defer n.record.mu.Unlock()
	p := n.record.p
	change(&p)
	p, err := n.sign(p)
	if err == nil {
		n.record.p = p
	}
	return p, err
}

// announceAddrs tells the ring where else this peer is reached now: relays come and go.
func (n *Node) announceAddrs(ctx context.Context) {
	paced(ctx, n.record.moved, func() time.Duration {
		addrs := n.recordAddrs()
		if slices.Equal(addrs, n.record.get().Addrs) {
			return 0
		}
		if err := n.publish(ctx, func(p *chord.Peer) { p.Addrs = addrs }); err != nil && ctx.Err() == nil {
			n.log.Warn("announce addresses", "err", err)
		}
		return addrsEvery
	})
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
