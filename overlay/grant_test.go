package overlay

import (
	"errors"
	"strings"
	"testing"

	"github.com/chorus-net/chorus/compute/wasm"
	"github.com/chorus-net/chorus/overlay/client"
)

// A module reads and writes the namespace that its task was granted, whatever it
// calls the keys of others, and nobody can grant the system's.
func TestGrant(t *testing.T) {
	nodes := trio(t, Config{})
	ctx := t.Context()
	books := nodes[0].granted("books")
	if err := books.Put(ctx, "books/moby", []byte("Call me Ishmael")); err != nil {
		t.Fatal(err)
	}
	if v, err := nodes[1].granted("books").Get(ctx, "books/moby"); err != nil || string(v) != "Call me Ishmael" {
		t.Errorf("%q, %v", v, err)
	}
	if _, err := books.Get(ctx, "books/none"); !errors.Is(err, wasm.ErrNoKey) || !strings.Contains(err.Error(), "books/none") {
		t.Errorf("a key that is not there: %v", err)
	}
	for _, test := range []struct{ namespace, key string }{
		{"books", "safe/code"},
		{"books", "books2/moby"},
		{"books", "moby"},
		{"books", "/books/moby"},
		{"books", "_ns/books"},
		{"books", ""},
		{"_ns", "_ns/books"},
		{"_code", "_code/x/0"},
	} {
		g := nodes[0].granted(test.namespace)
		if _, err := g.Get(ctx, test.key); !errors.Is(err, wasm.ErrNotGranted) {
			t.Errorf("%q reads %q: %v", test.namespace, test.key, err)
		}
		if err := g.Put(ctx, test.key, nil); !errors.Is(err, wasm.ErrNotGranted) {
			t.Errorf("%q writes %q: %v", test.namespace, test.key, err)
		}
	}

	for _, namespace := range []string{"_ns", "a/b", strings.Repeat("n", 1000)} {
		if err := checkGrant(namespace); client.AsError(err) == nil || client.AsError(err).Code != client.CodeBadKey {
			t.Errorf("grant %.20q: %v", namespace, err)
		}
	}
	_, err := nodes[0].Submit(ctx, JobSpec{Code: Code{Func: "echo"}, Grant: "books", Inputs: [][]byte{nil}})
	if e := client.AsError(err); e == nil || e.Code != client.CodeUsage {
		t.Errorf("a grant for a function: %v", err)
	}
}
