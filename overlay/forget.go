package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// metaForgotten is the name of the value on disk that lists forgotten voters.
const metaForgotten = "ring/forgotten"

// forgotten are the voters that the operator retired: the shards go on without
// them, and without replacements where there are none.
type forgotten struct {
	save func(ctx context.Context, list []byte) error

	saving chan struct{} // a token; whoever holds it may change the set
	mu     sync.Mutex
	set    map[store.Voter]bool
}

// loadForgotten returns those whom the disk lists.
func loadForgotten(b []byte, save func(context.Context, []byte) error) (*forgotten, error) {
	list, err := wire.ParseVoters(b)
	if err != nil {
		return nil, fmt.Errorf("forgotten voters: %w", err)
	}
	f := &forgotten{save: save, saving: make(chan struct{}, 1), set: make(map[store.Voter]bool)}
	for _, v := range list {
		f.set[v] = true
	}
	return f, nil
}

func (f *forgotten) has(v store.Voter) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set[v]
}

// list returns the forgotten voters in the order of their peers.
func (f *forgotten) list() []store.Voter {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]store.Voter, 0, len(f.set))
	for v := range f.set {
		list = append(list, v)
	}
	slices.SortFunc(list, func(v, w store.Voter) int {
		return cmp.Or(cmp.Compare(v.Peer, w.Peer), cmp.Compare(v.Incarnation, w.Incarnation))
	})
	return list
}

