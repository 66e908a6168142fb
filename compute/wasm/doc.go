// Package wasm runs WebAssembly modules that nobody has to trust.
//
// A module is a command of WASI preview 1: it reads its input from standard
// input, writes its output to standard output and its log to standard error,
// and ends. It sees nothing else: no directories, no network, no environment, a
// clock that only counts how often it was read, and random bytes that follow
// from the request's seed, so that a second run gives the same output.
//
// # A child process, not a goroutine
//
// wazero's compiled code cannot be interrupted cheaply (its own check makes
// tight loops several times slower and misses deep call chains), so a module
// runs in a child process that the [Pool] kills at the deadline. The child is
// this same program, started again: the program calls [RunIfChild] first thing
// in main, which takes over when the process is such a child and returns at
// once when it is not.
//
//	func main() {
//		wasm.RunIfChild()
//		pool, err := wasm.New(wasm.Config{CacheDir: dir, Lent: true})
//		...
//		result, err := pool.Run(ctx, wasm.Request{Module: module, Input: input})
//		var failure *wasm.Error
//		if errors.As(err, &failure) && failure.Kind == wasm.KindTime { ... }
//	}
//
// A program that does not call it would start over from main in each child, so
// a Pool refuses to run with [ErrNotLent] unless [Config.Lent] says that it does.
//
// # What bounds a run
//
// Time: the child's process group gets SIGKILL. Memory: the module's own memory
// stops growing at the limit, and the child's data segment is limited by the
// kernel (Linux), so that tables, stacks and compilation are bounded too.
// Output: one byte over the limit ends the run. Log: what is over the limit is
// dropped and counted. Compilation has its own time limit, since a module is
// compiled once and run many times.
//
// A child inherits no environment, no descriptors but its two pipes, and the
// root as its working directory. It dies when its parent does: by signal on
// Linux, and because its request pipe ends everywhere. Where the kernel offers
// no such processes (anything but Unix), New says so.
//
// A child is kept warm: it serves one run at a time, keeps the modules it has
// compiled, and ends after a while without work. Compiled code is shared by all
// children, also later ones, through a directory; a module is compiled by one
// child while others that want it wait. That directory holds machine code that
// children trust, so it must belong to the peer alone.
//
// # Who may call
//
// A Pool may be used from any goroutine. [Check] is a pure function. Package
// wasm knows nothing about tasks, peers or the store: package compute/worker
// maps a task to a [Request] and an [Error] to a result.
package wasm
