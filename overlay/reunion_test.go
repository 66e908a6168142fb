package overlay

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
)

// joinHome starts a peer in a home. Without a contact it makes a ring, unless
// the home belongs to one.
func joinHome(t *testing.T, home string, contact *Node) *Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg := Config{
		Home: home, Engine: "memory", Create: contact == nil, Open: true, Shards: 16,
		Listen: []string{"/ip4/127.0.0.1/tcp/0"},
	}
	if contact != nil {
		cfg.Peers = contact.Addrs()
	}
	n, err := Join(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// connect lets the libp2p hosts of two nodes meet, as some other protocol of
// theirs might. The nodes themselves are told nothing.
func connect(t *testing.T, a, b *Node) {
	t.Helper()
	info := peer.AddrInfo{ID: peer.ID(b.self.Peer)}
	for _, s := range b.host.Addrs() {
		info.Addrs = append(info.Addrs, multiaddr.StringCast(s))
	}
	if err := a.host.Libp2p().Connect(t.Context(), info); err != nil {
		t.Fatal(err)
	}
}

// sees checks how many peers each node has in its ring.
func sees(want int, nodes ...*Node) error {
	for _, n := range nodes {
		if peers, _ := n.Sees(); peers != want {
			return fmt.Errorf("%s sees %d peers, want %d", n.Name(), peers, want)
		}
	}
	return nil
}

// Two parts of one ring that know nothing of each other become one through
// Kademlia, once any two of their hosts have met.
func TestReunionByKademlia(t *testing.T) {
	dir := t.TempDir()
	left := joinHome(t, filepath.Join(dir, "left"), nil)
	about, err := os.ReadFile(filepath.Join(dir, "left", "ring.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "right"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "right", "ring.json"), about, 0o600); err != nil {
		t.Fatal(err)
	}
	right := joinHome(t, filepath.Join(dir, "right"), nil)
	left2, right2 := joinTest(t, left, Config{}), joinTest(t, right, Config{})
	soon(t, "two parts of two", func() error { return sees(2, left, left2, right, right2) })

	connect(t, left2, right2)
	soon(t, "one ring", func() error {
		for _, n := range []*Node{left, left2, right, right2} {
			n.reunion.search(t.Context())
		}
		return sees(4, left, left2, right, right2)
	})
	back := uint64(0)
	for _, n := range []*Node{left, left2, right, right2} {
		back += n.reunion.stats()[byKademlia]
	}
	if back == 0 {
		t.Error("nobody came back by Kademlia")
	}
}

// Rings of another identity never merge, though they have one name, their
// hosts are connected, and each has heard of the other.
func TestRingsStayApart(t *testing.T) {
	a, b := joinTest(t, nil, Config{}), joinTest(t, nil, Config{})
	connect(t, a, b)
	a.host.AddPeer(b.self.Peer, b.host.Addrs())
	for range 5 {
		for _, p := range []struct{ at, other *Node }{{a, b}, {b, a}} {
			p.at.host.OfferKad(p.other.self.Peer)
			p.at.reunion.search(t.Context())
			p.at.reunion.hint(t.Context(), []chord.PeerID{p.other.self.Peer}, byMemory)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := sees(1, a, b); err != nil {
		t.Error(err)
	}
}

// What came into view is put down to what brought it.
func TestReunionCounts(t *testing.T) {
	r := newReunion(nil)
	old := time.Now().Add(-2 * hintLasts)
	r.hinted["memory"] = hint{byMemory, time.Now()}
	r.hinted["kademlia"] = hint{byKademlia, time.Now()}
	r.hinted["hinted long ago"] = hint{byMemory, old}
	r.saw(nil, []chord.PeerID{"memory", "kademlia", "hinted long ago", "new", "back"}, []chord.PeerID{"hinted long ago", "back"})
	if got, want := r.stats(), [waysBack]uint64{byMemory: 1, byKademlia: 1, byRing: 2}; got != want {
		t.Errorf("counted %v, want %v", got, want)
	}
	if len(r.hinted) != 0 {
		t.Errorf("%d hints are kept", len(r.hinted))
	}
	select {
	case <-r.wake:
		t.Error("a search is wanted though nobody was lost")
	default:
	}
	r.saw([]chord.PeerID{"gone"}, nil, nil)
	if len(r.wake) != 1 {
		t.Error("a loss wants no search")
	}
}

// The memory of former peers is bounded.
func TestFormerPeersAreBounded(t *testing.T) {
	var s peersSeen
	s.init()
	for i := range 2 * maxFormer {
		s.remember(chord.Peer{ID: chord.PeerID(fmt.Sprint(i))})
	}
	if len(s.former) != maxFormer || len(s.some(maxHinted)) != maxHinted {
		t.Errorf("%d former peers, %d of them", len(s.former), len(s.some(maxHinted)))
	}
}
