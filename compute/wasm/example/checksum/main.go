//go:build wasip1

// Checksum is an example of a task as a reactor, a WebAssembly module that stays in
// memory between calls: it puts out the SHA-256 of its input as hex digits.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o checksum.wasm ./compute/wasm/example/checksum
//	peer submit checksum.wasm --input "sum this"
package main

import (
	"encoding/hex"

	"github.com/chorus-net/chorus/compute/wasm/task"
)

//go:wasmexport handle
func handle() int32 {
	sum := task.SHA256(task.Input())
	task.Output(hex.AppendEncode(nil, sum[:]))
	return 0
}

func main() {}
