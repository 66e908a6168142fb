package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
)

// maxAddrs bounds the addresses kept for a peer.
const maxAddrs = 16

// AddPeer tells under which multiaddrs (without /p2p/) a peer can be reached.
// Addresses that cannot be read are skipped, as are those beyond 16: they come
// from other peers.
func (h *Host) AddPeer(id chord.PeerID, addrs []string) {
	p := peer.ID(id)
	if p == h.host.ID() || !ValidPeerID(id) {
		return
	}
	var list []ma.Multiaddr
	for _, s := range addrs {
		if a, err := ma.NewMultiaddr(s); err == nil && len(list) < maxAddrs {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return
	}
	store := h.host.Peerstore()
	if h.host.Network().Connectedness(p) != network.Connected {
		store.ClearAddrs(p)
	}
	store.AddAddrs(p, list, peerstore.PermanentAddrTTL)
}

// RemovePeer forgets a peer's addresses.
func (h *Host) RemovePeer(id chord.PeerID) {
	h.host.Peerstore().ClearAddrs(peer.ID(id))
}

// PeerAddrs returns the multiaddrs known for a peer.
func (h *Host) PeerAddrs(id chord.PeerID) []string {
	var addrs []string
	for _, a := range h.host.Peerstore().Addrs(peer.ID(id)) {
		addrs = append(addrs, a.String())
	}
	return addrs
}

// Connect opens a stream to the peer at a multiaddr that ends in /p2p/ and its
// ID, and returns that ID. Errors: a multiaddr that cannot be read;
// rpc.ErrUnreachable; code rpc.CodeWrongRing if the peer is of another ring.
func (h *Host) Connect(ctx context.Context, addr string) (chord.PeerID, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return "", fmt.Errorf("connect to %q: %w", addr, err)
	}
	h.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
	h.forgive(info.ID)
	if _, err := h.streamTo(ctx, info.ID, noDeadline); err != nil {
		return "", fmt.Errorf("connect to %q: %w", addr, err)
	}
	return chord.PeerID(info.ID), nil
}

// forgive lets the next attempt at a peer happen at once.
func (h *Host) forgive(id peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.links[id]; l != nil {
		l.failures = 0
		l.retryAt = noDeadline
	}
}

// newStream opens a stream of calls. libp2p's own pause between dials is
// skipped, since it can keep a peer that has just restarted out of reach for
// minutes. A peer without an address is looked up in Kademlia.
func (h *Host) newStream(ctx context.Context, id peer.ID) (network.Stream, error) {
	if s, ok := h.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(id)
	}
	connected := h.host.Network().Connectedness(id) == network.Connected
	if h.kad != nil && !connected && len(h.host.Peerstore().Addrs(id)) == 0 {
		info, err := h.kad.FindPeer(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("no address: %w", err)
		}
		h.host.Peerstore().AddAddrs(id, info.Addrs, peerstore.TempAddrTTL)
	}
	ctx, stop := unlessRefused(ctx, h.dialable(id))
	defer stop()
	s, err := h.host.NewStream(ctx, id, h.calls)
	if err != nil {
		if errors.Is(context.Cause(ctx), errRefused) {
			err = errRefused
		}
		return nil, fmt.Errorf("open stream: %w", err)
	}
	return s, nil
}

// dialable returns the addresses known for a peer, without those that are not dialled.
func (h *Host) dialable(id peer.ID) []ma.Multiaddr {
	return slices.DeleteFunc(h.host.Peerstore().Addrs(id), func(a ma.Multiaddr) bool { return h.ranges != nil && !h.ranges.mayDial(a) })
}

// dialError is the error of an attempt, begun at start, that failed with err.
func (h *Host) dialError(id peer.ID, start time.Time, err error) *rpc.Error {
	if h.keeper != nil {
		if refusal := h.keeper.refusal(id, start); refusal != nil {
			return &rpc.Error{Code: rpc.CodeRefused, Message: refusal.Error()}
		}
	}
	return &rpc.Error{Code: dialCode(err), Message: err.Error()}
}

// dialCode says which code describes an attempt that failed.
func dialCode(err error) string {
	var unsupported multistream.ErrNotSupported[protocol.ID]
	if errors.As(err, &unsupported) {
		return rpc.CodeWrongRing
	}
	return rpc.CodeUnreachable
}
