package overlay

import (
	"fmt"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

// TestTrace looks for a key in a ring of real peers, in each way.
func TestTrace(t *testing.T) {
	first := joinTest(t, nil, Config{Shards: 16, PlainChord: true})
	nodes := []*Node{first}
	for range 4 {
		nodes = append(nodes, joinTest(t, first, Config{PlainChord: true}))
	}
	soon(t, "five peers in the ring of each", func() error {
		for _, n := range nodes {
			ring, err := n.Ring(t.Context())
			if err != nil {
				return err
			}
			if len(ring.Peers) != len(nodes) || ring.Agree != ring.Of {
				return fmt.Errorf("%s sees %d peers, %d of %d agree", n.Name(), len(ring.Peers), ring.Agree, ring.Of)
			}
		}
		return nil
	})
	if _, err := first.Put(t.Context(), "songs/aria", []byte("x")); err != nil {
		t.Fatal(err)
	}
	var trace client.Trace
	soon(t, "three voters and a walk of Kademlia", func() (err error) {
		if trace, err = nodes[4].Trace(t.Context(), "songs/aria"); err != nil {
			return err
		}
		if kad := trace.Walks[2]; len(trace.Voters) != 3 || trace.Moving || len(kad.Found) == 0 {
			return fmt.Errorf("%d voters, Kademlia: %+v", len(trace.Voters), kad)
		}
		return nil
	})
	if len(trace.Position) != 64 || trace.Shards != 16 || trace.Shard >= 16 || trace.Epoch == 0 || !trace.OneHop {
		t.Errorf("%+v", trace)
	}
	for _, v := range trace.Voters {
		if self := v.ID == nodes[4].ID(); v.State != "alive" || v.Incarnation == 0 || (v.RTTus > 0) == self {
			t.Errorf("voter %+v", v)
		}
	}
	for i, way := range client.Ways() {
		w := trace.Walks[i]
		if w.Way != way || w.Error != "" || len(w.Found) == 0 || w.US <= 0 {
			t.Errorf("walk %+v", w)
			continue
		}
		if way == client.WayTable && w.Found[0] != trace.Owner {
			t.Errorf("%s finds %s, the owner is %s", way, w.Found[0], trace.Owner)
		}
		for _, h := range w.Path {
			if h.RTTus <= 0 || h.Depth < 1 || h.Peer == "" {
				t.Errorf("%s: hop %+v", way, h)
			}
		}
	}
	if kad := trace.Walks[len(trace.Walks)-1]; kad.Hops < 1 || kad.Messages < 2 {
		t.Errorf("Kademlia: %+v", kad)
	}
	testLookups(t, nodes[4])
}

func testLookups(t *testing.T, n *Node) {
	for _, way := range client.Ways() {
		l, err := n.Lookups(t.Context(), client.LookupSpec{Way: way, Count: 20, Seed: 7})
		if err != nil {
			t.Fatal(err)
		}
		if l.N != 20 || l.Failed > 0 || l.P50us <= 0 || l.P99us < l.P50us || l.Hops > float64(l.MaxHops) {
			t.Errorf("%+v", l)
		}
		if way != client.WayKademlia && l.Wrong > 0 {
			t.Errorf("%d of 20 lookups found a peer that is not the owner", l.Wrong)
		}
		if way == client.WayKademlia && (l.Messages < 2 || l.Bytes <= 0) {
			t.Errorf("%s: %v messages, %v bytes", way, l.Messages, l.Bytes)
		}
	}
	for _, spec := range []client.LookupSpec{{Way: client.WayTable}, {Way: "magic", Count: 1}, {Way: client.WayTable, Count: client.MaxLookups + 1}} {
		if _, err := n.Lookups(t.Context(), spec); codeOf(err) != string(client.CodeUsage) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	if _, err := n.Trace(t.Context(), ""); codeOf(err) != string(client.CodeBadKey) {
		t.Errorf("trace of no key: %v", err)
	}
}
