package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	discoveryrouting "github.com/libp2p/go-libp2p/p2p/discovery/routing"
	"github.com/multiformats/go-multihash"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

// What kad-dht's tests ask of routing, asked of nodes.
func TestRouting(t *testing.T) {
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 5})
	nodes := c.Nodes()
	routers := make([]routing.Routing, len(nodes))
	for i, n := range nodes {
		routers[i] = n.Routing(overlay.WithValidator(testValidator{}))
	}
	t.Run("get and set", func(t *testing.T) { testRoutingValues(t, ctx, nodes, routers) })
	t.Run("set invalid", func(t *testing.T) { testRoutingInvalid(t, ctx, nodes, routers) })
	t.Run("search", func(t *testing.T) { testRoutingSearch(t, ctx, routers) })
	t.Run("invalid keys", func(t *testing.T) { testRoutingKeys(t, ctx, routers[0]) })
	t.Run("cancelled", func(t *testing.T) { testRoutingCancelled(t, ctx, nodes, routers[0]) })
	t.Run("find peer", func(t *testing.T) { testRoutingPeers(t, ctx, nodes, routers) })
	t.Run("provide", func(t *testing.T) { testRoutingProvide(t, ctx, nodes, routers) })
	t.Run("rendezvous", func(t *testing.T) { testRendezvous(t, ctx, nodes, routers) })
}

// testValidator is the one of kad-dht's tests: "newer" is better than "valid",
// and what has expired is bad.
type testValidator struct{}

func (testValidator) Validate(_ string, value []byte) error {
	if bytes.Equal(value, []byte("expired")) {
		return errors.New("expired")
	}
	return nil
}

func (testValidator) Select(_ string, values [][]byte) (int, error) {
	return max(0, slices.IndexFunc(values, func(v []byte) bool { return bytes.Equal(v, []byte("newer")) })), nil
}

func testRoutingValues(t *testing.T, ctx context.Context, nodes []*overlay.Node, routers []routing.Routing) {
	for i, key := range []string{"/v/hello", "/ipns/" + nodes[0].ID(), "/pk/\x00\xff%/é\n", "\x00", "/", "v/hello"} {
		value := []byte("world of " + key)
		if err := routers[i%5].PutValue(ctx, key, value); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
		for j, r := range routers {
			for _, quorum := range []int{0, 1, 2, 16} {
				got, err := r.GetValue(ctx, key, dht.Quorum(quorum))
				if err != nil || !bytes.Equal(got, value) {
					t.Errorf("get %q at %s with quorum %d: %q, %v", key, nodes[j].Name(), quorum, got, err)
				}
			}
		}
		// The value is a record of the ring like others, and can be deleted.
		listed, err := nodes[4].List(ctx, "routing/", "", 0)
		if err != nil || !slices.Equal(listed, []string{overlay.RoutingKey(key)}) {
			t.Errorf("list after put %q: %q, %v", key, listed, err)
		}
		if _, err := nodes[3].Delete(ctx, overlay.RoutingKey(key)); err != nil {
			t.Fatal(err)
		}
		if got, err := routers[(i+1)%5].GetValue(ctx, key); err != routing.ErrNotFound {
			t.Errorf("get %q after delete: %q, %v", key, got, err)
		}
	}
}

// As kad-dht's TestValueSetInvalid.
func testRoutingInvalid(t *testing.T, ctx context.Context, nodes []*overlay.Node, routers []routing.Routing) {
	for _, step := range []struct {
		put     string
		refused bool
		get     string
		err     error
	}{
		{put: "expired", refused: true, err: routing.ErrNotFound},
		{put: "valid", get: "valid"},
		{put: "newer", get: "newer"},
		{put: "newer", get: "newer"},
		{put: "valid", refused: true, get: "newer"},
	} {
		if err := routers[0].PutValue(ctx, "/v/judged", []byte(step.put)); (err != nil) != step.refused {
			t.Errorf("put %s: %v", step.put, err)
		}
		if got, err := routers[1].GetValue(ctx, "/v/judged"); err != step.err || string(got) != step.get {
			t.Errorf("get after put %s: %q, %v, want %q, %v", step.put, got, err, step.get, step.err)
		}
	}
	// Whoever does not judge may store it; whoever does is not shown it.
	if err := nodes[2].Routing().PutValue(ctx, "/v/judged", []byte("expired")); err != nil {
		t.Error(err)
	}
	if got, err := routers[3].GetValue(ctx, "/v/judged"); err != routing.ErrNotFound {
		t.Errorf("get of an expired value: %q, %v", got, err)
	}
}

