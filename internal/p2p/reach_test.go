package p2p_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

// nowhere makes a host listen nowhere, so that a relay is the only way to it.
func nowhere(c *p2p.Config) { c.Listen = nil }

// far starts a host that takes all others for far away, and nobody's dial for possible if it is walled.
func far(t *testing.T, walled bool, change func(*p2p.Config)) *p2p.Host {
	t.Helper()
	return start(t, func(c *p2p.Config) {
		p2p.FarFromAll(c, walled)
		if change != nil {
			change(c)
		}
	})
}

// settle connects a walled host to others, and waits until it is at relays.
func settle(t *testing.T, h *p2p.Host, relays ...*p2p.Host) {
	t.Helper()
	var ids []chord.PeerID
	for _, r := range relays {
		connect(t, h, r)
		ids = append(ids, r.ID())
	}
	eventually(t, "a place at a relay", func() bool {
		h.Settle(t.Context(), ids)
		return len(h.Reach().Relays) == len(relays)
	})
}

// circuits returns a host's addresses through relays.
func circuits(h *p2p.Host) []string {
	return slices.DeleteFunc(h.Addrs(), func(a string) bool { return !strings.HasSuffix(a, "/p2p-circuit") })
}

func quicToo(c *p2p.Config) {
	c.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
}

// Others tell a host that can be reached where; and it asks nobody on loopback.
func TestReachPublic(t *testing.T) {
	a, b := far(t, false, quicToo), far(t, false, quicToo)
	told := make(chan struct{}, 1)
	a.OnAddrs(func() {
		select {
		case told <- struct{}{}:
		default:
		}
	})
	connect(t, a, b)
	eventually(t, "both are public", func() bool {
		return a.Reach().State == p2p.ReachPublic && b.Reach().State == p2p.ReachPublic
	})
	<-told
	if r := a.Reach(); r.Asked != 1 || len(r.Relays) != 0 || r.WAN {
		t.Errorf("%+v", r)
	}
	if got := len(a.Addrs()); got != 2 {
		t.Errorf("announces %q", a.Addrs())
	}
	c := start(t, quicToo)
	connect(t, c, b)
	if r := c.Reach(); r.State != p2p.ReachLocal {
		t.Errorf("on loopback: %+v", r)
	}
	for _, p := range c.Libp2p().Mux().Protocols() {
		if strings.Contains(string(p), "circuit") || strings.Contains(string(p), "reach") || strings.Contains(string(p), "dcutr") {
			t.Errorf("on loopback it speaks %s", p)
		}
	}
}

// A peer that lies about where it sees a host is outvoted: addresses of private ranges count again.
func TestOneLiarAboutAddresses(t *testing.T) {
	a, liar := far(t, false, nil), far(t, false, nil)
	addrs := a.Addrs()
	for _, p := range liar.Libp2p().Mux().Protocols() {
		if !strings.HasSuffix(string(p), "/reach/1") {
			continue
		}
		liar.Libp2p().SetStreamHandler(p, func(s network.Stream) {
			defer s.Close()
			if _, err := p2p.ReadMessage(s); err == nil {
				_ = p2p.WriteMessage(s, p2p.AppendLines(nil, addrsOf("/ip4/8.8.8.8/tcp/1")))
			}
		})
	}
	connect(t, a, liar)
	eventually(t, "the lie is all there is", func() bool { return a.Reach().Asked == 1 && a.Reach().WAN })
	for i := range 2 {
		honest := far(t, false, nil)
		honest.AddPeer(a.ID(), addrs) // a announces none of them now
		if err := echo(t, honest, a.ID()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "one more is asked", func() bool { return a.Reach().Asked == 2+i })
	}
	eventually(t, "the liar is outvoted", func() bool { return !a.Reach().WAN && slices.Equal(a.Addrs(), addrs) })
}

