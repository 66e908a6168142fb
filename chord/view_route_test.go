package chord

import (
	"slices"
	"testing"
)

// route walks from one peer to the owner of target by what each peer answers.
func route(t *testing.T, peers []Peer, from PeerID, target ID, list int) (owner PeerID, hops int) {
	t.Helper()
	at := from
	asked := []PeerID{from}
	for {
		nodes, done := NewView(at, peers).Route(target, list)
		if len(nodes) == 0 {
			t.Fatalf("%s has no answer", at)
		}
		if done {
			return nodes[0].ID, hops
		}
		if len(nodes) > maxReferal {
			t.Fatalf("%s refers to %d peers", at, len(nodes))
		}
		at = nodes[0].ID
		hops++
		if slices.Contains(asked, at) {
			t.Fatalf("the way to %s leads back to %s", target.Short(), at)
		}
		asked = append(asked, at)
	}
}

func TestRouteFindsOwner(t *testing.T) {
	for _, test := range []struct{ peers, positions, list, most int }{
		{1, 1, 1, 0}, {2, 3, 1, 1}, {9, 1, 1, 5}, {64, 1, 3, 8}, {64, 8, 8, 4},
	} {
		var peers []Peer
		for i := range test.peers {
			peers = append(peers, testPeer(i, test.positions))
		}
		whole := NewView(peers[0].ID, peers)
		for i := range 40 {
			target := HashID([]byte{byte(i)})
			owner, hops := route(t, peers, peers[i%len(peers)].ID, target, test.list)
			if want := whole.Owner(target).ID; owner != want {
				t.Errorf("%+v: %s is owned by %s, found %s", test, target.Short(), want, owner)
			}
			if hops > test.most {
				t.Errorf("%+v: %d hops to %s", test, hops, target.Short())
			}
		}
	}
	if nodes, done := NewView("nobody", nil).Route(ID{}, 8); len(nodes) > 0 || done {
		t.Errorf("an empty ring answers %v, %v", nodes, done)
	}
}
