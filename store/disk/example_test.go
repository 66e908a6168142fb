package disk_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := disk.Open(ctx, dir, disk.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	r := store.Record{
		Namespace: "photos", Key: "7", Position: store.Route("photos", "7"),
		Version: store.Version{Clock: 2, Writer: 1}, Value: []byte("a cat"),
	}
	shard := store.Shard(r.Position, s.Shards())
	outcome, err := s.Apply(ctx, shard, r.AppendTo(nil))
	fmt.Println("stored and synced:", outcome.Stored, err)

	r.Version.Clock, r.Value = 1, []byte("an older cat")
	outcome, err = s.Apply(ctx, shard, r.AppendTo(nil))
	fmt.Println("superseded:", outcome.Superseded(r.Version), err)

	held, found, err := s.Get(shard, "photos", "7")
	fmt.Printf("%s %v %v\n", held.Value, found, err)
	// Output:
	// stored and synced: true <nil>
	// superseded: true <nil>
	// a cat true <nil>
}
