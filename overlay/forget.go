package overlay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// Forget retires a peer that will not come back: its ID or the end of that. The
// shards that count on it go on without it, with another peer in its place if the
// ring has one, and what it kept from being reclaimed is reclaimed. Should it come
// back all the same, it is like a new peer to them: what it holds counts only as
// far as nothing was deleted since.
//
// A peer that answers is refused (use Leave there), and so is one without which a
// shard has no majority of its voters, unless the operator forces it. Such a shard
// then goes on with the voters that are left, as soon as all who are missing are
// forgotten by force or back. What was acknowledged there and is held by none of
// those is lost. A shard of which no voter is left begins anew, without keys.
func (n *Node) Forget(ctx context.Context, spec client.ForgetSpec) (client.Forgotten, error) {
	if n.guest != nil {
		return client.Forgotten{}, n.guest.refuses("forget", "peer forget (at a member)")
	}
	if spec.Force {
		n.recall(ctx)
	}
	voters, shards, err := n.seatsOf(spec.Peer)
	if err != nil {
		return client.Forgotten{}, err
	}
	short := n.shortWithout(voters)
	if len(short) > 0 && !spec.Force {
		return client.Forgotten{}, &client.Error{
			Code:    client.CodeQuorumLost,
			Message: fmt.Sprintf("forget %s: %d shards would be left without a majority of their voters", spec.Peer, len(short)),
			Fix:     "start the peers that are down (peer ring shows who is there); if none will come back: peer forget --force " + spec.Peer,
		}
	}
	more := wire.Forgotten{Voters: voters}
	if spec.Force {
		for _, v := range voters {
			more.Forces = append(more.Forces, wire.Force{Voter: v, By: n.self.Peer, At: time.Now()})
		}
	}
	if _, err := n.forgotten.mark(ctx, more); err != nil {
		return client.Forgotten{}, diskError(err)
	}
	for _, v := range voters {
		if !n.forgotten.has(v) || spec.Force && !n.forgotten.forced(v) {
			return client.Forgotten{}, fmt.Errorf("forget %s: %d peers are being forgotten already", spec.Peer, wire.MaxForgotten)
		}
	}
	f := client.Forgotten{ID: n.label(voters[0].Peer), Shards: shards, Told: 1, Of: 1}
	n.log.Warn("peer is forgotten", "peer", f.ID, "shards", shards, "force", spec.Force, "without_majority", len(short))
	if spec.Force {
		f.Waits = n.waitedFor(short)
		for _, id := range short {
			f.Forced = append(f.Forced, int(id))
			if !slices.ContainsFunc(n.shards.config(id).Members(), n.present) {
				f.Lost = append(f.Lost, int(id))
			}
		}
	}
	n.mover.kick()
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

// seatsOf returns the voters that a peer is, or was before it lost its disk, in the
// configurations known here, and in how many shards. None of them answers.
func (n *Node) seatsOf(peer string) (voters []store.Voter, shards int, err error) {
	var ids []chord.PeerID
	for id := range n.shards.all() {
		seated := false
		for _, v := range n.shards.config(id).Members() {
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
	if voters = slices.DeleteFunc(voters, n.present); len(voters) == 0 {
		return nil, 0, &client.Error{
			Code: client.CodeUsage, Message: fmt.Sprintf("forget %s: the peer is in the ring", peer),
			Fix: "peer leave (on its host), or stop it first",
		}
	}
	return voters, shards, nil
}

// minPeerEnd is how much of a peer's ID names it.
const minPeerEnd = 6

// present reports whether a voter is in the ring, with the disk that made it one.
func (n *Node) present(v store.Voter) bool {
	p, ok := n.view().Peer(v.Peer)
	return ok && p.Incarnation == v.Incarnation
}

// shortWithout returns the shards that count on one of some voters and have no
// majority of voters in the ring.
func (n *Node) shortWithout(voters []store.Voter) (short []store.ShardID) {
	for id := range n.shards.all() {
		c := n.shards.config(id)
		for _, set := range [2][]store.Voter{c.Voters, c.Next} {
			live := 0
			for _, v := range set {
				if n.present(v) {
					live++
				}
			}
			if live < store.Majority(len(set)) && slices.ContainsFunc(voters, func(v store.Voter) bool { return slices.Contains(set, v) }) {
				short = append(short, id)
				break
			}
		}
	}
	return short
}

// waitedFor names the peers without whom shards have no majority, and that are not
// forgotten by force.
func (n *Node) waitedFor(short []store.ShardID) []string {
	waits := make(map[string]bool)
	for _, id := range short {
		for _, v := range n.shards.config(id).Members() {
			if !n.present(v) && !n.forgotten.forced(v) {
				waits[n.label(v.Peer)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(waits))
}

// forces tells who was forgotten by force, and of how many shards' configurations
// that was the origin.
func (n *Node) forces() (forced []client.ForcedPeer, shards int) {
	for _, f := range n.forgotten.list().Forces {
		forced = append(forced, client.ForcedPeer{Peer: n.label(f.Voter.Peer), By: n.label(f.By), At: f.At, Done: f.Done})
	}
	for id := range n.shards.all() {
		if n.shards.config(id).Forces() > 0 {
			shards++
		}
	}
	return forced, shards
}

// tellForgotten tells a peer who is forgotten, and hears whom it knows of.
func (n *Node) tellForgotten(ctx context.Context, peer chord.PeerID) error {
	ctx, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	list := n.forgotten.active()
	theirs, err := call(ctx, n, peer, rpc.Header{Method: wire.MethodForget}, wire.AppendForgotten(nil, &list), wire.ParseForgotten)
	if err != nil {
		return err
	}
	return n.noteForgotten(ctx, theirs)
}

// serveForget answers a peer that tells who is forgotten.
func (n *Node) serveForget(ctx context.Context, req *rpc.Request) ([]byte, error) {
	list, err := wire.ParseForgotten(req.Payload)
	if err != nil {
		return nil, err
	}
	if err := n.noteForgotten(ctx, list); err != nil {
		return nil, err
	}
	list = n.forgotten.active()
	return wire.AppendForgotten(nil, &list), nil
}

// noteForgotten marks those voters of a list who are missed here too, and have a
// seat. Where they are forced, this peer finds out about the shards that it may have to
// reopen.
func (n *Node) noteForgotten(ctx context.Context, list wire.Forgotten) error {
	if slices.Contains(list.Voters, n.self) {
		return errors.New("this peer is not to be forgotten: it answers")
	}
	if slices.ContainsFunc(list.Forces, func(f wire.Force) bool { return !n.forgotten.knows(f) }) {
		n.group.start(func() {
			n.recall(n.ctx)
			if err := n.markForgotten(n.ctx, list); err != nil {
				n.log.Warn("save who is forgotten", "err", err)
			}
			n.mover.kick()
		})
	}
	return n.markForgotten(ctx, list)
}

func (n *Node) markForgotten(ctx context.Context, list wire.Forgotten) error {
	list.Voters = slices.Clone(list.Voters)
	list.Voters = slices.DeleteFunc(list.Voters, n.settled)
	changed, err := n.forgotten.mark(ctx, list)
	for _, f := range list.Forces {
		if changed && n.forgotten.forced(f.Voter) {
			n.log.Warn("peer is forgotten by force", "peer", n.label(f.Voter.Peer), "by", n.label(f.By), "at", f.At)
		}
	}
	if changed {
		n.mover.kick()
	}
	return err
}

// settled reports whether there is no reason to forget a voter: it is in the ring, or
// has no seat in any configuration known here.
func (n *Node) settled(v store.Voter) bool {
	if n.present(v) {
		return true
	}
	for id := range n.shards.all() {
		if n.shards.config(id).IsMember(v) {
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
	for _, v := range n.forgotten.list().Voters {
		if n.settled(v) {
			done = append(done, v)
		}
	}
	if err := n.forgotten.unmark(ctx, done); err != nil {
		n.log.Warn("save who is forgotten", "err", err)
	}
	if len(n.forgotten.list().Voters) == 0 {
		return
	}
	for _, peer := range peers {
		if err := n.tellForgotten(ctx, peer); err != nil {
			n.log.Debug("tell who is forgotten", "peer", n.label(peer), "err", err)
		}
	}
}
