package main

import (
	"runtime/debug"

	"github.com/chorus-net/chorus/internal/heap"
)

// leastMemory is the least that a peer can be told to stay within: an idle one takes
// half of that.
const leastMemory = 64 << 20

// limitMemory makes the process aim to stay within so many bytes, if not 0. What Go
// does not count, and the heap beyond its aim while the collector works, gets a
// quarter; files that the storage engine maps come and go as the system has room. The floor
// under the heap counts for Go, and takes no memory.
func limitMemory(bytes int64) error {
	switch {
	case bytes == 0:
		heap.Floor(heap.Peer)
		return nil
	case bytes < leastMemory:
		least := size(leastMemory)
		return usage("peer run", "--memory must be at least %s", least.String())
	}
	heap.Floor(heap.Peer)
	debug.SetMemoryLimit(bytes/4*3 + heap.Peer)
	return nil
}
