package overlay

import (
	"sync/atomic"

	"github.com/chorus-net/chorus/compute/wasm"
)

// lent tells whether the program called Init, so that WebAssembly tasks may
// re-execute it as their sandbox.
var lent atomic.Bool

// Init lends the program as the sandbox of WebAssembly tasks. Call it first in
// main: a peer runs such a task in a child process, which is this program
// executed again, and in that child Init runs the sandbox and never returns.
// Without it WebAssembly tasks are refused with that advice.
func Init() {
	wasm.RunIfChild()
	lent.Store(true)
}
