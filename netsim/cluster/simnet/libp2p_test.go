package simnet_test

import (
	"context"
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/chorus-net/chorus/netsim/cluster/simnet"
)

const latency = 20 * time.Millisecond

func newHost(t *testing.T, n *simnet.Network, i int, key crypto.PrivKey) host.Host {
	t.Helper()
	h, err := libp2p.New(append(n.HostOptions(i), libp2p.Identity(key), libp2p.DisableRelay())...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newKey(t *testing.T) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// roundTrip connects if need be and pings once.
func roundTrip(a, b host.Host, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := a.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		return 0, err
	}
	result := <-ping.Ping(ctx, a, b.ID())
	if result.Error == nil && result.RTT == 0 {
		return 0, ctx.Err()
	}
	return result.RTT, result.Error
}

func testHosts(t *testing.T) {
	n, err := simnet.New(simnet.Settings{Latency: latency, Loss: 0.02, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var hosts []host.Host
	var keys []crypto.PrivKey
	for i := range 3 {
		keys = append(keys, newKey(t))
		hosts = append(hosts, newHost(t, n, i, keys[i]))
	}
	defer func() {
		for _, h := range hosts {
			h.Close()
		}
	}()
	must := func(a, b int) {
		t.Helper()
		rtt, err := roundTrip(hosts[a], hosts[b], 20*time.Second)
		if err != nil {
			t.Fatalf("%d to %d: %v", a, b, err)
		}
		if rtt < 2*latency {
			t.Errorf("%d to %d: round trip %v, latency is %v one way", a, b, rtt, latency)
		}
		t.Logf("%d to %d: round trip %v", a, b, rtt)
	}
	mustNot := func(a, b int) {
		t.Helper()
		if rtt, err := roundTrip(hosts[a], hosts[b], 500*time.Millisecond); err == nil {
			t.Errorf("%d reaches %d in %v", a, b, rtt)
		}
	}
	must(0, 1)
	must(1, 2)

	n.Partition([]int{0}, []int{1, 2})
	mustNot(0, 1)
	must(1, 2)
	n.Heal()
	must(0, 1)

	if err := n.Down(2); err != nil {
		t.Fatal(err)
	}
	mustNot(1, 2)
	hosts[2].Close()
	if err := n.Up(2); err != nil {
		t.Fatal(err)
	}
	hosts[2] = newHost(t, n, 2, keys[2])
	must(2, 0)

	n.SetLoss(1)
	mustNot(0, 1)
	t.Logf("%+v", n.Stats())
}

func TestHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("real time")
	}
	testHosts(t)
}

func TestHostsInVirtualTime(t *testing.T) {
	synctest.Test(t, testHosts)
}
