package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire/pb"
	"github.com/chorus-net/chorus/store"
)

// AppendNodesRequest appends the encoding of r.
func AppendNodesRequest(b []byte, r *store.NodesRequest) []byte {
	m := &pb.NodesRequest{Incarnation: r.Incarnation, Push: encodeConfig(r.Push), Nodes: make([]uint64, len(r.Nodes))}
	for i, p := range r.Nodes {
		m.Nodes[i] = uint64(p)
	}
	return appendMessage(b, m)
}

// ParseNodesRequest reads a NodesRequest of 1 to store.MaxNodes nodes.
func ParseNodesRequest(b []byte) (r store.NodesRequest, err error) {
	var m pb.NodesRequest
	if err := m.UnmarshalVT(b); err != nil {
		return r, malformed("nodes request", err)
	}
	if len(m.Nodes) < 1 || len(m.Nodes) > store.MaxNodes {
		return r, malformed("nodes request", fmt.Errorf("%d nodes", len(m.Nodes)))
	}
	r.Nodes = make([]store.Prefix, len(m.Nodes))
	for i, p := range m.Nodes {
		if r.Nodes[i] = store.Prefix(p); !r.Nodes[i].Valid() {
			return store.NodesRequest{}, malformed("nodes request", fmt.Errorf("no node %x", p))
		}
	}
	r.Target, err = parseTarget(m.Incarnation, m.Push)
	return r, err
}

// AppendNodesReply appends the encoding of r.
func AppendNodesReply(b []byte, r *store.NodesReply) []byte {
	m := &pb.NodesReply{Status: uint32(r.Status), Nodes: make([]*pb.Node, len(r.Nodes)), Config: encodeConfig(r.Config)}
	for i, n := range r.Nodes {
		m.Nodes[i] = new(pb.Node)
		for _, it := range n.Items {
			m.Nodes[i].Items = binary.BigEndian.AppendUint64(m.Nodes[i].Items, it.Path)
			m.Nodes[i].Items = binary.BigEndian.AppendUint64(m.Nodes[i].Items, it.Sum)
		}
		for _, sum := range n.Sums {
			m.Nodes[i].Sums = binary.BigEndian.AppendUint64(m.Nodes[i].Sums, sum)
		}
	}
	return appendMessage(b, m)
}

// ParseNodesReply reads a NodesReply.
func ParseNodesReply(b []byte) (store.NodesReply, error) {
	var m pb.NodesReply
	if err := parseMessage(b, &m, "nodes reply"); err != nil {
		return store.NodesReply{}, err
	}
	if len(m.Nodes) > store.MaxNodes {
		return store.NodesReply{}, malformed("nodes reply", fmt.Errorf("%d nodes", len(m.Nodes)))
	}
	r := store.NodesReply{Nodes: make([]store.Node, len(m.Nodes))}
	for i, n := range m.Nodes {
		if len(n.Items)%16 != 0 || len(n.Sums)%8 != 0 {
			return store.NodesReply{}, malformed("nodes reply", errors.New("items or sums are cut"))
		}
		for b := n.Items; len(b) > 0; b = b[16:] {
			r.Nodes[i].Items = append(r.Nodes[i].Items, store.Item{Path: binary.BigEndian.Uint64(b), Sum: binary.BigEndian.Uint64(b[8:])})
		}
		for b := n.Sums; len(b) > 0; b = b[8:] {
			r.Nodes[i].Sums = append(r.Nodes[i].Sums, binary.BigEndian.Uint64(b))
		}
	}
	var err error
	r.Status, r.Config, err = parseStatus(m.Status, m.Config)
	return r, err
}

// AppendHorizonRequest appends the encoding of r.
func AppendHorizonRequest(b []byte, r *store.HorizonRequest) []byte {
	m := &pb.HorizonRequest{Incarnation: r.Incarnation, Push: encodeConfig(r.Push), Horizon: r.Horizon, Confirm: r.Confirm}
	if r.From != (store.Voter{}) {
		m.From = &pb.Voter{Peer: []byte(r.From.Peer), Incarnation: r.From.Incarnation}
	}
	return appendMessage(b, m)
}

// ParseHorizonRequest reads a HorizonRequest.
func ParseHorizonRequest(b []byte) (r store.HorizonRequest, err error) {
	var m pb.HorizonRequest
	if err := parseMessage(b, &m, "horizon request"); err != nil {
		return r, err
	}
	r.Horizon, r.Confirm = m.Horizon, m.Confirm
	if from := m.From; from != nil {
		if len(from.Peer) > store.MaxPeerID {
			return store.HorizonRequest{}, malformed("horizon request", fmt.Errorf("peer ID of %d bytes", len(from.Peer)))
		}
		r.From = store.Voter{Peer: chord.PeerID(string(from.Peer)), Incarnation: from.Incarnation}
	}
	r.Target, err = parseTarget(m.Incarnation, m.Push)
	return r, err
}

// AppendHorizonReply appends the encoding of r.
func AppendHorizonReply(b []byte, r *store.HorizonReply) []byte {
	return appendMessage(b, &pb.HorizonReply{Status: uint32(r.Status), Config: encodeConfig(r.Config)})
}

// ParseHorizonReply reads a HorizonReply.
func ParseHorizonReply(b []byte) (r store.HorizonReply, err error) {
	var m pb.HorizonReply
	if err := parseMessage(b, &m, "horizon reply"); err != nil {
		return r, err
	}
	r.Status, r.Config, err = parseStatus(m.Status, m.Config)
	return r, err
}
