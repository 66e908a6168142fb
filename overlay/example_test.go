package overlay_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/ipfs/go-datastore"

	"github.com/chorus-net/chorus/overlay"
)

// startPeer starts a peer in memory: the first of a ring, or one that joins the
// ring of another.
func startPeer(ctx context.Context, contact *overlay.Node, funcs ...overlay.AnyFunc) *overlay.Node {
	cfg := overlay.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Shards: 16, Funcs: funcs}
	if contact == nil {
		cfg.Create, cfg.Open = true, true
	} else {
		cfg.Peers = contact.Addrs()
	}
	node, err := overlay.Join(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	return node
}

// Three peers become one ring. Programs that keep data set Config.Home.
func ExampleJoin() {
	ctx := context.Background()
	first, err := overlay.Join(ctx, overlay.Config{
		Create: true, // a new ring, as nobody is there to join
		Open:   true, // which whoever reaches a peer may do
		Ring:   "photos",
		Listen: []string{"/ip4/127.0.0.1/tcp/0"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close()
	for range 2 {
		node, err := overlay.Join(ctx, overlay.Config{
			Peers:  first.Addrs(),
			Listen: []string{"/ip4/127.0.0.1/tcp/0"},
		})
		if err != nil {
			log.Fatal(err)
		}
		defer node.Close()
		status, err := node.Status(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("joined", status.Ring)
	}
	// Output:
	// joined photos
	// joined photos
}

// A receipt tells what was achieved: how many voters were needed, and who has
// the record on stable storage.
func ExampleNode_Put() {
	ctx := context.Background()
	node := startPeer(ctx, nil)
	defer node.Close()
	receipt, err := node.Put(ctx, "photos/7", []byte("jpeg"), overlay.WithW(overlay.All))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d of %d, at this peer: %t\n", receipt.Key, len(receipt.Acks), receipt.N, receipt.Acks[0].Peer == node.ID())
	// Output:
	// photos/7: 1 of 1, at this peer: true
}

func ExampleNode_Get() {
	ctx := context.Background()
	node := startPeer(ctx, nil)
	defer node.Close()
	other := startPeer(ctx, node)
	defer other.Close()
	if _, err := node.Put(ctx, "greeting", []byte("hello")); err != nil {
		log.Fatal(err)
	}
	record, err := other.Get(ctx, "greeting")
	fmt.Printf("%s %v\n", record.Value, err)
	_, err = other.Get(ctx, "farewell")
	fmt.Println(err, errors.Is(err, overlay.ErrNotFound))
	// Output:
	// hello <nil>
	// get "farewell": no such key true
}

// List pages through keys in order.
func ExampleNode_List() {
	ctx := context.Background()
	node := startPeer(ctx, nil)
	defer node.Close()
	for _, key := range []string{"fruit/pear", "fruit/apple", "nut/hazel", "fruit/plum"} {
		if _, err := node.Put(ctx, key, nil); err != nil {
			log.Fatal(err)
		}
	}
	for after := ""; ; {
		keys, err := node.List(ctx, "fruit/", after, 2)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(keys)
		if len(keys) < 2 {
			break
		}
		after = keys[len(keys)-1]
	}
	// Output:
	// [fruit/apple fruit/pear]
	// [fruit/plum]
}

// A job has one task for each input. Each runs wherever a peer is idle.
func ExampleNode_Submit() {
	ctx := context.Background()
	node := startPeer(ctx, nil)
	defer node.Close()
	id, err := node.Submit(ctx, overlay.JobSpec{
		Code:   overlay.Code{Func: "primes"},
		Inputs: [][]byte{[]byte("10"), []byte("100"), []byte("ten")},
	})
	if err != nil {
		log.Fatal(err)
	}
	job, err := node.Wait(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.State, job.Done, job.Failed)
	for _, r := range job.Results {
		fmt.Printf("%s %s%s\n", r.State, r.Output, r.Error)
	}
	// Output:
	// failed 2 1
	// done 4
	// done 25
	// failed input "ten": want a number from 0 to 10^12
}

// A Go function becomes a task that any peer which registered it may run.
func ExampleFunc() {
	type order struct {
		Item  string
		Count int
	}
	pack := overlay.Func("pack/v1", func(_ context.Context, o order) (string, error) {
		if o.Count < 1 {
			return "", fmt.Errorf("nothing of %s to pack", o.Item)
		}
		return strings.Repeat("["+o.Item+"]", o.Count), nil
	})
	ctx := context.Background()
	node := startPeer(ctx, nil, pack)
	defer node.Close()
	job, err := pack.Submit(ctx, node, order{"pear", 2}, order{"plum", 1})
	if err != nil {
		log.Fatal(err)
	}
	boxes, err := job.WaitAll(ctx)
	fmt.Println(boxes, err)

	job, err = pack.Submit(ctx, node, order{Item: "nut"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = job.Wait(ctx)
	var failed *overlay.TaskError
	fmt.Println(errors.As(err, &failed) && failed.Reason == "nothing of nut to pack")
	// Output:
	// [[pear][pear] [plum]] <nil>
	// true
}

// Leave hands over what the peer keeps; Close would keep it for the next start.
func ExampleNode_Leave() {
	ctx := context.Background()
	first := startPeer(ctx, nil)
	second := startPeer(ctx, first)
	defer second.Close()
	if _, err := first.Put(ctx, "heirloom", []byte("clock")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(first.Leave(ctx))
	record, err := second.Get(ctx, "heirloom")
	fmt.Printf("%s %v\n", record.Value, err)
	fmt.Println(errors.Is(second.Leave(ctx), overlay.ErrLastPeer))
	// Output:
	// <nil>
	// clock <nil>
	// true
}

// A library that wants a go-datastore gets a namespace of the ring.
func ExampleNode_Datastore() {
	ctx := context.Background()
	node := startPeer(ctx, nil)
	defer node.Close()
	blocks := node.Datastore("blocks")
	if err := blocks.Put(ctx, datastore.NewKey("/a/b"), []byte("hello")); err != nil {
		log.Fatal(err)
	}
	record, err := node.Get(ctx, "blocks/a/b")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", record.Value)
	// Output: hello
}

// Two peers want to lead; a register lets one of them.
func ExampleNode_CompareAndSwap() {
	ctx := context.Background()
	anna := startPeer(ctx, nil)
	defer anna.Close()
	bert := startPeer(ctx, anna)
	defer bert.Close()
	if _, err := anna.CompareAndSwap(ctx, "leader", 0, []byte("anna")); err != nil {
		log.Fatal(err)
	}
	held, err := bert.CompareAndSwap(ctx, "leader", 0, []byte("bert"))
	fmt.Println(errors.Is(err, overlay.ErrConflict), string(held.Value), held.Version)
	held, err = bert.CompareAndSwap(ctx, "leader", held.Version, []byte("bert"))
	fmt.Println(err, string(held.Value), held.Version)
	// Output:
	// true anna 1
	// <nil> bert 2
}
