//go:build wasip1

// Keeper is a reactor that tries to keep something from call to call, and reports
// what it finds.
package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"time"
	"unsafe"

	"github.com/chorus-net/chorus/compute/wasm/task"
)

var (
	calls   int
	kept    [][]byte
	started = time.Now()
	names   = map[string]int{"a": 1, "b": 2, "c": 3, "d": 4}
)

//go:wasmimport wasi_snapshot_preview1 random_get
//go:noescape
func randomGet(at unsafe.Pointer, n uint32) uint32

func say(what string, n int64) {
	os.Stdout.WriteString(what + " " + strconv.FormatInt(n, 10) + "\n")
}

//go:wasmexport handle
func handle() int32 {
	calls++
	kept = append(kept, make([]byte, 16<<20)) // grows the memory
	kept[0][len(kept[0])-1] = byte(calls)
	go func() {
		for {
			calls++
			time.Sleep(time.Millisecond)
		}
	}()
	time.Sleep(10 * time.Millisecond)
	var random int64
	randomGet(unsafe.Pointer(&random), 8)
	say("input", int64(len(task.Input())))
	say("calls", int64(calls))
	say("kept", int64(len(kept)))
	say("random", random)
	say("random of Go", rand.Int64())
	say("time", time.Now().UnixNano())
	say("since the start", int64(time.Since(started)))
	for k, v := range names {
		say(k, int64(v))
		delete(names, k)
	}
	os.Stdout.Close()
	return 0
}

func main() {}
