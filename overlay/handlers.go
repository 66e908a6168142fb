package overlay

import (
	"context"
	"errors"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
)

const (
	maxRecordCall = store.MaxRecord + 8<<10 // a record with what goes around it
	maxRingCall   = 1 << 20
	maxTaskCall   = 1<<20 - 4<<10
	maxPing       = 64 << 10
	// maxPeersTold is enough to choose positions by, in a ring of any size.
	maxPeersTold = 1024
)

// registry holds what other peers may call, each with the role that it needs.
func (n *Node) registry() *rpc.Registry {
	r := rpc.NewRegistry()
	if n.guest != nil {
		return r // it serves nobody
	}
	add := func(m rpc.Method, s rpc.Spec, h rpc.Handler) {
		if s.Role == rpc.RoleNone {
			s.Role = rpc.RoleMember
		}
		r.Handle(m, s, n.whenUp(h))
	}
	add(wire.MethodPing, rpc.Spec{Name: "ping", Role: rpc.RoleRead, MaxBytes: maxPing, Inline: true}, ping)
	add(wire.MethodRing, rpc.Spec{Name: "ring", MaxBytes: maxRingCall, Inline: true}, func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		return n.members.receive(ctx, req)
	})
	add(wire.MethodPeers, rpc.Spec{Name: "ring.peers", Role: rpc.RoleRead}, n.servePeers)
	add(wire.MethodClock, rpc.Spec{Name: "ring.clock", Role: rpc.RoleRead}, n.serveClock)
	if n.door != nil {
		add(wire.MethodDecrees, rpc.Spec{Name: "ring.decrees", Role: rpc.RoleRead, MaxBytes: wire.MaxDecreesPage + 4<<10}, n.serveDecrees)
		newGuests(n).register(add)
	}
	if n.cfg.PlainChord {
		add(wire.MethodChord, rpc.Spec{Name: "ring.plain", MaxBytes: maxRingCall, Inline: true}, func(ctx context.Context, req *rpc.Request) ([]byte, error) {
			return n.plain.receive(ctx, req)
		})
	}
	add(wire.MethodTask, rpc.Spec{Name: "task", MaxBytes: maxTaskCall, Inline: true}, func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		return n.tasks.receive(ctx, req)
	})
	add(wire.MethodLoad, rpc.Spec{Name: "task.load"}, n.serveLoad)
	add(wire.MethodOwns, rpc.Spec{Name: "task.owns"}, n.serveOwns)
	add(wire.MethodHear, rpc.Spec{Name: "task.hear"}, n.serveHear)

	add(wire.MethodWrite, rpc.Spec{Name: "store.write", MaxBytes: maxRecordCall}, onDisk(n, wire.ParseWriteRequest, n.replicaWrite, wire.AppendWriteReply))
	add(wire.MethodWrites, rpc.Spec{Name: "store.writes", MaxBytes: maxRecordCall}, n.serveWrites)
	add(wire.MethodRead, rpc.Spec{Name: "store.read", Inline: true}, onShard(n, wire.ParseReadRequest, n.replicaRead, wire.AppendReadReply))
	add(wire.MethodScan, rpc.Spec{Name: "store.scan"}, onShard(n, wire.ParseScanRequest, n.replicaScan, wire.AppendScanReply))
	add(wire.MethodSync, rpc.Spec{Name: "store.sync"}, onDisk(n, wire.ParseSyncRequest, n.replicaSync, wire.AppendSyncReply))
	add(wire.MethodFetch, rpc.Spec{Name: "store.fetch", MaxBytes: 1 << 20}, onDisk(n, wire.ParseFetchRequest, n.replicaFetch, wire.AppendFetchReply))
	add(wire.MethodNodes, rpc.Spec{Name: "store.nodes"}, onDisk(n, wire.ParseNodesRequest, n.replicaNodes, wire.AppendNodesReply))
	add(wire.MethodHorizon, rpc.Spec{Name: "store.horizon"}, onDisk(n, wire.ParseHorizonRequest, n.replicaHorizon, wire.AppendHorizonReply))
	add(wire.MethodForget, rpc.Spec{Name: "store.forget", MaxBytes: 256 << 10}, parked(n.serveForget))
	add(wire.MethodHint, rpc.Spec{Name: "store.hint", MaxBytes: maxRecordCall}, parked(n.serveHint))
	add(wire.MethodFence, rpc.Spec{Name: "store.fence", MaxBytes: 64 << 10}, onDisk(n, wire.ParseWriteRequest, n.replicaFence, wire.AppendWriteReply))
	add(wire.MethodPrepare, rpc.Spec{Name: "store.prepare"}, onDisk(n, wire.ParseProposal, n.replicaVote, wire.AppendVote))
	add(wire.MethodAccept, rpc.Spec{Name: "store.accept"}, onDisk(n, wire.ParseProposal, n.replicaVote, wire.AppendVote))
	add(wire.MethodCAS, rpc.Spec{Name: "store.cas", MaxBytes: maxRecordCall}, onDisk(n, wire.ParseCASRequest, n.replicaCAS, wire.AppendCASReply))
	add(wire.MethodWatch, rpc.Spec{Name: "store.watch"}, parked(n.serveWatch))
	add(wire.MethodConfig, rpc.Spec{Name: "store.config", MaxBytes: 1 << 20}, onShards(n, n.config))
	add(wire.MethodLearn, rpc.Spec{Name: "store.learn", MaxBytes: 1 << 20}, parked(onShards(n, n.learn)))
	add(wire.MethodFingerprint, rpc.Spec{Name: "store.fingerprint", MaxBytes: 1 << 20}, onShards(n, n.fingerprint))
	return r
}

