// Upper is an example of a task as a WebAssembly module: it writes its input in
// upper case. A module reads its input from standard input, writes its output to
// standard output, and what it writes to standard error becomes the task's log.
//
//	GOOS=wasip1 GOARCH=wasm go build -o upper.wasm ./compute/wasm/example/upper
//	peer submit upper.wasm --input "shout this"
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "read input:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%d bytes of input\n", len(input))
	if _, err := os.Stdout.Write(bytes.ToUpper(input)); err != nil {
		fmt.Fprintln(os.Stderr, "write output:", err)
		os.Exit(1)
	}
}
