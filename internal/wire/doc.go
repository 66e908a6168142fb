// Package wire holds what travels between peers, and between a peer and its
// command line: the method numbers, the protobuf messages (package pb, whose Go
// code is generated and committed) and the conversions between these messages
// and the plain data of the cores.
//
// It owns names and formats, nothing else: no stream, no dispatch (package
// rpc), no decision. All functions are pure and may be called from any
// goroutine.
//
// # Adding a message
//
//  1. Describe it in a .proto file of folder pb, one file a subject, in package
//     chorus.v1 with the go_package option of its neighbours. Comment the fields;
//     never reuse a number. Import a neighbour as "chorus/v1/NAME.proto".
//  2. Run go generate ./internal/wire (make proto does the same). It needs
//     nothing but Go, and rewrites every generated file, so commit what changed.
//  3. Write the two conversions in a file named after the subject, such as
//     ring.go: AppendX(b []byte, x X) []byte and ParseX(b []byte) (X, error). Marshal
//     with MarshalVT, or SizeVT and MarshalToSizedBufferVT into a buffer at hand.
//     Parse with UnmarshalVT, or with UnmarshalVTUnsafe where the result may alias
//     its input (bytes and strings then point into it: with a request, Detach it).
//  4. A parser takes bytes from anybody: check lengths, counts and ranges before
//     they cost memory, and give it a fuzz target and golden bytes.
//
// Methods are numbered in methods.go and registered by whoever serves them.
package wire

//go:generate go run -C ../tools/proto . ../../wire/pb
