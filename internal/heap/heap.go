package heap

import "sync/atomic"

// Peer is the floor of a peer, in bytes.
const Peer = 32 << 20

// ballast is memory that is never touched, and so takes none of the machine's. The
// collector counts it as in use, and waits until as much again was allocated.
var ballast atomic.Pointer[[]byte]

// Floor makes the collector wait until so many bytes were allocated. A later call takes the
// place of an earlier one; 0 ends it. It may be called from any goroutine.
func Floor(bytes int) {
	b := make([]byte, bytes)
	ballast.Store(&b)
}