// A peer that is reached through a relay alone calls and is called, beyond what a libp2p relay
// carries by default. Its relays replace each other.
func TestRelayed(t *testing.T) {
	relay, other := far(t, false, nil), far(t, false, nil)
	hidden, caller := far(t, false, nowhere), far(t, false, nil)
	settle(t, hidden, relay, other)
	if r := hidden.Reach(); r.State != p2p.ReachPrivate || r.Asked == 0 {
		t.Errorf("%+v", r)
	}
	connect(t, caller, relay)
	connect(t, caller, other)
	caller.AddPeer(hidden.ID(), circuits(hidden))
	if err := echo(t, caller, hidden.ID()); err != nil {
		t.Fatal(err)
	}
	for _, way := range [][2]*p2p.Host{{caller, hidden}, {hidden, caller}} {
		path, ok := way[0].Path(way[1].ID())
		if !ok || !path.Relayed {
			t.Errorf("the path is %+v", path)
		}
		want := bytes.Repeat([]byte("chorus"), 100_000)
		got, err := way[0].Call(t.Context(), way[1].ID(), rpc.Header{Method: methodEcho}, want)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d of %d bytes came back, %v", len(got), len(want), err)
		}
	}
	path, _ := caller.Path(hidden.ID())
	gone, left := relay, other
	if strings.Contains(path.Addr, p2p.FormatPeerID(other.ID())) {
		gone, left = other, relay
	}
	if err := gone.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "the other relay alone", func() bool { return slices.Equal(hidden.Reach().Relays, []chord.PeerID{left.ID()}) })
	eventually(t, "calls through the other relay", func() bool {
		_, err := caller.Call(t.Context(), hidden.ID(), rpc.Header{Method: methodEcho}, nil)
		return err == nil
	})
	if path, _ := caller.Path(hidden.ID()); !strings.Contains(path.Addr, p2p.FormatPeerID(left.ID())) {
		t.Errorf("the path is %+v", path)
	}
}

// Peers that meet at a relay do without it where they can.
func TestHolePunched(t *testing.T) {
	relay, hidden, caller := far(t, false, quicToo), far(t, true, quicToo), far(t, true, quicToo)
	settle(t, hidden, relay)
	settle(t, caller, relay)
	caller.AddPeer(hidden.ID(), circuits(hidden))
	for _, way := range [][2]*p2p.Host{{caller, hidden}, {hidden, caller}} {
		eventually(t, "a path without a relay", func() bool {
			if err := echo(t, way[0], way[1].ID()); err != nil {
				t.Fatal(err)
			}
			path, ok := way[0].Path(way[1].ID())
			return ok && !path.Relayed
		})
	}
}

// The gate stands at the end of a circuit too: the relay letting somebody in does not let them in
// elsewhere. And only members are relayed.
func TestGateBehindRelay(t *testing.T) {
	lenient := func() *gate {
		g := newGate("member")
		g.good["guest"] = rpc.RoleMember
		return g
	}
	with := func(g p2p.Gate) func(*p2p.Config) { return func(c *p2p.Config) { c.Gate = g } }
	relay, hidden := far(t, false, with(lenient())), far(t, false, func(c *p2p.Config) { c.Gate = newGate("member"); nowhere(c) })
	settle(t, hidden, relay)
	member := far(t, false, with(newGate("member")))
	connect(t, member, relay)
	member.AddPeer(hidden.ID(), circuits(hidden))
	if err := echo(t, member, hidden.ID()); err != nil {
		t.Error(err)
	}
	if path, ok := member.Path(hidden.ID()); !ok || !path.Relayed {
		t.Errorf("the path is %+v", path)
	}
	for _, pass := range []string{"guest", "reader"} { // whom the relay takes for a member, and for less
		g := lenient()
		g.pass = pass
		who := far(t, true, with(g))
		connect(t, who, relay)
		who.AddPeer(hidden.ID(), circuits(hidden))
		if err := echo(t, who, hidden.ID()); err == nil {
			t.Errorf("%s was answered", pass)
		}
		if hidden.Libp2p().Network().Connectedness(peer.ID(who.ID())) != network.NotConnected {
			t.Errorf("%s is connected", pass)
		}
		if pass == "reader" {
			for _, suffix := range []string{"/reach/1", "/libp2p/circuit/relay/0.2.0/hop"} {
				if served(t, who, relay, suffix) {
					t.Errorf("a reader was served %s", suffix)
				}
			}
		}
	}
}

