package overlay

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/compute"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// Version returns the version of the module that this program was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	const path = "github.com/chorus-net/chorus"
	if info.Main.Path == path {
		return info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}

// Status returns the peer's state at a glance.
func (n *Node) Status(ctx context.Context) (Status, error) {
	if n.guest != nil {
		return n.guest.status(), nil
	}
	agree, of, _, err := n.members.agreement(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{
		ID: n.ID(), Name: n.Name(), Ring: n.ring.Name, Open: n.ring.Open, Role: passes.Member.String(), Version: Version(), Addrs: n.Addrs(),
		UptimeS: time.Since(n.started).Seconds(), Peers: n.view().Len(), Agree: agree + 1, Of: of + 1,
		Functions: n.workers.names(), Calls: n.host.Stats().Calls,
	}
	s.Keys, s.UnderReplicated = n.countKeys()
	s.Deleted, s.Blockers = n.blockers()
	s.Hints = n.hints.count()
	s.Forced, s.ForcedShards = n.forces()
	s.Tasks, err = n.taskCounts(ctx)
	return s, err
}

// taskCounts counts the tasks of this peer.
func (n *Node) taskCounts(ctx context.Context) (c client.TaskCounts, err error) {
	err = n.tasks.look(ctx, func(core scheduler) {
		st := core.Stats()
		c = client.TaskCounts{
			Queued: st.Queued, Running: st.Running, Done: int(st.Done), StolenIn: int(st.StolenIn), StolenOut: int(st.StolenOut),
			Steals:        st.Steals,
			StealMessages: st.Sent[compute.KindWake] + st.Sent[compute.KindSteal] + st.Sent[compute.KindGive] + st.Sent[compute.KindTaken],
		}
	})
	return c, err
}

// countKeys counts the keys that this peer holds as a voter, tombstones and
// fences left out, and those of them of which fewer live voters than the ring can have have a
// copy. A shard with records that are damaged here counts as one that has none here.
func (n *Node) countKeys() (keys, under int) {
	view := n.view()
	fences := n.fences.held()
	for id := range n.shards.all() {
		c := n.shards.config(id)
		if !c.IsVoter(n.self) {
			continue
		}
		live := 0
		for _, v := range c.Voters {
			if p, ok := view.Peer(v.Peer); ok && p.Incarnation == v.Incarnation {
				live++
			}
		}
		if n.puller.isDamaged(id) {
			live--
		}
		held := int(n.disk.Counts(id).Live) - fences[id]
		keys += held
		copies := n.copies(id)
		if live < max(min(copies, view.Len()), min(len(c.Voters), copies)) {
			under += held
		}
	}
	return keys, under
}

// Ring returns the ring as this peer sees it, and how many of its peers agree.
func (n *Node) Ring(ctx context.Context) (Ring, error) {
	if n.guest != nil {
		return n.guest.client.Ring(ctx)
	}
	agree, of, differ, err := n.members.agreement(ctx)
	if err != nil {
		return Ring{}, err
	}
	v := n.view()
	r := Ring{Peers: make([]client.PeerInfo, 0, v.Len()), Agree: agree + 1, Of: of + 1}
	for _, id := range differ {
		r.Disagrees = append(r.Disagrees, n.label(id))
	}
	for _, p := range v.Peers() {
		info := client.PeerInfo{
			ID: n.label(p.ID), Name: p.Name, Owns: v.Owns(p.ID), Addrs: slices.Clone(p.Addrs), Incarnation: p.Incarnation, State: "alive",
		}
		if v.Suspect(p.ID) {
			info.State = "suspect"
		}
		for _, at := range p.Positions() {
			info.Positions = append(info.Positions, at.String())
		}
		slices.Sort(info.Positions)
		r.Peers = append(r.Peers, info)
	}
	return r, nil
}

// Sees returns the number of peers in the ring as this peer sees it, itself
// included, and a digest of them: two peers with the same digest see the same
// ring. It asks nobody, and costs next to nothing.
func (n *Node) Sees() (peers int, digest uint64) {
	v := n.view()
	return v.Len(), v.Digest()
}

// Ping measures a round trip to a peer of the ring, by its peer ID.
func (n *Node) Ping(ctx context.Context, peer string) (client.Pong, error) {
	id, err := p2p.ParsePeerID(peer)
	if err != nil {
		return client.Pong{}, usage("ping: %w", err)
	}
	if id == n.self.Peer {
		return client.Pong{Peer: peer, Via: client.ViaSelf}, nil
	}
	if _, ok := n.view().Peer(id); !ok {
		return client.Pong{}, &client.Error{
			Code: client.CodeNotFound, Message: fmt.Sprintf("ping: peer %s is not in the ring", peer), Fix: "peer ring (for the peers of the ring)",
		}
	}
	rtt, err := n.roundTrip(ctx, id, opTimeout)
	if err != nil {
		return client.Pong{}, &client.Error{Code: client.CodeTimeout, Message: fmt.Sprintf("ping %s: %v", peer, err), Fix: "peer ring"}
	}
	pong := client.Pong{Peer: peer, RTTus: micros(rtt), Via: client.ViaDirect}
	if path, ok := n.host.Path(id); ok {
		pong.Transport, pong.Addr = path.Transport, path.Addr
		if path.Relayed {
			pong.Via = client.ViaRelay
		}
	}
	return pong, nil
}

// near ranks voters by the measured round trip: this peer first, unmeasured ones
// behind, and last those that do not answer the ring.
func (n *Node) near(v store.Voter) int {
	if v.Peer == n.self.Peer {
		return -1
	}
	rank := n.host.RTT(v.Peer)
	if rank == 0 {
		rank = time.Hour
	}
	view := n.view()
	if _, ok := view.Peer(v.Peer); !ok || view.Suspect(v.Peer) {
		rank += 2 * time.Hour
	}
	return int(rank.Microseconds())
}

const (
	minHedge = 5 * time.Millisecond
	maxHedge = 250 * time.Millisecond
)

// hedgeAfter returns how long a read waits for the replicas that it asked
// before it asks a spare one: four times the slowest measured round trip.
func (n *Node) hedgeAfter(c store.Config) time.Duration {
	var slowest time.Duration
	for _, v := range c.Voters {
		slowest = max(slowest, n.host.RTT(v.Peer))
	}
	if slowest == 0 {
		return maxHedge
	}
	return min(max(4*slowest, minHedge), maxHedge)
}
