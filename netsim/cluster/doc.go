// Package cluster runs many real peers in one process: overlay Nodes with their
// disks, on loopback or on a simulated network with latency, loss and
// partitions. The demo, benchmarks and whole-node tests use it.
//
//	c, err := cluster.Start(ctx, cluster.Settings{Peers: 5, Dir: dir})
//	...
//	defer c.Close()
//	err = c.Agree(ctx) // all peers see one ring of all peers
//	c.Nodes()[3].Kill()
//	node, err := c.Restart(ctx, 3)
//
// It owns the peers that it starts, their homes below Settings.Dir and the
// simulated network (package simnet). It decides nothing: what peers do is
// theirs.
//
// Methods may be called from any goroutine, except that Restart, Add and Close
// exclude each other.
package cluster
