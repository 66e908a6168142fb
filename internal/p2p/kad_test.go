package p2p_test

import (
	"testing"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
)

// Kademlia takes in peers of the ring before there is a connection to them, and
// lets go of those that are neither members nor connected.
func TestOfferKad(t *testing.T) {
	host := start(t, nil)
	table := host.Kad().RoutingTable()
	var offered []chord.PeerID
	for range 6 {
		offered = append(offered, start(t, nil).ID())
	}
	host.OfferKad(offered...)
	host.OfferKad(offered[0], host.ID(), "not a peer")
	if table.Size() != len(offered) {
		t.Fatalf("%d peers in the table, want %d", table.Size(), len(offered))
	}
	host.PruneKad(func(id chord.PeerID) bool { return id == offered[1] })
	if got := table.ListPeers(); len(got) != 1 || chord.PeerID(got[0]) != offered[1] {
		t.Errorf("left in the table: %v", got)
	}
}

func TestRoutingQuorum(t *testing.T) {
	var o routing.Options
	if got := p2p.RoutingQuorum(&o); got != 0 {
		t.Errorf("without the option: %d", got)
	}
	if err := o.Apply(dht.Quorum(7)); err != nil {
		t.Fatal(err)
	}
	if got := p2p.RoutingQuorum(&o); got != 7 {
		t.Errorf("got %d, want 7", got)
	}
}
