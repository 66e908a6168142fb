package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/chorus-net/chorus/overlay/client"
)

func Example() {
	ctx := context.Background()
	c, err := client.Dial(ctx, "/var/lib/app")
	if errors.Is(err, client.ErrNoPeer) {
		log.Fatal("start one first: peer run --home /var/lib/app")
	} else if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	receipt, err := c.Put(ctx, "photos/7", []byte("jpeg"), client.WithW(client.LevelAll))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(receipt.Acks), "replicas have it")

	id, err := c.Submit(ctx, client.JobSpec{
		Code:   client.Code{Func: "sha256"},
		Inputs: [][]byte{[]byte("a"), []byte("b")},
	})
	if err != nil {
		log.Fatal(err)
	}
	job, err := c.Wait(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range job.Results {
		fmt.Printf("%s, by %s\n", r.Output, r.Peer)
	}
}
