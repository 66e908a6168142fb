package overlay

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// What is done with keys does not depend on the N of their namespace: watches that go on,
// sloppy writes, jobs over a prefix, and the end of what is deleted.
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
