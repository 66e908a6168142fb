package p2p_test

import (
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

func addrsOf(list string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for s := range strings.FieldsSeq(list) {
		out = append(out, ma.StringCast(s))
	}
	return out
}

func textOf(list []ma.Multiaddr) string {
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// What is announced follows from the profile, and from what others found.
func TestAnnounced(t *testing.T) {
	const (
		lan   = "/ip4/127.0.0.1/tcp/1 /ip4/192.168.1.2/tcp/1"
		both  = "/ip4/192.168.1.2/tcp/1 /ip4/93.184.216.34/tcp/1"
		home  = "/ip4/93.184.216.34/tcp/1"
		relay = "/ip4/93.184.216.99/tcp/1/p2p/12D3KooWD3bfmNbuuuVCYwkjnFt3ukm3qaB3hDED3peHHXawvRAi/p2p-circuit"
	)
	for _, c := range []struct {
		name, local, want string
		profile           p2p.Profile
		seen              string
		hidden            bool
		open, relayed     string
	}{
		{name: "a LAN", local: lan, want: lan},
		{name: "an explicit LAN", profile: p2p.ProfileLAN, local: both, want: both},
		{name: "a public host", local: both, want: home},
		{name: "an explicit WAN", profile: p2p.ProfileWAN, local: both, want: home},
		{name: "a private host that must not say so", profile: p2p.ProfileWAN, local: lan, want: ""},
		{name: "a forwarded port", local: lan, seen: home, open: home, want: home},
		{name: "behind a NAT", local: lan, seen: home, hidden: true, relayed: relay, want: relay},
		{name: "behind a NAT, no relay", local: lan, seen: home, hidden: true, want: ""},
		{name: "behind a NAT, with neighbours", profile: p2p.ProfileLAN, local: lan, seen: home, hidden: true, relayed: relay, want: lan + " " + relay},
		{name: "behind a firewall", local: both, hidden: true, relayed: relay, want: relay},
		{name: "behind a firewall, no relay", local: both, hidden: true, want: home},
		{name: "a NAT within a private network", local: lan, seen: "/ip4/10.0.0.7/tcp/9", hidden: true, relayed: "/ip4/10.0.0.1/tcp/1/p2p-circuit", want: "/ip4/10.0.0.1/tcp/1/p2p-circuit " + lan},
	} {
		r := p2p.NewRanges(c.profile)
		for _, a := range addrsOf(c.seen) {
			r.SeenAt(a)
		}
		if !r.Found(c.hidden, addrsOf(c.open), addrsOf(c.relayed)) && c.hidden {
			t.Errorf("%s: nothing has changed", c.name)
		}
		if got := textOf(r.Announced(addrsOf(c.local))); got != c.want {
			t.Errorf("%s: announced %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMayDial(t *testing.T) {
	const given = "/ip4/10.0.0.5/tcp/4747"
	private := addrsOf("/ip4/10.0.0.6/tcp/22 /ip4/127.0.0.1/tcp/6379 /ip4/169.254.169.254/tcp/80 /ip4/100.64.0.1/tcp/1 /ip6/::1/tcp/1 /ip6/fd00::1/udp/1/quic-v1 " +
		"/ip4/192.168.1.1/tcp/80/p2p/12D3KooWD3bfmNbuuuVCYwkjnFt3ukm3qaB3hDED3peHHXawvRAi/p2p-circuit")
	public := addrsOf("/ip4/93.184.216.34/tcp/4747 /ip6/2606:4700::1/udp/4747/quic-v1 " + given)
	wan, lan := p2p.NewRanges(p2p.ProfileWAN, given), p2p.NewRanges(p2p.ProfileAuto)
	for _, a := range private {
		if wan.MayDial(a) {
			t.Errorf("beyond a LAN %s is dialled", a)
		}
		if !lan.MayDial(a) {
			t.Errorf("on a LAN %s is not dialled", a)
		}
	}
	for _, a := range public {
		if !wan.MayDial(a) || !lan.MayDial(a) {
			t.Errorf("%s is not dialled", a)
		}
	}
	lan.SeenAt(public[0])
	if lan.MayDial(private[0]) {
		t.Error("a host that is seen at a public address dials private ones")
	}
}

// A member that names addresses in a network of others' has nobody knock there, unless the
// operator named them too.
func TestPrivateNotDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var knocks atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			knocks.Add(1)
			_ = c.Close()
		}
	}()
	defer func() { _ = l.Close(); <-done }()
	victim := "/ip4/127.0.0.1/tcp/" + strings.TrimPrefix(l.Addr().String(), "127.0.0.1:")
	member, err := p2p.IDOf(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	knock := func(given ...string) int32 {
		a := start(t, func(c *p2p.Config) { c.Profile, c.Given = p2p.ProfileWAN, given })
		a.AddPeer(member, []string{victim})
		if _, err := a.Call(t.Context(), member, rpc.Header{Method: methodEcho, Deadline: time.Now().Add(patience)}, nil); err == nil {
			t.Error("a call was answered")
		}
		return knocks.Swap(0)
	}
	if n := knock(); n != 0 {
		t.Errorf("%d connections to an address that a member named", n)
	}
	if n := knock(victim); n == 0 {
		t.Error("the address that the operator gave was not tried")
	}
}