func testRoutingSearch(t *testing.T, ctx context.Context, routers []routing.Routing) {
	search := func(key string) []string {
		t.Helper()
		values, err := routers[1].SearchValue(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for v := range values {
			got = append(got, string(v))
		}
		return got
	}
	if got := search("/v/searched"); len(got) != 0 {
		t.Errorf("search found %q before the put", got)
	}
	for _, value := range []string{"valid", "newer"} {
		if err := routers[0].PutValue(ctx, "/v/searched", []byte(value)); err != nil {
			t.Fatal(err)
		}
		if got := search("/v/searched"); !slices.Equal(got, []string{value}) {
			t.Errorf("search found %q, want %s", got, value)
		}
	}
}

// As kad-dht's TestInvalidKeys.
func testRoutingKeys(t *testing.T, ctx context.Context, r routing.Routing) {
	if _, err := r.FindPeer(ctx, ""); err != peer.ErrEmptyPeerID {
		t.Errorf("find peer without an ID: %v", err)
	}
	if err := r.PutValue(ctx, "", []byte("x")); err == nil {
		t.Error("put without a key went well")
	}
	if _, err := r.GetValue(ctx, ""); err == nil || err == routing.ErrNotFound {
		t.Errorf("get without a key: %v", err)
	}
	if err := r.PutValue(ctx, "/v/large", make([]byte, 512<<10+1)); !errors.Is(err, overlay.ErrTooLarge) {
		t.Errorf("put of a value that is too large: %v", err)
	}
	if err := r.Provide(ctx, cid.Undef, true); err == nil {
		t.Error("provide without a key went well")
	}
	if got := providers(r.FindProvidersAsync(ctx, cid.Undef, 0)); len(got) != 0 {
		t.Errorf("providers of nothing: %v", got)
	}
	if _, err := r.GetValue(ctx, "/v/hello", routing.Offline); err != routing.ErrNotSupported {
		t.Errorf("get offline: %v", err)
	}
}

func testRoutingCancelled(t *testing.T, ctx context.Context, nodes []*overlay.Node, r routing.Routing) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, get := r.GetValue(ctx, "/v/hello")
	_, search := r.SearchValue(ctx, "/v/hello")
	_, find := r.FindPeer(ctx, peerID(t, nodes[1]))
	for verb, err := range map[string]error{
		"put": r.PutValue(ctx, "/v/hello", nil), "get": get, "search": search, "find peer": find,
		"provide": r.Provide(ctx, newCID(t, "cancelled"), true), "bootstrap": r.Bootstrap(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s when cancelled: %v", verb, err)
		}
	}
	if got := providers(r.FindProvidersAsync(ctx, newCID(t, "cancelled"), 0)); len(got) != 0 {
		t.Errorf("providers when cancelled: %v", got)
	}
}

func testRoutingPeers(t *testing.T, ctx context.Context, nodes []*overlay.Node, routers []routing.Routing) {
	for i, r := range routers {
		for _, n := range nodes {
			info, err := r.FindPeer(ctx, peerID(t, n))
			if err != nil || info.ID != peerID(t, n) || len(info.Addrs) == 0 {
				t.Errorf("find %s at %s: %v, %v", n.Name(), nodes[i].Name(), info, err)
			}
		}
	}
	stranger, err := peer.Decode("12D3KooWQnwEGNqcM2nAcPtRR9rAX8Hrg4k9kJLCHoTR5chJfz6d")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := routers[0].FindPeer(ctx, stranger); err != routing.ErrNotFound {
		t.Errorf("find a stranger: %v, %v", info, err)
	}
}

