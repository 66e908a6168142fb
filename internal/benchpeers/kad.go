package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// kadNet is a Kademlia network that knows itself well; the peers take turns
// with the operations, since none has keys of its own.
type kadNet struct {
	hosts   []host.Host
	dhts    []*dht.IpfsDHT
	next    atomic.Uint64
	handled atomic.Uint64
}

// anything takes every value.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

func startKad(peers int) func(context.Context, string) (system, error) {
	return func(ctx context.Context, _ string) (system, error) {
		k := new(kadNet)
		for range peers {
			if err := k.add(ctx); err != nil {
				return nil, err
			}
		}
		for range 2 { // by the second time everybody is known
			for _, d := range k.dhts {
				if err := <-d.RefreshRoutingTable(); err != nil {
					return nil, err
				}
			}
			time.Sleep(time.Second)
		}
		return k, nil
	}
}

func (k *kadNet) add(ctx context.Context) error {
	h, err := libp2p.New(
		libp2p.NoTransports, libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
	)
	if err != nil {
		return err
	}
	d, err := dht.New(h, dht.Mode(dht.ModeServer), dht.ProtocolPrefix("/bench"), dht.NamespacedValidator("bench", anything{}),
		dht.OnRequestHook(func(context.Context, network.Stream, *pb.Message) { k.handled.Add(1) }))
	if err != nil {
		return errors.Join(err, h.Close())
	}
	k.hosts, k.dhts = append(k.hosts, h), append(k.dhts, d)
	first := k.hosts[0]
	if h == first {
		return nil
	}
	return h.Connect(ctx, peer.AddrInfo{ID: first.ID(), Addrs: first.Addrs()})
}

func (k *kadNet) dht() *dht.IpfsDHT { return k.dhts[k.next.Add(1)%uint64(len(k.dhts))] }

func (k *kadNet) put(ctx context.Context, key string, value []byte) error {
	return k.dht().PutValue(ctx, "/bench/"+key, value)
}

func (k *kadNet) get(ctx context.Context, key string) error {
	_, err := k.dht().GetValue(ctx, "/bench/"+key)
	return err
}

func (k *kadNet) calls(context.Context) (uint64, error) { return k.handled.Load(), nil }

func (k *kadNet) close() error {
	var errs []error
	for i := range k.dhts {
		errs = append(errs, k.dhts[i].Close(), k.hosts[i].Close())
	}
	return errors.Join(errs...)
}
