// Package heap keeps Go's garbage collector from running all the time in a process
// whose heap is small. It is for main programs, once, before they do anything else.
//
// A peer keeps a few megabytes, so that by default a collection is due whenever four more
// were allocated: under load ten times a second, for some milliseconds each, which is what the
// slowest calls then wait for. With a floor a collection is due only when as much as the floor
// was allocated. That costs as much memory while the peer is busy, and nothing while it is idle.
//
//	heap.Floor(heap.Peer)
package heap
