package rpc

import "sync"

// The memory of queued frames is cut into chunks of one size, so that a burst
// neither copies nor strands a large buffer. Payloads that outlive the read
// buffer have a pool of their own, since they tend to be small.
const (
	chunkSize  = 64 << 10
	memorySize = 1 << 10
	maxMemory  = 32 << 10 // larger ones are not worth keeping
)

var (
	chunks   = sync.Pool{New: func() any { b := make([]byte, 0, chunkSize); return &b }}
	memories = sync.Pool{New: func() any { b := make([]byte, 0, memorySize); return &b }}
)

// getChunk returns an empty chunk with room for n bytes.
func getChunk(n int) *[]byte {
	if n > chunkSize {
		b := make([]byte, 0, n)
		return &b
	}
	return chunks.Get().(*[]byte)
}

func putChunk(b *[]byte) {
	if cap(*b) == chunkSize {
		*b = (*b)[:0]
		chunks.Put(b)
	}
}

// getMemory returns a copy of payload.
func getMemory(payload []byte) *[]byte {
	b := memories.Get().(*[]byte)
	*b = append(*b, payload...)
	return b
}

func putMemory(b *[]byte) {
	if cap(*b) <= maxMemory {
		*b = (*b)[:0]
		memories.Put(b)
	}
}
