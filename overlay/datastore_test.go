package overlay_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dstest "github.com/ipfs/go-datastore/test"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/store"
)

var wholeSuite = flag.Bool("datastore.all", false, "run all of go-datastore's suite at its own sizes, which takes minutes")

func ringOfThree(t *testing.T) []*overlay.Node {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Settings{Peers: 3, Node: overlay.Config{Shards: 4}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Agree(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.Nodes()
}

// The suite of go-datastore holds over a ring. By default it runs with fewer
// keys and without its combinations, for which TestDatastoreQueries stands in.
func TestDatastoreSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a ring and writes thousands of keys")
	}
	d := ringOfThree(t)[1].Datastore("suite")
	if !*wholeSuite {
		defer func(n int, tests []func(*testing.T, datastore.Datastore)) {
			dstest.ElemCount, dstest.BasicSubtests = n, tests
		}(dstest.ElemCount, dstest.BasicSubtests)
		dstest.ElemCount = 20
		dstest.BasicSubtests = slices.DeleteFunc(slices.Clone(dstest.BasicSubtests), func(f func(*testing.T, datastore.Datastore)) bool {
			return strings.HasSuffix(runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name(), ".SubtestCombinations")
		})
	}
	dstest.SubtestAll(t, d)
}

// Every combination of prefix, filter, order, offset and limit answers as the
// naive evaluation of the query does.
func TestDatastoreQueries(t *testing.T) {
	nodes := ringOfThree(t)
	d, other := nodes[0].Datastore("one"), nodes[1].Datastore("on")
	var all []query.Entry
	batch, err := d.Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/a!", "/0", "/prefix/ü", "/prefix/%2F", "/z"} {
		e := query.Entry{Key: name, Value: bytes.Repeat([]byte{byte(i * 7 % 10)}, i+1), Size: i + 1}
		all = append(all, e)
		if err := batch.Put(t.Context(), datastore.RawKey(e.Key), e.Value); err != nil {
			t.Fatal(err)
		}
	}
	if got := keysOf(t, d, query.Query{}); len(got) > 0 {
		t.Fatalf("before the commit %q is there", got)
	}
	if err := batch.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Neighbours that no query may show: another namespace's, and a key that no
	// datastore can have put.
	if err := other.Put(t.Context(), datastore.NewKey("e/a"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[2].Put(t.Context(), "one/a/", []byte("x")); err != nil {
		t.Fatal(err)
	}
	byValue := query.OrderByFunction(func(a, b query.Entry) int { return bytes.Compare(a.Value, b.Value) })
	for _, prefix := range []string{"", "/", "/a", "/a/b/", "prefix", "/none"} {
		for _, filters := range [][]query.Filter{nil, {query.FilterKeyCompare{Op: query.GreaterThan, Key: "/a"}}, {query.FilterValueCompare{Op: query.LessThan, Value: []byte{5}}}} {
			for _, orders := range [][]query.Order{nil, {query.OrderByKey{}}, {&query.OrderByKeyDescending{}}, {query.OrderByValueDescending{}}, {byValue}} {
				for _, page := range [][2]int{{0, 0}, {0, 1}, {2, 0}, {1, 3}, {20, 2}} {
					for _, keysOnly := range []bool{false, true} {
						q := query.Query{Prefix: prefix, Filters: filters, Orders: orders, Offset: page[0], Limit: page[1], KeysOnly: keysOnly}
						sorted := slices.Clone(all)
						query.Sort([]query.Order{query.OrderByKey{}}, sorted)
						want, err := query.NaiveQueryApply(q, query.ResultsWithEntries(q, sorted)).Rest()
						if err != nil {
							t.Fatal(err)
						}
						check(t, d, q, want)
					}
				}
			}
		}
	}
}

// check compares the answer to a query.
func check(t *testing.T, d datastore.Datastore, q query.Query, want []query.Entry) {
	t.Helper()
	res, err := d.Query(t.Context(), q)
	if err != nil {
		t.Fatalf("%v: %v", q, err)
	}
	got, err := res.Rest()
	if err != nil {
		t.Fatalf("%v: %v", q, err)
	}
	same := slices.EqualFunc(got, want, func(a, b query.Entry) bool {
		return a.Key == b.Key && (q.KeysOnly && a.Value == nil || !q.KeysOnly && bytes.Equal(a.Value, b.Value) && a.Size == b.Size)
	})
	if !same {
		t.Fatalf("%v:\n got %v\nwant %v", q, got, want)
	}
}

func keysOf(t *testing.T, d datastore.Datastore, q query.Query) []string {
	t.Helper()
	q.KeysOnly = true
	var keys []string
	for e, err := range datastore.QueryIter(t.Context(), d, q) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	return keys
}

// A namespace of more keys than a page of the ring holds is listed whole, and
// what a datastore cannot keep is refused.
func TestDatastoreBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("writes thousands of keys")
	}
	node := startPeer(t.Context(), nil)
	defer node.Close()
	d := node.Datastore("many")
	const n = 4096 + 100
	batch, err := d.Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range n {
		k := fmt.Sprintf("/%05d", i)
		want = append(want, k)
		batch.Put(t.Context(), datastore.RawKey(k), []byte(k))
	}
	if err := batch.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := keysOf(t, d, query.Query{}); !slices.Equal(got, want) {
		t.Errorf("listed %d of %d keys", len(got), n)
	}
	if got, err := node.List(t.Context(), "many/", "", 1_000_000_000); err != nil || len(got) != store.MaxPage {
		t.Errorf("of a billion keys a caller gets %d at once, want %d: %v", len(got), store.MaxPage, err)
	}
	if got := keysOf(t, d, query.Query{Offset: 4090, Limit: 20}); !slices.Equal(got, want[4090:4110]) {
		t.Errorf("listed %q over the end of a page", got)
	}
	res, err := d.Query(t.Context(), query.Query{ReturnExpirations: true, Limit: 1, Offset: n})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	if _, err := node.Put(t.Context(), "many/99999", []byte("soon"), overlay.WithTTL(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r, ok := res.NextSync(); !ok || r.Error != nil || time.Until(r.Expiration) < time.Minute {
		t.Errorf("an entry that expires: %+v, %v", r, ok)
	}

	long := datastore.NewKey(strings.Repeat("k", 1025-len("many/")))
	for what, err := range map[string]error{
		"long key":      d.Put(t.Context(), long, nil),
		"not UTF-8":     d.Put(t.Context(), datastore.NewKey("\xff"), nil),
		"system's":      node.Datastore("_jobs").Put(t.Context(), datastore.NewKey("a"), nil),
		"value too big": d.Put(t.Context(), datastore.NewKey("big"), make([]byte, 512<<10+1)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	batch.Put(t.Context(), datastore.NewKey("fine"), nil)
	batch.Put(t.Context(), long, nil)
	if err := batch.Commit(t.Context()); err == nil {
		t.Error("a batch with a long key: committed")
	}
	node.Close()
	if err := d.Put(t.Context(), datastore.NewKey("a"), nil); !errors.Is(err, overlay.ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
	if res, err = d.Query(t.Context(), query.Query{}); err != nil {
		t.Fatal(err)
	}
	if _, err := res.Rest(); !errors.Is(err, overlay.ErrClosed) {
		t.Errorf("query after close: %v", err)
	}
}
