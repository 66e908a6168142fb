package overlay

import (
	"fmt"
	"net/url"
	"testing"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/chorus-net/chorus/store"
)

func TestRoutingKey(t *testing.T) {
	if got := RoutingKey("/v/hello"); got != "routing//v/hello" {
		t.Errorf("got %q", got)
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	seen := make(map[string]string)
	for _, key := range []string{string(all), "a/b", "/a/b", "a%2Fb", "a b", "a+b", "é", "\xe9", "%", "%25"} {
		stored := RoutingKey(key)
		ns, name := store.SplitKey(stored)
		if ns != "routing" || !utf8.ValidString(stored) {
			t.Errorf("%q is kept as %q", key, stored)
		}
		if back, err := url.PathUnescape(name); err != nil || back != key {
			t.Errorf("%q is kept as %q, which reads %q, %v", key, stored, back, err)
		}
		if other, ok := seen[stored]; ok {
			t.Errorf("%q and %q are kept as %q", key, other, stored)
		}
		seen[stored] = key
	}
}

// In a small ring Kademlia's table comes to hold every other peer, also those
// that nobody asked anything by way of Kademlia, and loses those that leave.
func TestKadTableFills(t *testing.T) {
	first := joinTest(t, nil, Config{})
	nodes := []*Node{first}
	for range 4 {
		nodes = append(nodes, joinTest(t, first, Config{}))
	}
	full := func(want int) func() error {
		return func() error {
			for _, n := range nodes {
				if got := n.host.Kad().RoutingTable().Size(); got != want {
					return fmt.Errorf("%s: %d peers in the table, want %d", n.Name(), got, want)
				}
			}
			return nil
		}
	}
	soon(t, "full tables", full(4))
	gone := nodes[4]
	nodes = nodes[:4]
	if err := gone.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	soon(t, "tables without the peer that left", full(3))
	if err := nodes[1].Routing().Bootstrap(t.Context()); err != nil {
		t.Error(err)
	}
}

// A ring of one has nobody to ask, which is no failure.
func TestRoutingAlone(t *testing.T) {
	n := joinTest(t, nil, Config{})
	r, ctx := n.Routing(), t.Context()
	key := cid.MustParse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
	if err := r.Provide(ctx, key, true); err != nil {
		t.Error(err)
	}
	var found []peer.ID
	for info := range r.FindProvidersAsync(ctx, key, 0) {
		found = append(found, info.ID)
	}
	if len(found) != 1 || found[0].String() != n.ID() {
		t.Errorf("providers %v", found)
	}
	stranger, err := peer.Decode("12D3KooWQnwEGNqcM2nAcPtRR9rAX8Hrg4k9kJLCHoTR5chJfz6d")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.FindPeer(ctx, stranger); err != routing.ErrNotFound {
		t.Errorf("find a stranger: %v", err)
	}
	if err := r.PutValue(ctx, "/v/alone", []byte("x")); err != nil {
		t.Error(err)
	}
	if v, err := r.GetValue(ctx, "/v/alone"); err != nil || string(v) != "x" {
		t.Errorf("get: %q, %v", v, err)
	}
	if _, err := r.GetValue(ctx, "/v/none"); err != routing.ErrNotFound {
		t.Errorf("get of what is not there: %v", err)
	}
}
