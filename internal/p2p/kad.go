package p2p

import (
	"fmt"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// newKad starts Kademlia on h. It finds peers and who has what; it keeps no
// values. Every peer of a ring serves, since a private network has nobody else
// to ask, and no public peer is ever contacted: the protocol is the ring's own.
func newKad(h host.Host, prefix protocol.ID) (*dht.IpfsDHT, error) {
	kad, err := dht.New(h,
		dht.ProtocolPrefix(prefix),
		dht.Mode(dht.ModeServer),
		dht.BootstrapPeers(),
		dht.DisableValues(),
		dht.RoutingTableRefreshPeriod(10*time.Minute),
	)
	if err != nil {
		return nil, fmt.Errorf("start Kademlia: %w", err)
	}
	return kad, nil
}