// change marks voters, as many as there is room for, or takes their marks away, and
// returns when that is on disk. It reports whether anything was new.
func (f *forgotten) change(ctx context.Context, voters []store.Voter, mark bool) (bool, error) {
	select {
	case f.saving <- struct{}{}:
		defer func() { <-f.saving }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	f.mu.Lock()
	changed := false
	for _, v := range voters {
		switch {
		case f.set[v] == mark, mark && len(f.set) >= wire.MaxVoterList:
		case mark:
			f.set[v], changed = true, true
		default:
			delete(f.set, v)
			changed = true
		}
	}
	f.mu.Unlock()
	if !changed {
		return false, nil
	}
	return true, f.save(ctx, wire.AppendVoters(nil, f.list()))
}

// Forget retires a peer that will not come back: its ID or the end of that. The
// shards that count on it go on without it, with another peer in its place if the
// ring has one, and what it kept from being reclaimed is reclaimed. Should it come
// back all the same, it is like a new peer to them: what it holds counts only as
// far as nothing was deleted since.
//
// A peer that answers is refused (use Leave there), and so is one without which a
// shard has no majority of its voters.
func (n *Node) Forget(ctx context.Context, peer string) (client.Forgotten, error) {
	voters, shards, err := n.seatsOf(peer)
	if err != nil {
		return client.Forgotten{}, err
	}
	if short := n.shortWithout(voters); short > 0 {
		return client.Forgotten{}, &client.Error{
			Code:    client.CodeQuorumLost,
			Message: fmt.Sprintf("forget %s: %d shards would be left without a majority of their voters", peer, short),
			Fix:     "peer ring (to see who is missing), then start the peers that are down",
		}
	}
	if _, err := n.forgotten.change(ctx, voters, true); err != nil {
		return client.Forgotten{}, diskError(err)
	}
	if !n.forgotten.has(voters[0]) {
		return client.Forgotten{}, fmt.Errorf("forget %s: %d peers are being forgotten already", peer, wire.MaxVoterList)
	}
	n.log.Warn("peer is forgotten", "peer", n.label(voters[0].Peer), "shards", shards)
	n.mover.kick()
	f := client.Forgotten{ID: n.label(voters[0].Peer), Shards: shards, Told: 1, Of: 1}
	for _, p := range n.view().Peers() {
		if p.ID == n.self.Peer {
			continue
		}
		f.Of++
		if err := n.tellForgotten(ctx, p.ID); err != nil {
			n.log.Info("tell who is forgotten", "peer", n.label(p.ID), "err", err)
			continue
		}
		f.Told++
	}
	return f, nil
}

// seatsOf returns the voters that a peer is, in the configurations known here,
// and in how many shards.
func (n *Node) seatsOf(peer string) (voters []store.Voter, shards int, err error) {
	var ids []chord.PeerID
	for i := range n.shards.list {
		seated := false
		for _, v := range n.shards.config(store.ShardID(i)).Members() {
			label := n.label(v.Peer)
			if label != peer && (len(peer) < minPeerEnd || !strings.HasSuffix(label, peer)) {
				continue
			}
			if seated = true; !slices.Contains(voters, v) {
				voters = append(voters, v)
			}
			if !slices.Contains(ids, v.Peer) {
				ids = append(ids, v.Peer)
			}
		}
		if seated {
			shards++
		}
	}
	switch {
	case len(ids) == 0:
		return nil, 0, &client.Error{
			Code: client.CodeNotFound, Message: fmt.Sprintf("forget %s: no shard counts on such a peer", peer),
			Fix: "peer status (names who keeps records from being reclaimed)",
		}
	case len(ids) > 1:
		return nil, 0, usage("forget %s: %d peers' IDs end like that", peer, len(ids))
	}
	if _, ok := n.view().Peer(ids[0]); ok {
		return nil, 0, &client.Error{
			Code: client.CodeUsage, Message: fmt.Sprintf("forget %s: the peer is in the ring", peer),
			Fix: "peer leave (on its host), or stop it first",
		}
	}
	return voters, shards, nil
}

// minPeerEnd is how much of a peer's ID names it.
const minPeerEnd = 6

// shortWithout counts the shards that have no majority of live voters without
// some.
func (n *Node) shortWithout(voters []store.Voter) (short int) {
	view := n.view()
	for i := range n.shards.list {
		c := n.shards.config(store.ShardID(i))
		for _, set := range [2][]store.Voter{c.Voters, c.Next} {
			live := 0
			for _, v := range set {
				if p, ok := view.Peer(v.Peer); ok && p.Incarnation == v.Incarnation {
					live++
				}
			}
			if len(set) > 0 && live < store.Majority(len(set)) && slices.ContainsFunc(voters, func(v store.Voter) bool { return slices.Contains(set, v) }) {
				short++
				break
			}
		}
	}
	return short
}

// tellForgotten tells a peer who is forgotten, and hears whom it knows of.
func (n *Node) tellForgotten(ctx context.Context, peer chord.PeerID) error {
	ctx, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	list := wire.AppendVoters(nil, n.forgotten.list())
	theirs, err := call(ctx, n, peer, rpc.Header{Method: wire.MethodForget}, list, wire.ParseVoters)
	if err != nil {
		return err
	}
	return n.noteForgotten(ctx, theirs)
}

// serveForget answers a peer that tells who is forgotten.
func (n *Node) serveForget(ctx context.Context, req *rpc.Request) ([]byte, error) {
	voters, err := wire.ParseVoters(req.Payload)
	if err != nil {
		return nil, err
	}
	if err := n.noteForgotten(ctx, voters); err != nil {
		return nil, err
	}
	return wire.AppendVoters(nil, n.forgotten.list()), nil
}

// noteForgotten marks those voters of a list who are missed here too, and have a
// seat.
func (n *Node) noteForgotten(ctx context.Context, voters []store.Voter) error {
	if slices.Contains(voters, n.self) {
		return errors.New("this peer is not to be forgotten: it answers")
	}
	voters = slices.DeleteFunc(voters, n.settled)
	changed, err := n.forgotten.change(ctx, voters, true)
	if changed {
		n.mover.kick()
	}
	return err
}

// settled reports whether there is no reason to forget a voter: it is in the ring, or
// has no seat in any configuration known here.
func (n *Node) settled(v store.Voter) bool {
	if p, ok := n.view().Peer(v.Peer); ok && p.Incarnation == v.Incarnation {
		return true
	}
	for i := range n.shards.list {
		if n.shards.config(store.ShardID(i)).IsMember(v) {
			return false
		}
	}
	return true
}

// spreadForgotten tells the peers that this one shares shards with who is
// forgotten, for those that were away, and takes back the marks of voters that are
// settled: they may return, or have.
func (n *Node) spreadForgotten(ctx context.Context, peers []chord.PeerID) {
	var done []store.Voter
	for _, v := range n.forgotten.list() {
		if n.settled(v) {
			done = append(done, v)
		}
	}
	if _, err := n.forgotten.change(ctx, done, false); err != nil {
		n.log.Warn("save who is forgotten", "err", err)
	}
	if len(n.forgotten.list()) == 0 {
		return
	}
	for _, peer := range peers {
		if err := n.tellForgotten(ctx, peer); err != nil {
			n.log.Debug("tell who is forgotten", "peer", n.label(peer), "err", err)
		}
	}
}

// blockers counts, for each voter that is not live, the records of deleted and
// expired keys here that wait for it.
func (n *Node) blockers() (waiting int, blockers []client.Blocker) {
	by := make(map[chord.PeerID]int)
	view := n.view()
	for i := range n.shards.list {
		id := store.ShardID(i)
		counts := n.disk.Counts(id)
		if counts.Tombstones == 0 {
			continue
		}
		waiting += int(counts.Tombstones)
		for _, v := range n.mover.situation(view, id, n.shards.snapshot(id)).Blockers() {
			by[v.Peer] += int(counts.Tombstones)
		}
	}
	for peer, keys := range by {
		blockers = append(blockers, client.Blocker{Peer: n.label(peer), Keys: keys})
	}
	slices.SortFunc(blockers, func(a, b client.Blocker) int { return cmp.Compare(a.Peer, b.Peer) })
	return waiting, blockers
}