// errStarting answers calls that come before the peer is ready for them.
var errStarting = &rpc.Error{Code: rpc.CodeBusy, Message: "the peer is starting or stopping"}

// whenUp keeps calls away from parts that are not there yet, or not any more.
func (n *Node) whenUp(h rpc.Handler) rpc.Handler {
	return func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		if !n.up.Load() {
			return nil, errStarting
		}
		return h(ctx, req)
	}
}

// parked is for handlers that wait for the disk, for other peers, or for something to happen.
func parked(h rpc.Handler) rpc.Handler {
	return func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		req.Park()
		return h(ctx, req)
	}
}

func ping(_ context.Context, req *rpc.Request) ([]byte, error) { return req.Payload, nil }

func (n *Node) servePeers(context.Context, *rpc.Request) ([]byte, error) {
	peers := n.view().Peers()
	return wire.AppendPeers(nil, peers[:min(len(peers), maxPeersTold)]), nil
}

// onShard makes a handler of a request about one shard.
func onShard[In, Out any](n *Node, parse func([]byte) (In, error), serve func(context.Context, store.ShardID, uint64, In) (Out, error), write func([]byte, *Out) []byte) rpc.Handler {
	return func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		id, err := n.shardNamed(req)
		if err != nil {
			return nil, err
		}
		in, err := parse(req.Payload)
		if err != nil {
			return nil, err
		}
		out, err := serve(ctx, id, req.Epoch, in)
		if err != nil {
			return nil, err
		}
		return write(nil, &out), nil
	}
}

// onDisk is onShard for what waits for the disk, or for other peers.
func onDisk[In, Out any](n *Node, parse func([]byte) (In, error), serve func(context.Context, store.ShardID, uint64, In) (Out, error), write func([]byte, *Out) []byte) rpc.Handler {
	return func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		parsed := func(b []byte) (In, error) {
			in, err := parse(b)
			if err == nil {
				req.Park()
			}
			return in, err
		}
		return onShard(n, parsed, serve, write)(ctx, req)
	}
}

var errNoShard = errors.New("no such shard in this ring")

// shardNamed returns the shard that a request is about.
func (n *Node) shardNamed(req *rpc.Request) (store.ShardID, error) {
	if id := store.ShardID(req.Shard); req.Shard < store.MaxShards && n.shards.valid(id) {
		return id, nil
	}
	return 0, errNoShard
}

// serveWrites stores records of any shards.
func (n *Node) serveWrites(ctx context.Context, req *rpc.Request) ([]byte, error) {
	writes, err := wire.ParseWrites(req.Payload)
	if err != nil {
		return nil, err
	}
	req.Park()
	return wire.AppendWriteResults(nil, n.replica.writes(ctx, writes)), nil
}

