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
//	positions.go where this peer stands, which its first start settles
//	shards.go    this peer's shards: configurations, epochs, writes under way
//	replica.go   what other peers may ask of this peer's shards
//	quorum.go    quorum operations on keys
//	cas.go       registers, which change by compare-and-swap
//	outbox.go    writes that go to the same peer share a call
//	sloppy.go    writes while voters are out of reach; hints.go keeps them for those
//	stream.go    values of any size; chunks.go stores and finds their chunks
//	collect.go   forgets chunks that nothing refers to
//	merge.go     the keys of all shards in order
//	abreast.go   up to when this peer's shards hold what others had of them
//	changes.go   the log of this peer's changes; watch.go follows those of others
//	data.go      opens the disk, and sets damaged data aside
//	owned.go     signs, and checks, records of namespaces that belong to a peer
//	namespaces.go  what a namespace sets for calls on its keys
//	copies.go    gives a namespace its N: banks.go makes the shards of that N,
//	             fences.go keeps its keys out of others, place.go finds theirs
//	mover.go     moves shards to where the ring wants them
//	repair.go    keeps replicas of a shard alike; pace.go has that give way to requests
//	top.go       what all peers have to do
//	tasks.go     the scheduler core and its workers
//	durable.go   who works at durable jobs; durable_job.go works at one, by
//	             durable_register.go; durable_view.go shows them
//	control.go   the Unix socket that the command line talks to; desk.go answers
//	guest.go     a peer that is less than a member: guest_calls.go has members carry
//	             out its calls, which guests.go answers there
//	datastore.go the ring as a go-datastore
//	routing.go   the ring and Kademlia as libp2p's routing
//	metrics.go   what the parts count, for Prometheus
//
// # Large values
//
// A value of more than 512 KiB is cut into chunks of 256 KiB. The record of its
// key, marked [store.Record].Large, holds a manifest, which lists the chunks by
// their SHA-256; a chunk of KEY is the record "_chunk/SCOPE/HASH", where the scope
// is half of KEY's position. Chunks so belong to one key: whether one is needed,
// a single manifest tells. Sharing them between keys would take counts, or marks,
// that span the ring. A put runs
//
//	note      write "_large/KEY", so that what follows is looked after
//	chunks    store each, unless a quorum holds it at a version of less than 12 h
//	commit    write the manifest, if the oldest chunk is not older than 18 h; look
//	          at the clock again when a quorum has it, and fail if it is now
//
// Nothing shows before the commit, nothing is locked, and whoever puts the same
// value again finds the chunks that are there. A get takes chunks from any one
// replica whose bytes match the hash.
//
// Every hour the first live voter of a shard walks through the "_large/KEY" that
// the shard holds. Where the manifest has changed since the last time it lists the
// chunks of KEY, and replaces each that the manifest of a quorum does not list and
// that is more than 24 h old by a tombstone. When all voters, not just a quorum, list
// no such chunk any more, the note says for which version of KEY that was done, or
// goes with a KEY that is gone.
//
// Why no chunk goes that a manifest lists: a chunk here is one version of its
// record, since the tombstone has the version right after the one that was
// judged, and whatever was or is written later outlives it, however late the
// tombstone comes. A put counts on a version up to the age of 18 h, when its
// manifest is at a quorum; a version is judged from the age of 24 h on, by a
// manifest that is read after that. So the judge sees the manifest of every put
// that counted on the version and has not failed, or the one which replaced it.
// That takes clocks that are less than 6 h apart; the store refuses versions from
// clocks more than a minute ahead. A reader of a value that was replaced, or is
// gone, has an hour before its chunks may go: of one that is gone the note says since
// when it is.
//
// Such a tombstone lies below the shard's horizon, and is let in all the same, in
// these two namespaces alone. What package store proves of deletes does not hold
// there: a chunk that a voter missed the tombstone of comes back, and goes with the
// next sweep, to which the note leads until that voter has answered. Nobody sees it meanwhile, as chunks are read by a manifest.
//
// The note is at a quorum at least, at every level: it keeps the namespace from being
// given another N, and so its chunks and its manifest in one bank of shards.
//
// # Watching
//
// Each peer keeps the last changes of its records in memory, in the order in which
// its disk took them. A watch follows each shard at one voter, all the shards of
// one voter by one call that waits there; its cursor is a position in the log of
// each voter followed. What is acknowledged gets to every voter, by the write
// itself or by repair, and so into the log that is followed: late at worst. Where
// the log does not reach back (the voter is another one, its process was
// restarted, or too much changed) the position from which changes will come is
// taken first, and then all keys that the voter holds count as changed. A watch
// that is not read stops asking, and ends after a minute; and one that has to take all
// keys for changed ends if a horizon was raised beyond the time up to which it
// followed them, as it would miss what was deleted and forgotten since. It followed
// them for as long as the voter was abreast (abreast.go): a voter that is cut off goes
// on answering, and knows of no delete. A namespace
// that is given an N of its own while a watch of several runs is followed from its
// first key on, some seconds late.
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