// As kad-dht's TestProvides and TestProvidesMany.
func testRoutingProvide(t *testing.T, ctx context.Context, nodes []*overlay.Node, routers []routing.Routing) {
	for k := range 5 {
		key := newCID(t, fmt.Sprint(k))
		var want []peer.ID
		for i := range k { // 0 to 4 providers
			if err := routers[i].Provide(ctx, key, true); err != nil {
				t.Fatal(err)
			}
			want = append(want, peerID(t, nodes[i]))
		}
		slices.Sort(want)
		for i, r := range routers {
			if got := providers(r.FindProvidersAsync(ctx, key, 0)); !slices.Equal(got, want) {
				t.Errorf("%s finds %d providers of key %d: %v", nodes[i].Name(), len(got), k, got)
			}
			if got := providers(r.FindProvidersAsync(ctx, key, 1)); len(got) != min(1, k) {
				t.Errorf("%s finds %d providers of key %d, asked for one", nodes[i].Name(), len(got), k)
			}
		}
	}
	local := newCID(t, "kept to itself")
	if err := routers[0].Provide(ctx, local, false); err != nil {
		t.Fatal(err)
	}
	if got := providers(routers[0].FindProvidersAsync(ctx, local, 0)); len(got) != 1 {
		t.Errorf("providers of what was not announced, at the provider: %v", got)
	}
}

// Peers that advertise themselves under a name are found there, and no others.
func testRendezvous(t *testing.T, ctx context.Context, nodes []*overlay.Node, routers []routing.Routing) {
	var want []peer.ID
	for i := range 3 {
		if _, err := discoveryrouting.NewRoutingDiscovery(routers[i]).Advertise(ctx, "tea at five", discovery.TTL(time.Hour)); err != nil {
			t.Fatal(err)
		}
		want = append(want, peerID(t, nodes[i]))
	}
	slices.Sort(want)
	for i, r := range routers {
		found, err := discoveryrouting.NewRoutingDiscovery(r).FindPeers(ctx, "tea at five")
		if err != nil {
			t.Fatal(err)
		}
		if got := providers(found); !slices.Equal(got, want) {
			t.Errorf("%s meets %v", nodes[i].Name(), got)
		}
	}
}

// A value outlives the peers that took it, as far as its replicas do; a peer
// that is gone is not found in the ring any more.
func TestRoutingSurvivesKill(t *testing.T) {
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 4})
	nodes := c.Nodes()
	for i := range 8 {
		if err := nodes[3].Routing().PutValue(ctx, fmt.Sprintf("/v/%d", i), []byte("kept")); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Kill(3); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if v, err := nodes[i%3].Routing().GetValue(ctx, fmt.Sprintf("/v/%d", i)); err != nil || string(v) != "kept" {
			t.Errorf("get /v/%d: %q, %v", i, v, err)
		}
	}
	agree(t, c)
	if _, err := nodes[3].Routing().GetValue(ctx, "/v/0"); !errors.Is(err, overlay.ErrClosed) {
		t.Errorf("get at a peer that was killed: %v", err)
	}
}

// providers drains a channel of peers and returns their IDs in order.
func providers(found <-chan peer.AddrInfo) []peer.ID {
	var ids []peer.ID
	for info := range found {
		ids = append(ids, info.ID)
	}
	slices.Sort(ids)
	return ids
}

func peerID(t *testing.T, n *overlay.Node) peer.ID {
	t.Helper()
	id, err := peer.Decode(n.ID())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newCID returns the key of some content.
func newCID(t *testing.T, content string) cid.Cid {
	t.Helper()
	hash, err := multihash.Sum([]byte(content), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, hash)
}
