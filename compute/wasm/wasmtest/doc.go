// Package wasmtest puts WebAssembly modules together, byte by byte, for tests of
// what a peer does with them: good ones, broken ones and hostile ones, all of a few
// hundred bytes, so that no binary has to be kept and no compiler has to be there.
//
//	module := wasmtest.Module{
//		Imports: wasmtest.Host("input", "output"),
//		Funcs:   []wasmtest.Func{{Export: "handle", Results: 1, Body: wasmtest.I32(0)}},
//	}.Assemble()
//
// A body is instructions in the binary format, one function of this package each.
// Nothing checks that they make sense: a module that does not is a test, too. The
// modules import WASI preview 1 and the functions that package wasm grants in the
// form in which C compilers for WASI do.
package wasmtest
