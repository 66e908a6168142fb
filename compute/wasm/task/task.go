//go:build wasip1

package task

import (
	"errors"
	"unsafe"
)

// Errors of Get and Put, which are wrapped with what the peer says.
var (
	ErrNotFound = errors.New("not found")
	// ErrRefused is for a key outside the namespace that the task was granted.
	ErrRefused = errors.New("refused")
)

// Input returns what the task was submitted with; of a run that joins parts, what
// the run put out that spawned them.
func Input() []byte { return fetch(hostInput) }

// Output adds to what the run puts out. One byte over the limit ends the run.
func Output(b []byte) { hostOutput(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))) }

// Log adds a line to the task's log, which people see beside its result.
func Log(line string) {
	b := append([]byte(line), '\n')
	hostLog(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
}

// SHA256 returns the hash of b, computed by the peer.
func SHA256(b []byte) (sum [32]byte) {
	hostSHA256(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)), unsafe.Pointer(&sum))
	return sum
}

// Spawn divides the task: a part with that input becomes a task of its own, which
// runs wherever a peer is idle, and may be divided in turn. Once all parts are done
// this module runs again, with their outputs as Parts. A run spawns at most 1,024
// parts, whose inputs take at most 1 MiB; one more ends it. The part that comes first is
// what this peer goes on with, and the last one is the first to be taken by another.
func Spawn(input []byte) {
	hostSpawn(unsafe.Pointer(unsafe.SliceData(input)), uint32(len(input)))
}

// Parts returns what the parts put out, in the order in which they were spawned,
// if this run is to join them. Otherwise there are none.
func Parts() [][]byte {
	parts := make([][]byte, hostParts())
	for i := range parts {
		parts[i] = fetch(func(at unsafe.Pointer, room uint32) uint32 { return hostPart(uint32(i), at, room) })
	}
	return parts
}

// Get returns the value of a key, "namespace/name". The error is ErrNotFound,
// ErrRefused, or tells that the ring did not answer.
func Get(key string) ([]byte, error) {
	if n := hostGet(unsafe.Pointer(unsafe.StringData(key)), uint32(len(key))); n < 0 {
		return nil, failure(n)
	}
	return fetch(hostAnswer), nil
}

// Put sets the value of a key, "namespace/name", of at most 512 KiB. A task may
// run more than once, so what it puts should depend on its input alone.
func Put(key string, value []byte) error {
	n := hostPut(unsafe.Pointer(unsafe.StringData(key)), uint32(len(key)), unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)))
	if n < 0 {
		return failure(n)
	}
	return nil
}

// storeError is what the peer says of a call that failed.
type storeError struct {
	text string
	kind error
}

func (e *storeError) Error() string { return e.text }
func (e *storeError) Unwrap() error { return e.kind }

func failure(code int32) error {
	e := &storeError{text: string(fetch(hostAnswer))}
	switch code {
	case -1:
		e.kind = ErrNotFound
	case -2:
		e.kind = ErrRefused
	}
	return e
}

// fetch gets bytes of a length that only the host knows.
func fetch(get func(at unsafe.Pointer, room uint32) uint32) []byte {
	b := make([]byte, get(nil, 0))
	get(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
	return b
}

//go:wasmimport chorus input
//go:noescape
func hostInput(at unsafe.Pointer, room uint32) uint32

//go:wasmimport chorus output
//go:noescape
func hostOutput(at unsafe.Pointer, n uint32)

//go:wasmimport chorus log
//go:noescape
func hostLog(at unsafe.Pointer, n uint32)

//go:wasmimport chorus sha256
//go:noescape
func hostSHA256(at unsafe.Pointer, n uint32, sum unsafe.Pointer)

//go:wasmimport chorus parts
func hostParts() uint32

//go:wasmimport chorus part
//go:noescape
func hostPart(i uint32, at unsafe.Pointer, room uint32) uint32

//go:wasmimport chorus spawn
//go:noescape
func hostSpawn(at unsafe.Pointer, n uint32) uint32

//go:wasmimport chorus get
//go:noescape
func hostGet(key unsafe.Pointer, n uint32) int32

//go:wasmimport chorus put
//go:noescape
func hostPut(key unsafe.Pointer, n uint32, value unsafe.Pointer, size uint32) int32

//go:wasmimport chorus answer
//go:noescape
func hostAnswer(at unsafe.Pointer, room uint32) uint32
