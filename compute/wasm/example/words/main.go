//go:build wasip1

// Words is an example of a task that uses the store: its input names a key, and it
// keeps the number of words of that key's value under the same name with .words after
// it. It may do so in the namespace that it is granted.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o words.wasm ./compute/wasm/example/words
//	peer put books/moby "Call me Ishmael"
//	peer submit words.wasm --input books/moby --grant books
//	peer get books/moby.words
package main

import (
	"bytes"
	"strconv"

	"github.com/chorus-net/chorus/compute/wasm/task"
)

//go:wasmexport handle
func handle() int32 {
	key := string(task.Input())
	text, err := task.Get(key)
	if err != nil {
		task.Log(err.Error())
		return 1
	}
	words := strconv.Itoa(len(bytes.Fields(text)))
	if err := task.Put(key+".words", []byte(words)); err != nil {
		task.Log(err.Error())
		return 1
	}
	task.Output([]byte(words))
	return 0
}

func main() {}
