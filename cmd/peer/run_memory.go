package main

import "runtime/debug"

// leastMemory is the least that a peer can be told to stay within: an idle one takes
// half of that.
const leastMemory = 64 << 20

// limitMemory makes the process aim to stay within so many bytes, if not 0. What Go
// does not count, and the heap beyond its aim while the collector works, gets a
// quarter; files that the storage engine maps come and go as the system has room.
func limitMemory(bytes int64) error {
	switch {
	case bytes == 0:
		return nil
	case bytes < leastMemory:
		least := size(leastMemory)
		return usage("peer run", "--memory must be at least %s", least.String())
	}
	debug.SetMemoryLimit(bytes / 4 * 3)
	return nil
}