// onShards makes a handler of a request about many shards: serve is asked about
// each, and shards of which it has nothing to say are left out.
func onShards(n *Node, serve func(context.Context, store.ShardInfo) (store.ShardInfo, error)) rpc.Handler {
	return func(ctx context.Context, req *rpc.Request) ([]byte, error) {
		infos, err := wire.ParseShardInfos(req.Payload)
		if err != nil {
			return nil, err
		}
		out := infos[:0]
		for _, info := range infos {
			if !n.shards.valid(info.Shard) {
				return nil, errNoShard
			}
			switch info, err := serve(ctx, info); {
			case errors.Is(err, errNothing):
			case err != nil:
				return nil, err
			default:
				out = append(out, info)
			}
		}
		return wire.AppendShardInfos(nil, out), nil
	}
}

var errNothing = errors.New("nothing to say")

// config tells the newest configuration known of a shard.
func (n *Node) config(_ context.Context, info store.ShardInfo) (store.ShardInfo, error) {
	c := n.shards.config(info.Shard)
	if c.Epoch == 0 {
		return info, errNothing
	}
	return store.ShardInfo{Shard: info.Shard, Config: c}, nil
}

// learn takes in a decided configuration and tells how far this peer has
// synchronised under the newest one.
func (n *Node) learn(ctx context.Context, info store.ShardInfo) (store.ShardInfo, error) {
	if err := n.replica.learn(ctx, info.Shard, info.Config); err != nil {
		return store.ShardInfo{}, err
	}
	c := n.shards.config(info.Shard)
	n.puller.catchUp(info.Shard, c)
	n.puller.await(ctx, info.Shard)
	return store.ShardInfo{Shard: info.Shard, Config: c, Synced: n.puller.synced(info.Shard, c)}, nil
}

// fingerprint tells this peer's fingerprint of a shard, and the configuration that
// it goes by, if one of them is another one than the caller's or the peer is no
// voter.
func (n *Node) fingerprint(_ context.Context, info store.ShardInfo) (store.ShardInfo, error) {
	c := n.shards.config(info.Shard)
	mine, voter := n.disk.Fingerprint(info.Shard), c.IsVoter(n.self)
	agrees := info.Epoch == 0 || info.Epoch == c.Epoch && voter
	if agrees && (mine == info.Fingerprint || !voter) {
		return info, errNothing
	}
	return store.ShardInfo{Shard: info.Shard, Config: c, Fingerprint: mine}, nil
}

// The replica is made after the registry that leads to it.
func (n *Node) replicaWrite(ctx context.Context, id store.ShardID, epoch uint64, r store.WriteRequest) (store.WriteReply, error) {
	return n.replica.write(ctx, id, epoch, r)
}

func (n *Node) replicaRead(ctx context.Context, id store.ShardID, epoch uint64, r store.ReadRequest) (store.ReadReply, error) {
	return n.replica.read(ctx, id, epoch, r)
}

func (n *Node) replicaScan(ctx context.Context, id store.ShardID, epoch uint64, r store.ScanRequest) (store.ScanReply, error) {
	return n.replica.scan(ctx, id, epoch, r)
}

func (n *Node) replicaSync(ctx context.Context, id store.ShardID, epoch uint64, r store.SyncRequest) (store.SyncReply, error) {
	return n.replica.sync(ctx, id, epoch, r)
}

func (n *Node) replicaFetch(ctx context.Context, id store.ShardID, epoch uint64, r store.FetchRequest) (store.FetchReply, error) {
	return n.replica.fetch(ctx, id, epoch, r)
}

func (n *Node) replicaNodes(ctx context.Context, id store.ShardID, epoch uint64, r store.NodesRequest) (store.NodesReply, error) {
	return n.replica.nodes(ctx, id, epoch, r)
}

func (n *Node) replicaHorizon(ctx context.Context, id store.ShardID, epoch uint64, r store.HorizonRequest) (store.HorizonReply, error) {
	return n.replica.horizon(ctx, id, epoch, r, func(c store.Config) error {
		return n.puller.repair(ctx, sourceOf(id, c, r.From))
	})
}

func (n *Node) replicaCAS(ctx context.Context, id store.ShardID, epoch uint64, r store.CASRequest) (store.CASReply, error) {
	return n.replica.cas(ctx, id, epoch, r)
}

func (n *Node) replicaVote(ctx context.Context, id store.ShardID, _ uint64, p store.Proposal) (store.Vote, error) {
	return n.replica.vote(ctx, id, p)
}
