package overlay

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/chorus-net/chorus/overlay/client"
)

// What is done with keys does not depend on the N of their namespace: watches that go on,
// sloppy writes, jobs over a prefix, a datastore, and the end of what is deleted.
func TestCopiesInUse(t *testing.T) {
	echo := Func("repeat/v1", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	nodes, _ := five(t, Config{RepairEvery: 500 * time.Millisecond, ReclaimAfter: 300 * time.Millisecond, Funcs: []AnyFunc{echo}})
	ctx := t.Context()
	const keys = 20
	of := map[string]int{"one": 1, "two": 2, "five": 5}
	for ns, copies := range of {
		if _, err := nodes[0].SetNamespace(ctx, Namespace{Name: ns, Replicas: copies}); err != nil {
			t.Fatal(err)
		}
	}
	put := func(ns string, from, to int, opts ...PutOption) map[string]string {
		t.Helper()
		shows := make(map[string]string)
		for i := from; i < to; i++ {
			key := fmt.Sprintf("%s/%d", ns, i)
			insist(t, func() error {
				r, err := nodes[i%len(nodes)].Put(ctx, key, []byte(key), opts...)
				if err == nil && r.N != of[ns] {
					err = fmt.Errorf("receipt %+v", r)
				}
				return err
			})
			shows[key] = client.EventPut
		}
		return shows
	}
	for ns := range of {
		w := watching(t, nodes[1], client.WatchSpec{Prefix: ns + "/"})
		gather(t, w, put(ns, 0, keys/2))
		quiet(w)
		cursor := w.Cursor()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		missed := put(ns, keys/2, keys, WithW(Sloppy))
		again := watching(t, nodes[2], client.WatchSpec{Prefix: ns + "/", Cursor: cursor})
		gather(t, again, missed)

		id, err := nodes[3].Submit(ctx, JobSpec{Code: Code{Func: "repeat"}, Each: ns + "/"})
		if err != nil {
			t.Fatal(err)
		}
		job, err := nodes[3].Wait(ctx, id)
		if err != nil || job.Done != keys {
			t.Errorf("a job over %s/: %+v, %v", ns, job, err)
		}
		keepElsewhere(t, nodes[1].Datastore(ns), nodes[4].Datastore(ns))
		if r, err := nodes[2].Put(ctx, ns+"/data", nil); err != nil || r.N != of[ns] {
			t.Errorf("beside a datastore: receipt %+v, %v", r, err)
		}
		insist(t, func() error { _, err := nodes[2].Delete(ctx, ns+"/data"); return err })
		for i := range keys / 4 {
			insist(t, func() error { _, err := nodes[4].Delete(ctx, fmt.Sprintf("%s/%d", ns, i)); return err })
		}
	}
	soon(t, "what was deleted is gone from all disks", func() error {
		if _, tombstones := records(nodes...); tombstones != 0 {
			return fmt.Errorf("%d tombstones", tombstones)
		}
		return nil
	})
	for ns := range of {
		soon(t, "the others are there", func() error {
			got, err := nodes[0].List(ctx, ns+"/", "", 0)
			if err == nil && len(got) != keys-keys/4 {
				err = fmt.Errorf("%d keys of %s", len(got), ns)
			}
			return err
		})
	}
}

// keepElsewhere has a datastore's entries show in another of the same namespace, and go again.
func keepElsewhere(t *testing.T, here, there datastore.Batching) {
	t.Helper()
	ctx := t.Context()
	want := map[string]string{"/data/single": "1", "/data/a/b": "2", "/data/c": "3"}
	batch, err := here.Batch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		put := batch.Put
		if name == "/data/single" {
			put = here.Put
		}
		insist(t, func() error { return put(ctx, datastore.NewKey(name), []byte(value)) })
	}
	insist(t, func() error { return batch.Commit(ctx) })
	entries := func() map[string]string {
		t.Helper()
		results, err := there.Query(ctx, query.Query{Prefix: "/data"})
		if err != nil {
			t.Fatal(err)
		}
		rest, err := results.Rest()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]string)
		for _, e := range rest {
			got[e.Key] = string(e.Value)
		}
		return got
	}
	if got := entries(); !maps.Equal(got, want) {
		t.Errorf("a datastore of another peer has %v, want %v", got, want)
	}
	for name := range want {
		if size, err := there.GetSize(ctx, datastore.NewKey(name)); size != 1 || err != nil {
			t.Errorf("%s: %d bytes, %v", name, size, err)
		}
		insist(t, func() error { return there.Delete(ctx, datastore.NewKey(name)) })
		if has, err := here.Has(ctx, datastore.NewKey(name)); has || err != nil {
			t.Errorf("%s is there when it was deleted: %t, %v", name, has, err)
		}
	}
	if got := entries(); len(got) > 0 {
		t.Errorf("when all was deleted there is %v", got)
	}
}
