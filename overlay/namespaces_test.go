package overlay

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// What a namespace says holds for calls that do not, at every peer, and a
// change reaches those that use it.
func TestNamespaces(t *testing.T) {
	nodes := trio(t, Config{})
	ctx := t.Context()
	if _, err := nodes[0].SetNamespace(ctx, Namespace{Name: "ledger", W: All, R: One, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		r, err := n.Put(ctx, "ledger/1", []byte("v"))
		if err != nil || r.W != 3 || len(r.Acks) != 3 {
			t.Errorf("by the namespace: needed %d, %d acks, %v", r.W, len(r.Acks), err)
		}
		rec, err := n.Get(ctx, "ledger/1")
		if err != nil || rec.Replies != 1 || time.Until(rec.Expires) < 50*time.Minute {
			t.Errorf("by the namespace: %d replies, expires %v, %v", rec.Replies, rec.Expires, err)
		}
		if r, err = n.Put(ctx, "ledger/2", nil, WithW(One), WithoutTTL()); err != nil || r.W != 1 {
			t.Errorf("by the call: needed %d, %v", r.W, err)
		}
		if rec, err = n.Get(ctx, "ledger/2", WithR(All)); err != nil || rec.Replies != 3 || !rec.Expires.IsZero() {
			t.Errorf("by the call: %d replies, expires %v, %v", rec.Replies, rec.Expires, err)
		}
		if r, err := n.Put(ctx, "other/1", nil); err != nil || r.W != 2 {
			t.Errorf("another namespace: needed %d, %v", r.W, err)
		}
		if r, err := n.Delete(ctx, "ledger/1"); err != nil || r.W != 3 {
			t.Errorf("a delete: needed %d, %v", r.W, err)
		}
	}
	got, err := nodes[2].Namespace(ctx, "ledger")
	want := Namespace{Name: "ledger", W: All, R: One, TTL: time.Hour, Class: "eventual", Replicas: 3, Version: got.Version}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || got.Version == "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}

	nodes[1].namespaces.fresh = time.Millisecond
	if _, err := nodes[2].SetNamespace(ctx, Namespace{Name: "ledger", W: One}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the change is known", func() error {
		r, err := nodes[1].Put(ctx, "ledger/1", nil)
		if err != nil || r.W != 1 {
			return fmt.Errorf("needed %d, %w", r.W, err)
		}
		return nil
	})
	for _, name := range []string{"a", "b", "c"} {
		if _, err := nodes[0].SetNamespace(ctx, Namespace{Name: name, R: All}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for after := ""; ; {
		page, err := nodes[1].Namespaces(ctx, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, ns := range page {
			names = append(names, ns.Name)
		}
		if len(page) < 3 {
			break
		}
		after = names[len(names)-1]
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "ledger"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestNamespacesRefuse(t *testing.T) {
	n := joinTest(t, nil, Config{})
	ctx := t.Context()
	for _, name := range []string{"", "a/b", "_ns", "\xff"} {
		if _, err := n.SetNamespace(ctx, Namespace{Name: name}); codeOf(err) != string(client.CodeBadKey) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for _, ns := range []Namespace{{Name: "a", W: "most"}, {Name: "a", R: "most"}, {Name: "a", TTL: -1}} {
		if _, err := n.SetNamespace(ctx, ns); codeOf(err) != string(client.CodeUsage) {
			t.Errorf("%+v: %v", ns, err)
		}
	}
	// Settings that this release cannot read stop calls that depend on them, and
	// no others.
	rec := store.Record{Namespace: settingsSpace, Key: "new", Position: store.Route(settingsSpace, "new"), Value: []byte(`{"format":2}`)}
	if _, err := n.write(ctx, "", rec, store.LevelQuorum); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Put(ctx, "new/1", nil); err == nil {
		t.Error("a put goes by settings of a later release")
	}
	if _, err := n.Put(ctx, "new/1", nil, WithW(Quorum), WithoutTTL()); err != nil {
		t.Error(err)
	}
	if _, err := n.Get(ctx, "new/1", WithR(Quorum)); err != nil {
		t.Error(err)
	}
	if _, err := n.Get(ctx, "new/none"); errors.Is(err, ErrNotFound) {
		t.Error("a get goes by settings of a later release")
	}
}

// Settings come from the ring, where any member may have put them: what is taken makes sense.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"format":1,"w":"all","r":"one","ttl_ms":86400000,"n":5}`))
	f.Add([]byte(`{"format":1,"n":200}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ns := Namespace{Name: "ns", Replicas: 3}
		if err := parseSettings(Record{Value: b}, 256, &ns); err != nil {
			return
		}
		if err := checkSettings(ns); err != nil || ns.Replicas < 1 || ns.Replicas > store.MaxN {
			t.Fatalf("%+v: %v", ns, err)
		}
	})
}
