package overlay

import (
	"context"
	"fmt"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/store"
)

// The calls of this file ask one peer for one thing. What this peer asks of
// itself takes no network and no encoding.

func shardHeader(m rpc.Method, id store.ShardID, by goesBy) rpc.Header {
	return rpc.Header{Method: m, Shard: uint32(id), Epoch: by.config.Epoch, Deadline: by.until}
}

// call makes a call and parses its answer.
func call[R any](ctx context.Context, n *Node, to chord.PeerID, h rpc.Header, payload []byte, parse func([]byte) (R, error)) (R, error) {
	b, err := n.host.Call(ctx, to, h, payload)
	if err != nil {
		var none R
		return none, err
	}
	return parse(b)
}

// callMeta is call for what replicas tell each other to find out where they
// differ; its bytes are counted.
func callMeta[R any](ctx context.Context, n *Node, to chord.PeerID, h rpc.Header, payload []byte, parse func([]byte) (R, error)) (R, error) {
	return call(ctx, n, to, h, payload, func(b []byte) (R, error) {
		n.puller.stats.meta.Add(uint64(len(payload) + len(b)))
		return parse(b)
	})
}

func (n *Node) askWrite(ctx context.Context, to store.Voter, id store.ShardID, by goesBy, record []byte, repair bool) (store.WriteReply, error) {
	req := store.WriteRequest{Target: by.target(to), Repair: repair, Record: record}
	if to.Peer == n.self.Peer {
		return n.replica.write(ctx, id, by.config.Epoch, req)
	}
	return call(ctx, n, to.Peer, shardHeader(wire.MethodWrite, id, by), wire.AppendWriteRequest(nil, &req), wire.ParseWriteReply)
}

func (n *Node) askRead(ctx context.Context, to store.Voter, id store.ShardID, by goesBy, ns, key string) (store.ReadReply, error) {
	req := store.ReadRequest{Target: by.target(to), Brief: by.brief, Namespace: ns, Key: key}
	if to.Peer == n.self.Peer {
		return n.replica.read(ctx, id, by.config.Epoch, req)
	}
	return call(ctx, n, to.Peer, shardHeader(wire.MethodRead, id, by), wire.AppendReadRequest(nil, &req), wire.ParseReadReply)
}

func (n *Node) askScan(ctx context.Context, to store.Voter, id store.ShardID, by goesBy, req store.ScanRequest) (store.ScanReply, error) {
	req.Target = by.target(to)
	if to.Peer == n.self.Peer {
		return n.replica.scan(ctx, id, by.config.Epoch, req)
	}
	return call(ctx, n, to.Peer, shardHeader(wire.MethodScan, id, by), wire.AppendScanRequest(nil, &req), wire.ParseScanReply)
}

func (n *Node) askSync(ctx context.Context, to store.Voter, id store.ShardID, by goesBy, req store.SyncRequest) (store.SyncReply, error) {
	ctx, cancel := context.WithTimeout(ctx, pullCall)
	defer cancel()
	req.Target = by.target(to)
	return callMeta(ctx, n, to.Peer, shardHeader(wire.MethodSync, id, by), wire.AppendSyncRequest(nil, &req), wire.ParseSyncReply)
}

func (n *Node) askNodes(ctx context.Context, to store.Voter, id store.ShardID, by goesBy, req store.NodesRequest) (store.NodesReply, error) {
	ctx, cancel := context.WithTimeout(ctx, pullCall)
	defer cancel()
	req.Target = by.target(to)
	return callMeta(ctx, n, to.Peer, shardHeader(wire.MethodNodes, id, by), wire.AppendNodesRequest(nil, &req), wire.ParseNodesReply)
}

func (n *Node) askFetch(ctx context.Context, to store.Voter, id store.ShardID, by goesBy, req store.FetchRequest) (store.FetchReply, error) {
	ctx, cancel := context.WithTimeout(ctx, pullCall)
	defer cancel()
	req.Target = by.target(to)
	payload := wire.AppendFetchRequest(nil, &req)
	n.puller.stats.meta.Add(uint64(len(payload)))
	return call(ctx, n, to.Peer, shardHeader(wire.MethodFetch, id, by), payload, wire.ParseFetchReply)
}

