package overlay

import (
	"context"
	"maps"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
)

const (
	rttEvery  = 5 * time.Second        // the scheduler hears of round trips this often
	bookEvery = 5 * time.Second        // time between two savings of the book,
	bookSoon  = 200 * time.Millisecond // while it is short
	bookShort = 16
	maxFormer = 512         // peers that are remembered after they dropped out of the view
	joinPing  = time.Second // contacts have this long to answer
)

// peersSeen is which peers the view showed when they were last looked at.
type peersSeen struct {
	wake  chan struct{} // holds a token while the view has changed since
	dirty chan struct{} // holds a token while the book lacks a change

	mu      sync.Mutex
	present map[chord.PeerID]chord.Peer
	former  map[chord.PeerID]chord.Peer // were present, and may come back
}

func (s *peersSeen) init() {
	s.wake = make(chan struct{}, 1)
	s.dirty = make(chan struct{}, 1)
	s.present = make(map[chord.PeerID]chord.Peer)
	s.former = make(map[chord.PeerID]chord.Peer)
}

// kick tells that the view has changed.
func (s *peersSeen) kick() { signal(s.wake) }

// update takes in a view and returns the peers that it lacks, those that are new
// in it, or have another record: they may have been away; and of the new ones those
// that had been there before.
func (s *peersSeen) update(v *chord.View) (lost, found, back []chord.PeerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.present {
		if _, ok := v.Peer(id); !ok {
			delete(s.present, id)
			s.remember(p)
			lost = append(lost, id)
		}
	}
	for _, p := range v.Peers() {
		if p.ID == v.Self() {
			continue
		}
		if old, ok := s.present[p.ID]; !ok || old.Seq != p.Seq {
			found = append(found, p.ID)
		}
		s.present[p.ID] = p
		if _, ok := s.former[p.ID]; ok {
			delete(s.former, p.ID)
			back = append(back, p.ID)
		}
	}
	if len(lost)+len(found) > 0 {
		signal(s.dirty)
	}
	return lost, found, back
}

// remember keeps a peer that dropped out of the view; any other makes room.
func (s *peersSeen) remember(p chord.Peer) {
	for id := range s.former {
		if len(s.former) < maxFormer {
			break
		}
		delete(s.former, id)
	}
	s.former[p.ID] = p
}

// some returns up to n of the peers that dropped out of the view, as it happens.
func (s *peersSeen) some(n int) []chord.PeerID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []chord.PeerID
	for id := range s.former {
		if len(ids) == n {
			break
		}
		ids = append(ids, id)
	}
	return ids
}

// followView tells the layers above the ring when its view changes, and the
// scheduler now and then besides, because round trips change too.
func (n *Node) followView(ctx context.Context) {
	for {
		select {
		case <-n.seen.wake:
		case <-time.After(rttEvery):
		case <-ctx.Done():
			return
		}
		n.peersChanged(n.view())
	}
}

func (n *Node) peersChanged(v *chord.View) {
	lost, found, back := n.seen.update(v)
	n.reunion.saw(lost, found, back)
	n.tasks.setPeers(n.ctx, n.neighbours(v))
	for _, id := range lost {
		n.tasks.peerDown(id)
	}
	n.alignKad(v, found)
	if len(found) > 0 {
		// Whoever is back may hold what this peer missed, and the other way round.
		n.puller.kick()
	}
}

// neighbours are the peers that the scheduler may steal from. Its lifelines are
// the peers at distances of powers of two in the order of peer IDs, which is
// as good as random: a graph of the shape of Chord's fingers.
func (n *Node) neighbours(v *chord.View) []compute.Neighbor {
	peers := v.Peers()
	self := 0
	for i, p := range peers {
		if p.ID == v.Self() {
			self = i
		}
	}
	ns := make([]compute.Neighbor, 0, len(peers))
	for i, p := range peers {
		if i == self {
			continue
		}
		distance := uint((i - self + len(peers)) % len(peers))
		ns = append(ns, compute.Neighbor{ID: p.ID, RTT: n.host.RTT(p.ID), Lifeline: bits.OnesCount(distance) == 1})
	}
	return ns
}

// rememberPeers keeps the home's book of peers. A short one is saved all but at once:
// in a ring that is being set up, whoever is killed and forgot one peer may have
// forgotten the only one that is still where it was.
func (n *Node) rememberPeers(ctx context.Context) {
	if n.home == nil {
		return
	}
	book := n.home.Book()
	paced(ctx, n.seen.dirty, func() time.Duration { return n.saveBook(book) })
}

// paced calls do for a token: at once, or once the pause is over that the last call
// asked for. When the context ends it calls once more if there is a token.
func paced(ctx context.Context, tokens <-chan struct{}, do func() (pause time.Duration)) {
	for ctx.Err() == nil {
		select {
		case <-tokens:
			sleep(ctx, do())
		case <-ctx.Done():
		}
	}
	select {
	case <-tokens:
		do()
	default:
	}
}

// saveBook adds the peers that the view shows to the book, and returns when to save it
// next at the soonest.
func (n *Node) saveBook(book *bootstrap.Book) (pause time.Duration) {
	n.seen.mu.Lock()
	peers := slices.Collect(maps.Values(n.seen.present))
	n.seen.mu.Unlock()
	now := time.Now()
	for _, p := range peers {
		if len(p.Addrs) > 0 {
			book.Seen(bootstrap.Contact{ID: p.ID, Addrs: p.Addrs}, now)
		}
	}
	if err := n.home.SaveBook(book); err != nil {
		n.log.Warn("keep known peers", "err", err)
		signal(n.seen.dirty)
		return bookEvery
	}
	if len(peers) < bookShort {
		return bookSoon
	}
	return bookEvery
}

// introduceContacts puts contacts into the address book and returns their IDs.
func (n *Node) introduceContacts(contacts []bootstrap.Contact) []chord.PeerID {
	var ids []chord.PeerID
	for _, c := range contacts {
		if c.ID != n.self.Peer {
			n.host.AddPeer(c.ID, c.Addrs)
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// answering puts the peer that answers first in front, so that the ring core does not
// try dead ones in turn. It waits for one, or for joinPing.
func (n *Node) answering(ctx context.Context, ids []chord.PeerID) []chord.PeerID {
	ctx, cancel := context.WithTimeout(ctx, joinPing)
	defer cancel()
	answers := make(chan chord.PeerID, len(ids))
	for _, id := range ids {
		n.group.start(func() {
			if _, err := n.host.Call(ctx, id, rpc.Header{Method: wire.MethodPing}, nil); err != nil {
				id = ""
			}
			answers <- id
		})
	}
	for range ids {
		select {
		case id := <-answers:
			if id != "" {
				return append([]chord.PeerID{id}, slices.DeleteFunc(ids, func(other chord.PeerID) bool { return other == id })...)
			}
		case <-ctx.Done():
			return ids
		}
	}
	return ids
}