// served reports whether a peer answers a question to a protocol, which is that of a member.
func served(t *testing.T, from, to *p2p.Host, suffix string) bool {
	t.Helper()
	id := protocolOf(to, suffix)
	if id == "" {
		t.Fatalf("no protocol %s", suffix)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := from.Libp2p().NewStream(ctx, peer.ID(to.ID()), id)
	if err != nil {
		return false
	}
	defer s.Reset()
	question := []byte{0, 0} // no ports
	ok := byte(0)            // any answer
	switch {
	case strings.HasSuffix(suffix, "hop"):
		question, ok = []byte{2, 8, 0}, 100 // a reservation; the status in its answer
	case strings.HasSuffix(suffix, "/admit/1"):
		question = []byte{22, 3, 1, 0, 4, 1, 0, 0, 0} // a hello of TLS that is none: the answer is an alert
	}
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, err := s.Write(question); err != nil {
		return false
	}
	answer, err := io.ReadAll(io.LimitReader(s, 4<<10))
	if ok == 0 {
		return err == nil && len(answer) > 0
	}
	return err == nil && bytes.Contains(answer, []byte{0x28, ok})
}

// A port is tried at the IP that asks, whatever the question says.
func TestAt(t *testing.T) {
	for _, c := range []struct{ seen, listen, want string }{
		{"/ip4/1.2.3.4/tcp/5", "/ip4/10.0.0.1/tcp/4747", "/ip4/1.2.3.4/tcp/4747"},
		{"/ip4/1.2.3.4/udp/5/quic-v1", "/ip4/0.0.0.0/udp/4747/quic-v1", "/ip4/1.2.3.4/udp/4747/quic-v1"},
		{"/ip6/2606:4700::1/tcp/5", "/ip6/::/tcp/4747", "/ip6/2606:4700::1/tcp/4747"},
		{"/ip4/1.2.3.4/tcp/5", "/ip6/::/tcp/4747", ""},
		{"/ip4/1.2.3.4/tcp/5", "/p2p-circuit", ""},
		{"/ip4/1.2.3.4/tcp/5", "/ip4/9.9.9.9/tcp/1/ws", ""},
		{"/ip4/1.2.3.4/tcp/5", "/ip4/9.9.9.9/udp/1", ""},
		{"/dns4/example.com/tcp/5", "/dns4/example.org/tcp/1", ""},
	} {
		got := ""
		if a := p2p.At(ma.StringCast(c.seen), ma.StringCast(c.listen)); a != nil {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("%s seen at %s: %q, want %q", c.listen, c.seen, got, c.want)
		}
	}
}

// What is read as addresses is written back the same.
func FuzzLines(f *testing.F) {
	f.Add([]byte("/ip4/1.2.3.4/tcp/5\n/ip6/::1/udp/6/quic-v1\n"))
	f.Add([]byte("/ip4/1.2.3.4/tcp/5\n\n"))
	f.Add([]byte("/p2p-circuit"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := p2p.ParseLines(b)
		if err != nil {
			return
		}
		again, err := p2p.ParseLines(p2p.AppendLines(nil, list))
		if err != nil || len(again) > len(list) {
			t.Fatalf("%d addresses became %d, %v", len(list), len(again), err)
		}
		for i := range again {
			if !again[i].Equal(list[i]) {
				t.Errorf("%s became %s", list[i], again[i])
			}
		}
	})
}

// A message of admission is of 4 KiB at the most, whatever a stranger says its length is.
func FuzzReadMessage(f *testing.F) {
	f.Add([]byte("\x00\x02hi"))
	f.Add([]byte("\xff\xff"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		m, err := p2p.ReadMessage(bytes.NewReader(stream))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := p2p.WriteMessage(&b, m); err != nil || len(m) > 4<<10 || !bytes.HasPrefix(stream, b.Bytes()) {
			t.Fatalf("a message of %d bytes came back as %d, %v", len(m), b.Len(), err)
		}
	})
}
