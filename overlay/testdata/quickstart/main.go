// Quickstart uses Chorus from a module of its own: a peer in memory, a key, a task.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/chorus-net/chorus/overlay"
)

func main() {
	overlay.Init() // lends this program as the WebAssembly sandbox
	ctx := context.Background()
	shout := overlay.Func("shout/v1", func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil })
	node, err := overlay.Join(ctx, overlay.Config{
		Create: true, Open: true, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Funcs: []overlay.AnyFunc{shout},
	})
	check(err)
	defer node.Close()
	receipt, err := node.Put(ctx, "greeting", []byte("hello"))
	check(err)
	record, err := node.Get(ctx, receipt.Key)
	check(err)
	job, err := shout.Submit(ctx, node, string(record.Value))
	check(err)
	loud, err := job.Wait(ctx)
	check(err)
	fmt.Println(loud, len(receipt.Acks), "of", receipt.N)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
