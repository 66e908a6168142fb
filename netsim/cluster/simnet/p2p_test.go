package simnet_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/netsim/cluster/simnet"
)

const methodEcho rpc.Method = 1

// newPeer starts a peer's host, with Kademlia, as host i of the network.
func newPeer(t *testing.T, n *simnet.Network, i int, key crypto.PrivKey) *p2p.Host {
	t.Helper()
	registry := rpc.NewRegistry()
	registry.Handle(methodEcho, rpc.Spec{Name: "echo", Role: rpc.RoleMember}, func(_ context.Context, req *rpc.Request) ([]byte, error) {
		return bytes.Clone(req.Payload), nil
	})
	h, err := p2p.New(t.Context(), p2p.Config{
		Key:       key,
		Listen:    []string{n.ListenAddr(i).String()},
		ListenUDP: n.ListenUDP(i),
		Ring:      []byte("test"),
		Registry:  registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A peer's calls cross the network, stop at a partition, and work again with the
// one that was started in place of a peer that was killed.
func testPeers(t *testing.T) {
	n, err := simnet.New(simnet.Settings{Latency: latency, Loss: 0.02, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	keyA, keyB := newKey(t), newKey(t)
	a, b := newPeer(t, n, 0, keyA), newPeer(t, n, 1, keyB)
	defer func() {
		a.Close()
		b.Close()
	}()
	call := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := a.Call(ctx, b.ID(), rpc.Header{Method: methodEcho}, []byte("hello"))
		return err
	}
	eventually := func(what string) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			err := call(2 * time.Second)
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if _, err := a.Connect(t.Context(), n.ListenAddr(1).String()+"/p2p/"+p2p.FormatPeerID(b.ID())); err != nil {
		t.Fatal(err)
	}
	eventually("first call")

	n.Partition([]int{0})
	if err := call(500 * time.Millisecond); err == nil {
		t.Error("a call crossed a partition")
	}
	n.Heal()
	eventually("after the partition")

	b.Kill()
	if err := call(500 * time.Millisecond); err == nil {
		t.Error("a peer that was killed answers")
	}
	b = newPeer(t, n, 1, keyB)
	eventually("after the restart")
}

func TestPeers(t *testing.T) {
	if testing.Short() {
		t.Skip("real time")
	}
	testPeers(t)
}

func TestPeersInVirtualTime(t *testing.T) {
	synctest.Test(t, testPeers)
}
