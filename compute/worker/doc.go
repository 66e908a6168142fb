// Package worker runs the tasks that a scheduler core starts.
//
// It owns the goroutines that tasks run on, the registry of Go functions, and
// the functions that every peer has. It decides nothing about where a task
// runs (package compute does) and knows no network; WebAssembly modules it hands
// to a sandbox (package wasm).
//
//	registry := worker.NewRegistry()
//	err := registry.AddBuiltins()
//	err = registry.Register("resize/v1", resize)
//	pool := worker.New(worker.Config{Registry: registry, Slots: runtime.NumCPU()})
//	defer pool.Close()
//	pool.Start(task, func(r compute.Result) { ... }) // for each of Output.Run
//	pool.Stop(ref)                                   // for each of Output.Stop
//
// All methods may be called from any goroutine; Start and Stop do not block.
// Reports come from the workers' goroutines, once for each Start, until Close.
//
// # How an attempt ends
//
// A function that returns an error has failed: the error is the code's. One that
// panics, or ends its goroutine, has crashed; the stack goes into the log. An
// attempt over its time has its context cancelled and counts as an error of the
// code; a function that does not return within a grace period after that is
// left behind on its goroutine, and its slot goes to a new one. That goroutine
// lives until the function returns: Go cannot end it. Functions are trusted; what
// is not should be a module.
package worker
