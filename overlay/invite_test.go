package overlay

import (
	"slices"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

// A token holds the ways that lead farthest, those through relays first.
func TestTokenAddrs(t *testing.T) {
	const (
		relay  = "/p2p/12D3KooWEZXjE41uU4EL2gpkAQeDXYok6wghN7wwNVPF5bwkaNfS"
		other  = "/p2p/12D3KooWL3XJ9EMCyZvmmGXL2LMiVBtrVa2BuESsJiXkSj7333Jw"
		bent   = "/p2p-circuit"
		public = "/ip4/11.22.33.1"
	)
	for _, c := range []struct{ have, want []string }{
		{[]string{"/ip4/127.0.0.1/tcp/1"}, []string{"/ip4/127.0.0.1/tcp/1"}},
		{[]string{"/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1"}, []string{"/ip4/10.0.0.1/tcp/1"}},
		{[]string{"/ip4/10.0.0.1/tcp/1", public + "/tcp/1"}, []string{public + "/tcp/1", "/ip4/10.0.0.1/tcp/1"}},
		{
			[]string{
				"/ip4/192.168.0.2/tcp/1", public + "/tcp/1" + relay + bent, public + "/udp/1/quic-v1" + relay + bent,
				public + "/tcp/2" + relay + bent, public + "/tcp/1" + other + bent, "not an address",
			},
			[]string{
				public + "/tcp/1" + relay + bent, public + "/udp/1/quic-v1" + relay + bent,
				public + "/tcp/1" + other + bent, "/ip4/192.168.0.2/tcp/1",
			},
		},
		{nil, nil},
	} {
		var got []string
		for _, b := range tokenAddrs(c.have) {
			a, err := multiaddr.NewMultiaddrBytes(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, a.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("of %q\nit is %q\nwant  %q", c.have, got, c.want)
		}
	}
}