// askHorizon asks a voter for a step towards a shard's next horizon.
func (n *Node) askHorizon(ctx context.Context, to store.Voter, id store.ShardID, by goesBy, req store.HorizonRequest) (store.HorizonReply, error) {
	req.Target = by.target(to)
	if to == n.self {
		return n.replicaHorizon(ctx, id, by.config.Epoch, req)
	}
	return call(ctx, n, to.Peer, shardHeader(wire.MethodHorizon, id, by), wire.AppendHorizonRequest(nil, &req), wire.ParseHorizonReply)
}

func (n *Node) askCAS(ctx context.Context, to store.Voter, id store.ShardID, by goesBy, req store.CASRequest) (store.CASReply, error) {
	req.Target = by.target(to)
	if to.Peer == n.self.Peer {
		return n.replica.cas(ctx, id, by.config.Epoch, req)
	}
	return call(ctx, n, to.Peer, shardHeader(wire.MethodCAS, id, by), wire.AppendCASRequest(nil, &req), wire.ParseCASReply)
}

// askVote asks an acceptor to prepare or to accept a proposal.
func (n *Node) askVote(ctx context.Context, to store.Voter, id store.ShardID, p store.Proposal) (store.Vote, error) {
	if to == n.self {
		return n.replica.vote(ctx, id, p)
	}
	m := wire.MethodPrepare
	if p.Value.Epoch > 0 {
		m = wire.MethodAccept
	}
	return call(ctx, n, to.Peer, shardHeader(m, id, goesBy{config: p.Base}), wire.AppendProposal(nil, &p), wire.ParseVote)
}

// askLearn teaches a peer a decided configuration and returns what it then
// says of the shard.
func (n *Node) askLearn(ctx context.Context, to store.Voter, info store.ShardInfo) (store.ShardInfo, error) {
	if to == n.self {
		return n.learn(ctx, info)
	}
	infos, err := call(ctx, n, to.Peer, shardHeader(wire.MethodLearn, info.Shard, goesBy{config: info.Config}), wire.AppendShardInfos(nil, []store.ShardInfo{info}), wire.ParseShardInfos)
	if err != nil {
		return store.ShardInfo{}, err
	}
	if len(infos) != 1 || infos[0].Shard != info.Shard {
		return store.ShardInfo{}, fmt.Errorf("learn: %w", store.ErrBadPeer)
	}
	return infos[0], nil
}

// askConfigs asks a peer for the newest configurations that it knows of shards.
func (n *Node) askConfigs(ctx context.Context, peer chord.PeerID, ids []store.ShardID) ([]store.ShardInfo, error) {
	infos := make([]store.ShardInfo, len(ids))
	for i, id := range ids {
		infos[i].Shard = id
	}
	return call(ctx, n, peer, rpc.Header{Method: wire.MethodConfig}, wire.AppendShardInfos(nil, infos), wire.ParseShardInfos)
}

// askFingerprints asks a peer for its fingerprints of shards, sending ours: those
// that differ come back, and what it keeps by another configuration.
func (n *Node) askFingerprints(ctx context.Context, peer chord.PeerID, infos []store.ShardInfo) ([]store.ShardInfo, error) {
	return callMeta(ctx, n, peer, rpc.Header{Method: wire.MethodFingerprint}, wire.AppendShardInfos(nil, infos), wire.ParseShardInfos)
}

// askPeers returns the ring as the first contact that answers sees it; nothing
// if none does.
func (n *Node) askPeers(ctx context.Context, contacts []bootstrap.Contact) []chord.Peer {
	for _, id := range n.introduceContacts(contacts) {
		ctx, cancel := context.WithTimeout(ctx, configTimeout)
		peers, err := call(ctx, n, id, rpc.Header{Method: wire.MethodPeers}, nil, wire.ParsePeers)
		cancel()
		if err == nil {
			return n.verified(peers)
		}
		n.log.Debug("ask for peers", "peer", n.label(id), "err", err)
	}
	return nil
}
