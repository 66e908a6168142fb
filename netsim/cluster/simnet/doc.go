// Package simnet is a network inside one process, for real libp2p hosts.
//
// Hosts are numbered from 0. Each has an address of its own and a cable of a
// certain bandwidth; all cables meet in one router, which adds latency. On top
// of that this package loses packets, splits the hosts into groups that do not
// hear each other, and takes hosts down as a crash does. Links, rates and queues
// (FQ-CoDel) are those of github.com/marcopolo/simnet. Only QUIC runs on it.
//
//	network, err := simnet.New(simnet.Settings{Latency: 10 * time.Millisecond, Loss: 0.01, Seed: 1})
//	...
//	defer network.Close()
//	for i := range 5 {
//		h, err := libp2p.New(network.HostOptions(i)...)
//		...
//	}
//	network.Partition([]int{0, 1}, []int{2, 3, 4})
//	network.Heal()
//	network.Down(3) // then close the host: nothing of it is heard
//	network.Up(3)   // and start another one in its place
//
// A program that makes its hosts by itself gives them [Network.ListenUDP] and
// [Network.ListenAddr]. Hosts are closed before the network.
//
// Methods may be called from any goroutine. Everything waits on channels and
// timers alone, so that inside testing/synctest time is virtual. Which packets
// are lost follows from the seed and the order in which a host sends; that order
// is up to the scheduler, so two runs are alike, not identical.
//
// Package simnet knows nothing about Chorus: package netsim/cluster puts nodes
// on it.
package simnet
