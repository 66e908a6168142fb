// Package wasm runs WebAssembly modules that nobody has to trust.
//
// A module is a command or a reactor of WASI preview 1. A command exports _start: it
// reads its input from standard input, writes its output to standard output and
// its log to standard error, and ends. A reactor exports handle, below, and stays
// for further runs. A module sees nothing else but what it imports from "chorus":
// no directories, no network, no environment, a clock that starts at the same moment
// for each run and moves on when it is read or slept on, and random bytes that follow
// from the request's seed, so that a second run gives the same output. (The bits of a
// floating-point NaN may differ between processors, and what the store has may change.)
//
// # Reactors
//
// A reactor is made once in each child, its _initialize is called, if it has one, and
// then handle for each run. It returns nothing, or an i32, which is 0 or an exit code.
// After a run its memory and its variables are put back to what they were when it
// was ready, by dropping the pages that changed (Linux; elsewhere by copying). So no
// run sees what another left, which may have been somebody else's, and a warm run
// gives the output that a fresh one would. Tables are not put back: no compiler makes
// code that changes them. What a reactor prints while it is made is logged by the run
// that needed it. A run that fails takes its instance along.
//
// # Host functions
//
// Commands and reactors may import these from "chorus". All values are i32; a memory
// of the module's is given as its address and its length.
//
//	input(at, room) size            copies what fits of the input, whose size it returns
//	output(at, n)                   adds to the output, like standard output
//	log(at, n)                      adds to the log, like standard error
//	sha256(at, n, sum)              puts the hash of n bytes, 32 bytes, at sum
//	spawn(at, n) i                  divides the task: adds part i, whose input this is
//	parts() n                       how many parts are to be joined; 0: none
//	part(i, at, room) size          copies what fits of what part i put out
//	get(key, n) size                asks for the value of a key, which is then the answer
//	put(key, n, value, size) 0      sets the value of a key
//	answer(at, room) size           copies what fits of the answer to the last get or put
//
// Get and put return -1 for a key that is not there, -2 for one that the task was
// not granted, -3 when the store failed; the answer then says why in words. A run
// that spawned is followed by one that joins, once the parts are done: input is what
// the first put out, and the parts are what they put out. It cannot spawn more.
// Package task has these functions for modules written in Go; example/reverse shows how
// they are declared in C.
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
// Time: the child's process group gets SIGKILL. What the store takes to answer counts
// as the module's time. Memory: the module's own memory stops growing at the limit,
// its tables, which are the host's memory, may grow by 2^20 elements in all, and the
// child's data segment is limited by the kernel (Linux), so that stacks and
// compilation are bounded too. Output: one byte over the limit ends the run. Log: what
// is over the limit is dropped and counted. Compilation has its own time limit, since
// a module is compiled once and run many times.
//
// A child inherits no environment, no descriptors but its two pipes, and the
// root as its working directory. It dies when its parent does: by signal on
// Linux, and because its request pipe ends everywhere. Where the kernel offers
// no such processes (anything but Unix), New says so.
//
// A child is kept warm: it serves one run at a time, keeps the modules it has
// compiled and instances of reactors (up to 256 MiB of them), and ends after a while without work. Compiled code is shared by all
// children, also later ones, through a directory; a module is compiled by one
// child while others that want it wait. That directory holds machine code that
// children trust, so it must belong to the peer alone.
//
// # Who may call
//
// A Pool may be used from any goroutine. [Check] is a pure function. Package
// wasm knows nothing about tasks, peers or the store: package compute/worker
// maps a task to a [Request] and an [Error] to a result, and a [Store] is handed in
// with the request.
package wasm
