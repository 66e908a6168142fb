package p2p_test

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
)

// TestWalk lets a peer that knows one other find all of them.
func TestWalk(t *testing.T) {
	hub := start(t, nil)
	hosts := []*p2p.Host{hub}
	for range 6 {
		h := start(t, nil)
		connect(t, h, hub)
		hosts = append(hosts, h)
	}
	newcomer := start(t, nil)
	connect(t, newcomer, hub)
	key := []byte("some key")
	want := make([]chord.PeerID, len(hosts))
	for i, h := range hosts {
		want[i] = h.ID()
	}
	target := sha256.Sum256(key)
	slices.SortFunc(want, func(a, b chord.PeerID) int { return slices.Compare(xor(target, a), xor(target, b)) })
	var walk p2p.Walk
	for end := time.Now().Add(patience); !slices.Equal(walk.Closest, want); {
		if time.Now().After(end) {
			t.Fatalf("closest %d peers, want %d in the order of XOR", len(walk.Closest), len(want))
		}
		time.Sleep(10 * time.Millisecond) // Kademlia learns of peers, and of their addresses, by and by
		if newcomer.Kad().RoutingTable().Size() == 0 {
			continue
		}
		var err error
		if walk, err = newcomer.Walk(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range walk.Steps {
		switch {
		case s.Err != "":
			t.Errorf("step %d: %s", i, s.Err)
		case s.RTT <= 0 || s.Depth < 1 || s.Depth > 2:
			t.Errorf("step %d: %v at depth %d", i, s.RTT, s.Depth)
		}
	}
	if len(walk.Steps) < 3 {
		t.Errorf("%d steps", len(walk.Steps))
	}
	if got := newcomer.KadTraffic(); got.In == 0 || got.Out == 0 {
		t.Errorf("Kademlia's traffic: %+v", got)
	}
	if _, err := start(t, func(c *p2p.Config) { c.DisableKad = true }).Walk(t.Context(), key); err == nil {
		t.Error("a walk without Kademlia")
	}
}

func xor(target [32]byte, id chord.PeerID) []byte {
	d := sha256.Sum256([]byte(id))
	for i := range d {
		d[i] ^= target[i]
	}
	return d[:]
}

func TestPath(t *testing.T) {
	for name, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		on := func(c *p2p.Config) { c.Listen = []string{listen} }
		a, b := start(t, on), start(t, on)
		if _, ok := a.Path(b.ID()); ok {
			t.Error("a path to a peer that was never called")
		}
		connect(t, a, b)
		before := a.CallTraffic()
		if err := echo(t, a, b.ID()); err != nil {
			t.Fatal(err)
		}
		p, ok := a.Path(b.ID())
		if !ok || p.Transport != name || p.Relayed || !strings.HasPrefix(p.Addr, "/ip4/127.0.0.1/") {
			t.Errorf("%s: %+v, %v", name, p, ok)
		}
		if got := a.CallTraffic(); got.In-before.In < 5 || got.Out-before.Out < 5 {
			t.Errorf("%s: an echo of 5 bytes took %+v after %+v", name, got, before)
		}
	}
}

func TestPathOfRelay(t *testing.T) {
	id := peer.ID(start(t, nil).ID())
	for addr, want := range map[string]p2p.Path{
		"/ip4/192.0.2.1/udp/4747/quic-v1":                             {Transport: "quic"},
		"/ip4/192.0.2.1/tcp/4747":                                     {Transport: "tcp"},
		"/ip4/192.0.2.1/tcp/443/ws":                                   {Transport: "ws"},
		"/ip4/192.0.2.1/tcp/4747/p2p/" + id.String() + "/p2p-circuit": {Transport: "tcp", Relayed: true},
		"/dns4/relay.example/udp/1/quic-v1/p2p/" + id.String() + "/p2p-circuit/ip4/192.0.2.9/tcp/2": {Transport: "quic", Relayed: true},
	} {
		a, err := ma.NewMultiaddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		want.Addr = addr
		if got := p2p.PathOf(a); got != want {
			t.Errorf("%s: %+v", addr, got)
		}
	}
}
