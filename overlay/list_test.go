package overlay

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/store"
)

// listAll lists a prefix by pages.
func listAll(ctx context.Context, n *Node, prefix string, page int) (keys []string, err error) {
	for after := ""; ; after = keys[len(keys)-1] {
		got, err := n.List(ctx, prefix, after, page)
		if keys = append(keys, got...); err != nil || len(got) < page {
			return keys, err
		}
	}
}

func TestList(t *testing.T) {
	n := joinTest(t, nil, Config{})
	ctx := t.Context()
	var want []string
	for i := range 300 {
		key := fmt.Sprintf("l/%03d", i)
		if _, err := n.Put(ctx, key, nil); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if _, err := n.Delete(ctx, key); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want = append(want, key)
	}
	for _, other := range []string{"_", "_chunk0", "a", "m/1"} {
		if _, err := n.Put(ctx, other, nil); err != nil {
			t.Fatal(err)
		}
	}
	// Keys of the system lie between those of people, and do not show.
	for i := range 50 {
		name := fmt.Sprint(i)
		rec := store.Record{Namespace: chunkSpace, Key: name, Position: store.Route(chunkSpace, name)}
		if _, err := n.write(ctx, "", rec, store.LevelQuorum); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Put(ctx, "l/brief", nil, WithTTL(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	for _, page := range []int{1, 7, 100, 5000} {
		got, err := listAll(ctx, n, "l/", min(page, store.MaxPage))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("pages of %d: %v (-want +got):\n%s", page, err, diff)
		}
	}
	all := slices.Concat([]string{"_", "_chunk0", "a"}, want, []string{"m/1"})
	got, err := listAll(ctx, n, "", 40)
	if diff := cmp.Diff(all, got); diff != "" || err != nil {
		t.Errorf("all: %v (-want +got):\n%s", err, diff)
	}
	if got, err := n.List(ctx, "", "", 1_000_000_000); len(got) != len(all) || err != nil {
		t.Errorf("a billion: %d keys, %v", len(got), err)
	}
}

// A merge holds a page of each shard and no more, and asks for little more than
// it yields.
func TestMergeIsBounded(t *testing.T) {
	n := joinTest(t, nil, Config{})
	ctx := t.Context()
	const keys, page = 2000, 5
	if err := n.each(ctx, keys, func(ctx context.Context, i int) error {
		_, err := n.Put(ctx, fmt.Sprintf("b/%04d", i), nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	m := n.newMerge("b/", "", page)
	for i := range keys {
		e, ok, err := m.next(ctx)
		if err != nil || !ok || e.Key != fmt.Sprintf("b/%04d", i) {
			t.Fatalf("key %d is %q, %t, %v", i, e.Key, ok, err)
		}
		held := 0
		for _, c := range m.shards {
			held += len(c.entries)
		}
		if held > page*n.ring.Shards {
			t.Fatalf("%d entries held of %d shards with pages of %d", held, n.ring.Shards, page)
		}
	}
	if _, ok, err := m.next(ctx); ok || err != nil {
		t.Errorf("more than there is: %v", err)
	}
}

// A listing is complete and in order while peers come and go, and their shards
// with them.
func TestListWhileTheRingMoves(t *testing.T) {
	cfg := Config{ReplaceAfter: time.Second}
	nodes := trio(t, cfg)
	ctx := t.Context()
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprintf("l/%03d", i))
		if _, err := nodes[0].Put(ctx, want[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan int)
	stop := make(chan struct{})
	go func() {
		listings := 0
		defer func() { done <- listings }()
		for {
			got, err := listAll(ctx, nodes[0], "l/", 30)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("listing %d: %v (-want +got):\n%s", listings, err, diff)
				return
			}
			listings++
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	fourth, fifth := joinTest(t, nodes[0], cfg), joinTest(t, nodes[0], cfg)
	if err := nodes[1].Leave(ctx); err != nil {
		t.Error(err)
	}
	nodes[2].Kill()
	soon(t, "others have taken over", func() error { return alike([]*Node{nodes[0], fourth, fifth}, 3) })
	close(stop)
	if n := <-done; n < 3 {
		t.Errorf("%d listings while the ring moved", n)
	}
}
