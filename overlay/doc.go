// Package overlay is Chorus as a library: a peer of a ring that keeps
// replicated keys and shares work.
//
// Join makes a Node, which is one peer. Any peer serves any call: Put, Get,
// Delete and List reach the peers that hold a key, Submit starts tasks that run
// wherever a peer is idle. There is no master.
//
//	func main() {
//		overlay.Init() // lends this program as the WebAssembly sandbox
//		ctx := context.Background()
//		node, err := overlay.Join(ctx, overlay.Config{Home: "/var/lib/app", Peers: []string{addr}})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer node.Close()
//		receipt, err := node.Put(ctx, "photos/7", jpeg)
//		record, err := node.Get(ctx, "photos/7")
//	}
//
// # What it owns
//
// The package wires the pure cores (chord, store, compute) to the network, the
// disk and the workers. It holds no protocol of its own: each file drives one
// core.
//
//	ring.go      the ring core and its messages
//	shards.go    this peer's shards: configurations, epochs, writes under way
//	replica.go   what other peers may ask of this peer's shards
//	quorum.go    quorum operations on keys
//	outbox.go    writes that go to the same peer share a call
//	mover.go     moves shards to where the ring wants them
//	repair.go    keeps replicas of a shard alike
//	tasks.go     the scheduler core and its workers
//	control.go   the Unix socket that the command line talks to
//	datastore.go the ring as a go-datastore
//	routing.go   the ring and Kademlia as libp2p's routing
//	metrics.go   what the parts count, for Prometheus
//
// # Beside the keys
//
// Node.Routing is for what is built on libp2p. Its values are keys of the
// ring, in the namespace "routing"; peers, providers and rendezvous go by
// Kademlia, which runs on the same host under the ring's own protocol and is told
// of every peer of the ring. Node.Metrics is an http.Handler that looks at all
// parts when it is scraped; what has to be counted as it happens is off unless
// Config.Metrics is set.
//
//	rendezvous := discovery.NewRoutingDiscovery(node.Routing()) // of go-libp2p
//	http.Handle("/metrics", node.Metrics())
//
// # Goroutines
//
// All methods of a Node may be called from any goroutine. The context of Join
// bounds joining only. Close stops the peer and keeps its data for the next
// start; Leave hands its data over to other peers and ends its membership.
package overlay
