package p2p

import (
	"errors"
	"fmt"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/chorus-net/chorus/chord"
)

// maxLookupChecks bounds the peers that Kademlia tries out at a time before it
// takes them into its table. Peers of the ring need no trial, see OfferKad; when
// hundreds connect at once, one for each would cost more than the connections.
const maxLookupChecks = 4

// newKad starts Kademlia on h. It finds peers and who has what; it keeps no
// values. Its own way of filling its table, a walk to every part of the key space
// every few minutes, stays off: who knows the ring fills it better for nothing.
// Every peer of a ring serves, since a private network has nobody else
// to ask, and no public peer is ever contacted: the protocol is the ring's own.
func newKad(h *kadHost, prefix protocol.ID) (*dht.IpfsDHT, error) {
	kad, err := dht.New(h,
		dht.ProtocolPrefix(prefix),
		dht.Mode(dht.ModeServer),
		dht.BootstrapPeers(),
		dht.DisableValues(),
		dht.RoutingTableFilter(func(_ any, id peer.ID) bool { return h.member(id) }),
		dht.DisableAutoRefresh(),
		dht.LookupCheckConcurrency(maxLookupChecks),
	)
	if err != nil {
		return nil, fmt.Errorf("start Kademlia: %w", err)
	}
	return kad, nil
}

// OfferKad puts peers of the ring into Kademlia's routing table, as far as it
// has room. By itself Kademlia learns of peers from connections and queries
// alone, and in a small network both are too few: its table would stay nearly
// empty. The table replaces those that turn out to be of no use.
func (h *Host) OfferKad(ids ...chord.PeerID) {
	if h.kad == nil {
		return
	}
	for _, id := range ids {
		if p := peer.ID(id); p != h.host.ID() && ValidPeerID(id) {
			// A bucket that is full has peers enough.
			_, _ = h.kad.RoutingTable().TryAddPeer(p, false, true)
		}
	}
}

// PruneKad takes peers out of Kademlia's routing table that are neither members
// nor connected: Kademlia itself keeps those that have left until it asks them
// something.
func (h *Host) PruneKad(member func(chord.PeerID) bool) {
	if h.kad == nil {
		return
	}
	for _, p := range h.kad.RoutingTable().ListPeers() {
		if !member(chord.PeerID(p)) && h.host.Network().Connectedness(p) != network.Connected {
			h.kad.RoutingTable().RemovePeer(p)
		}
	}
}

// IsAlone reports whether an error of Kademlia's means that it knows no other
// peer to ask.
func IsAlone(err error) bool { return errors.Is(err, kbucket.ErrLookupFailure) }

// RoutingQuorum returns how many answers the options of a call ask for with
// kad-dht's Quorum; 0 if they say nothing.
func RoutingQuorum(o *routing.Options) int {
	n, _ := o.Other[quorumOption].(int)
	return n
}

// quorumOption is the key of kad-dht's option Quorum, which is not exported.
var quorumOption = func() any {
	var o routing.Options
	if err := o.Apply(dht.Quorum(1)); err != nil {
		panic(fmt.Sprintf("p2p: option Quorum: %v", err))
	}
	for key := range o.Other {
		return key
	}
	panic("p2p: kad-dht's Quorum sets no option")
}()
