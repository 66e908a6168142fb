// Package task is for programs that run as WebAssembly modules on a peer: it calls
// the functions that the peer offers to a run. Nothing of it exists elsewhere, so a
// program that imports it is built with GOOS=wasip1 GOARCH=wasm.
//
// A reactor stays in memory and is called again and again, which takes well under a
// millisecond; it exports a function handle, which returns 0 or an exit code:
//
//	package main
//
//	import "github.com/chorus-net/chorus/compute/wasm/task"
//
//	//go:wasmexport handle
//	func handle() int32 {
//		task.Output(bytes.ToUpper(task.Input()))
//		return 0
//	}
//
//	func main() {} // not called
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o upper.wasm .
//
// Package variables are set, and init functions run, once. After each call the
// module's memory is put back to what it was then, so no call sees what another left.
//
// A command is a program like any other, which starts anew for each run. It may
// use this package, too, or read standard input and write standard output.
//
// There are no goroutines to wait for once handle has returned: what they have not
// done by then is not done. All functions may be called from any goroutine.
package task
