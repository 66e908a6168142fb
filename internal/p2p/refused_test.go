package p2p_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/internal/p2p"
)

const refusingTCP = "/ip4/127.0.0.1/tcp/1" // nobody listens there

// silentQUIC is the address of a socket that nothing answers from.
func silentQUIC(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", c.LocalAddr().(*net.UDPAddr).Port)
}

// An attempt at a peer that has died does not wait for QUIC to give up.
func TestRefused(t *testing.T) {
	a := start(t, nil)
	dead, err := p2p.IDOf(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	a.AddPeer(dead, []string{refusingTCP, silentQUIC(t)})
	eventually(t, "an attempt ends by the refusal", func() bool {
		err := echo(t, a, dead)
		return err != nil && strings.HasSuffix(err.Error(), "open stream: connection refused")
	})
}

// A peer whose machine refuses TCP may yet be reached over QUIC.
func TestRefusedOnlyTCP(t *testing.T) {
	a := start(t, nil)
	b := start(t, func(c *p2p.Config) { c.Listen = []string{"/ip4/127.0.0.1/udp/0/quic-v1"} })
	a.AddPeer(b.ID(), append(b.Addrs(), refusingTCP))
	eventually(t, "the peer is reached", func() bool { return echo(t, a, b.ID()) == nil })
}

// What a refusal says of a peer, by its addresses.
func TestDoors(t *testing.T) {
	for addrs, want := range map[string]string{
		"/ip4/10.0.0.1/tcp/7 /ip4/10.0.0.1/udp/7/quic-v1":                          "[10.0.0.1:7] 250ms true",
		"/ip4/10.0.0.1/tcp/7 /ip4/127.0.0.1/tcp/7":                                 "[10.0.0.1:7 127.0.0.1:7] 250ms true",
		"/ip4/192.0.2.1/tcp/7 /ip4/192.0.2.1/udp/7/quic-v1 /ip4/127.0.0.1/tcp/7":   "[192.0.2.1:7 127.0.0.1:7] 1s true",
		"/ip6/2001:db8::1/tcp/7":                                                   "[[2001:db8::1]:7] 1s true",
		"/ip4/10.0.0.1/udp/7/quic-v1":                                              "[] 0s false", // QUIC alone
		"/ip4/10.0.0.1/tcp/7 /ip4/10.0.0.2/udp/7/quic-v1":                          "[] 0s false", // another machine
		"/ip4/10.0.0.1/tcp/7 /dns4/example.org/tcp/7":                              "[] 0s false", // whichever that is
		"/ip4/10.0.0.1/tcp/7 /ip4/10.0.0.1/tcp/9/p2p/" + somePeer + "/p2p-circuit": "[] 0s false", // through another peer
		"": "[] 0s false",
	} {
		var list []multiaddr.Multiaddr
		for s := range strings.FieldsSeq(addrs) {
			a, err := multiaddr.NewMultiaddr(s)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, a)
		}
		ports, patience, ok := p2p.Doors(list)
		if got := fmt.Sprint(ports, patience, ok); got != want {
			t.Errorf("%s: %s, want %s", addrs, got, want)
		}
	}
}

const somePeer = "12D3KooWF7ioCfYmyFhg1YC31Zo3vzbz5BvQhCUx5Phm5doHQowR"
