package compute

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// peer is all that is known of another peer, in each part that it plays.
type peer struct {
	id      chord.PeerID
	session uint64  // of its newest life, 0 if not heard since it went down
	heard   instant // last message, or begin of its lease

	// From the driver.
	known    bool
	lifeline bool
	rtt      time.Duration

	// As a possible victim.
	funcs  []string // sorted; what it can run
	load   Load     // Seq is 0 while unknown
	loadAt instant
	// vainUntil is until when a starved queue there is no news: there was nothing in it
	// for this peer.
	vainUntil instant
	reg       registration

	// As a sleeper that this peer wakes.
	sleeper sleeper

	away   int     // own unfinished tasks that are there
	given  int     // transfers to it that are under way
	client *client // what is held for it, nil if nothing
	bump   uint64  // added to this peer's session in what it is told
	hoards bool    // it said for too long that it runs a task; it is believed only about what it is given here
}

// registration is how far this peer has got in registering at a lifeline.
type registration struct {
	state regState
	at    instant
	tries int
}

type regState uint8

const (
	regNone regState = iota
	regSent
	regDone
)

type sleeper struct {
	asleep bool
	woken  int // wake-ups sent since it registered
	at     instant
}

// can reports whether the peer says that it runs tasks that need this capability.
func (p *peer) can(capability string) bool {
	_, ok := slices.BinarySearch(p.funcs, capability)
	return ok
}

// idle reports whether the entry may be forgotten.
func (p *peer) idle() bool {
	return !p.known && p.away == 0 && p.given == 0 && p.client == nil
}

// peerTable holds peers sorted by ID, so that walking it is deterministic.
type peerTable struct {
	byID   map[chord.PeerID]*peer
	all    []*peer
	cursor int // in all, of the search for one to give up
}

func newPeerTable() peerTable { return peerTable{byID: make(map[chord.PeerID]*peer)} }

func (t *peerTable) get(id chord.PeerID) *peer { return t.byID[id] }

func (t *peerTable) add(id chord.PeerID) *peer {
	p := &peer{id: id}
	t.byID[id] = p
	i, _ := t.search(id)
	t.all = slices.Insert(t.all, i, p)
	return p
}

func (t *peerTable) remove(p *peer) {
	delete(t.byID, p.id)
	if i, ok := t.search(p.id); ok {
		t.all = slices.Delete(t.all, i, i+1)
	}
}

func (t *peerTable) search(id chord.PeerID) (int, bool) {
	return slices.BinarySearchFunc(t.all, id, func(p *peer, id chord.PeerID) int {
		return strings.Compare(string(p.id), string(id))
	})
}

// ErrTooManyPeers refuses a message from a peer for which the table has no room.
var ErrTooManyPeers = errors.New("too many peers")

// meet returns the entry of a peer, new if need be. A full table gives up a
// stranger that was not heard of for long.
func (s *Scheduler) meet(id chord.PeerID) (*peer, error) {
	if p := s.peers.get(id); p != nil {
		return p, nil
	}
	if len(s.peers.all) >= s.cfg.MaxPeers {
		oldest := s.oldestStranger()
		if oldest == nil {
			return nil, fmt.Errorf("%w: %d known", ErrTooManyPeers, len(s.peers.all))
		}
		s.forgetSleeper(oldest)
		s.peers.remove(oldest)
	}
	p := s.peers.add(id)
	p.bump = s.bumps
	return p, nil
}

// oldestStranger returns who was heard of longest ago, of a few dozen peers that are not
// needed; nil if all are. It goes on where it stopped, as a look at all would make it
// dear to be told of many.
func (s *Scheduler) oldestStranger() *peer {
	const few = 64
	t := &s.peers
	var oldest *peer
	seen := 0
	for range t.all {
		t.cursor = (t.cursor + 1) % len(t.all)
		p := t.all[t.cursor]
		if !p.idle() || s.thief.victim == p.id {
			continue
		}
		if oldest == nil || max(p.heard, p.loadAt) < max(oldest.heard, oldest.loadAt) {
			oldest = p
		}
		if seen++; seen == few {
			break
		}
	}
	return oldest
}

// setNeighbors installs the driver's set of peers.
func (s *Scheduler) setNeighbors(neighbors []Neighbor) {
	for _, p := range s.peers.all {
		p.known, p.lifeline = false, false
	}
	fresh := false
	for _, n := range neighbors {
		if n.ID == s.cfg.Self || n.ID == "" {
			continue
		}
		_, had := s.peers.byID[n.ID]
		p, err := s.meet(n.ID)
		if err != nil {
			break
		}
		fresh = fresh || !had
		p.known, p.lifeline, p.rtt = true, n.Lifeline, n.RTT
		if !n.Lifeline {
			p.reg = registration{}
		}
	}
	s.gossip.known = s.gossip.known[:0]
	for _, p := range s.peers.all {
		if p.known {
			s.gossip.known = append(s.gossip.known, p)
		}
	}
	if fresh && s.holder.queue.n > 0 {
		s.gossip.force = true
	}
	if s.thief.asleep {
		s.register()
	}
}

// lost handles the end of a peer, known or presumed: nothing that it held
// will come back.
func (s *Scheduler) lost(p *peer, why string) {
	p.reg = registration{}
	s.forgetSleeper(p)
	s.thiefLost(p)
	s.victimLost(p)
	s.ownerLost(p, why, nil)
}

// restarted handles a new life of a peer: all that it held is gone, but what is
// on its way there may still arrive.
func (s *Scheduler) restarted(p *peer) {
	p.reg = registration{}
	s.forgetSleeper(p)
	p.load, p.funcs = Load{}, nil
	s.thiefLost(p)
	s.ownerLost(p, "peer restarted", s.victim.onTheWay(p))
}
