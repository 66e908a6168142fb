package p2p_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/rpc/rpctest"
)

// Calls over bare libp2p streams pass the suite of package rpc.
func TestConformance(t *testing.T) {
	for name, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			on := func(c *p2p.Config) { c.Listen = []string{listen}; c.DisableKad = true }
			a, b := start(t, on), start(t, on)
			connect(t, a, b)
			incoming := make(chan network.Stream, 1)
			b.Libp2p().SetStreamHandler("/suite", func(s network.Stream) { incoming <- s })
			rpctest.Run(t, func(t testing.TB) (rpc.Stream, rpc.Stream) {
				s, err := a.Libp2p().NewStream(t.Context(), peer.ID(b.ID()), "/suite")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Write(nil); err != nil { // negotiates
					t.Fatal(err)
				}
				select {
				case u := <-incoming:
					return s, u
				case <-time.After(patience):
					t.Fatal("the stream never arrived")
					return nil, nil
				}
			})
		})
	}
}
