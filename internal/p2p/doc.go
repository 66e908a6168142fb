// Package p2p connects a peer with the others of its ring: a libp2p host, the
// calls between peers on top of it, and Kademlia beside them. It is the only
// package of the product that imports libp2p; to everybody else a peer is a
// chord.PeerID and an address a multiaddr in a string.
//
// It owns sockets, streams, dialling and addresses. It decides nothing about
// the ring: who is a member, who is suspected and who holds what are other
// packages' matters, for which OnConnect and OnDisconnect are hints.
//
// Kademlia speaks the ring's own protocol and keeps no values. OfferKad and
// PruneKad make its routing table follow the ring, as the owner of the view tells;
// it does not fill that by walks of its own.
//
// A Host that listens elsewhere than on loopback finds out whether others can open connections
// to it: it has peers beyond its own subnets dial back. Where they cannot, it keeps places at two
// peers that can be reached, and is dialled through those (circuits of libp2p, without its limits
// and for members alone) until hole punching gives a way without them. A circuit ends in the
// handshake and the gate of any connection. A stranger who asks a peer behind a relay to be let in
// gets no circuit: members hand on that one exchange, without being able to read it. Among neighbours, and on loopback, nothing of that
// sends a byte. Profile says which addresses are announced and dialled.
//
// Metrics of libp2p go to Config.Metrics; kad-dht's are bridged by KadMetrics.
//
// A Host keeps at most one stream of calls to each peer, whichever side opened
// it; see package rpc for what travels there. The first call to a peer opens
// it, and all calls made meanwhile wait for the same attempt.
//
// All methods of Host may be called from any goroutine. Handlers run as package
// rpc describes. Callbacks are called without locks, from goroutines of the
// Host, and must not block.
//
//	host, err := p2p.New(ctx, p2p.Config{
//		Key:      key,
//		Listen:   []string{"/ip4/0.0.0.0/tcp/4747", "/ip4/0.0.0.0/udp/4747/quic-v1"},
//		Ring:     ringID,
//		Registry: registry,
//	})
//	if err != nil {
//		return err
//	}
//	defer host.Close()
//	id, err := host.Connect(ctx, "/ip4/10.0.0.7/tcp/4747/p2p/12D3KooW...")
//	if err != nil {
//		return err
//	}
//	reply, err := host.Call(ctx, id, rpc.Header{Method: wire.MethodPing}, []byte("hello"))
package p2p
