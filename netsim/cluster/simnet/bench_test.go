package simnet_test

import (
	"context"
	"crypto/rand"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/chorus-net/chorus/netsim/cluster/simnet"
)

// pairOfHosts are connected, in real time and without latency.
func pairOfHosts(b *testing.B) (x, y host.Host) {
	b.Helper()
	n, err := simnet.New(simnet.Settings{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close() })
	hosts := make([]host.Host, 2)
	for i := range hosts {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		if hosts[i], err = libp2p.New(append(n.HostOptions(i), libp2p.Identity(key), libp2p.DisableRelay())...); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { hosts[i].Close() })
	}
	if err := hosts[0].Connect(b.Context(), peer.AddrInfo{ID: hosts[1].ID(), Addrs: hosts[1].Addrs()}); err != nil {
		b.Fatal(err)
	}
	return hosts[0], hosts[1]
}

func BenchmarkPing(b *testing.B) {
	x, y := pairOfHosts(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	answers := ping.Ping(ctx, x, y.ID())
	for b.Loop() {
		if answer := <-answers; answer.Error != nil {
			b.Fatal(answer.Error)
		}
	}
}

func BenchmarkStream(b *testing.B) {
	x, y := pairOfHosts(b)
	y.SetStreamHandler("/echo", func(s network.Stream) {
		_, _ = io.Copy(s, s)
	})
	s, err := x.NewStream(b.Context(), y.ID(), "/echo")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Reset()
	block, echo := make([]byte, 1<<20), make([]byte, 1<<20)
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		go s.Write(block)
		if _, err := io.ReadFull(s, echo); err != nil {
			b.Fatal(err)
		}
	}
}
