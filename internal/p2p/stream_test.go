package p2p_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for begin := time.Now(); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("never: %s", what)
		}
	}
}

const callSuffix = "/call/1"

// streamsBetween counts the streams of calls between two hosts.
func streamsBetween(a, b *p2p.Host) int {
	n := 0
	for _, c := range a.Libp2p().Network().ConnsToPeer(peer.ID(b.ID())) {
		for _, s := range c.GetStreams() {
			if strings.HasSuffix(string(s.Protocol()), callSuffix) {
				n++
			}
		}
	}
	return n
}

// Two peers that call each other for the first time at once end up with one
// stream, and no call is lost on the way.
func TestSimultaneousDials(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			a, b := start(t, nil), start(t, nil)
			a.AddPeer(b.ID(), b.Addrs())
			b.AddPeer(a.ID(), a.Addrs())
			var wg sync.WaitGroup
			for _, p := range []struct{ from, to *p2p.Host }{{a, b}, {b, a}} {
				for range 4 {
					wg.Go(func() {
						for range 50 {
							if err := echo(t, p.from, p.to.ID()); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
			}
			wg.Wait()
			eventually(t, "one stream is left", func() bool { return streamsBetween(a, b) == 1 && streamsBetween(b, a) == 1 })
			if err := errors.Join(echo(t, a, b.ID()), echo(t, b, a.ID())); err != nil {
				t.Error(err)
			}
		})
	}
}

// Many first calls share one attempt, and an attempt that fails is not
// repeated at once.
func TestSingleFlight(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	a.AddPeer(b.ID(), b.Addrs())
	var connected atomic.Int32
	a.OnConnect(func(chord.PeerID) { connected.Add(1) })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := echo(t, a, b.ID()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := connected.Load(); n != 1 || streamsBetween(a, b) != 1 {
		t.Errorf("connected %d times, %d streams", n, streamsBetween(a, b))
	}
}

func TestUnreachable(t *testing.T) {
	a := start(t, func(c *p2p.Config) { c.DialTimeout = time.Second })
	stranger, err := p2p.IDOf(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]chord.PeerID{"stranger": stranger, "oneself": a.ID(), "nobody": ""} {
		if err := echo(t, a, id); !errors.Is(err, rpc.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		if err := a.Cast(t.Context(), id, rpc.Header{Method: methodEcho}, nil); !errors.Is(err, rpc.ErrUnreachable) {
			t.Errorf("cast to %s: %v", name, err)
		}
	}
	// Port 1 refuses at once; a listener that never shakes hands does not.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)
	a.AddPeer(stranger, []string{"/ip4/127.0.0.1/tcp/1", "not an address"})
	if got := a.PeerAddrs(stranger); len(got) != 1 {
		t.Errorf("kept %v", got)
	}
	begin := time.Now()
	for _, addr := range []string{"/ip4/127.0.0.1/tcp/1", silent} {
		_, err := a.Connect(t.Context(), addr+"/p2p/"+p2p.FormatPeerID(stranger))
		if !errors.Is(err, rpc.ErrUnreachable) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if d := time.Since(begin); d > patience {
		t.Errorf("it took %v", d)
	}
	for _, addr := range []string{"", "nonsense", "/ip4/127.0.0.1/tcp/1"} {
		if _, err := a.Connect(t.Context(), addr); err == nil {
			t.Errorf("connected to %q", addr)
		}
	}
}

// A call that waits for a dial ends at its own deadline.
func TestDialOutlivesCall(t *testing.T) {
	a := start(t, nil)
	stranger, err := p2p.IDOf(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // which never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a.AddPeer(stranger, []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)})
	begin := time.Now()
	_, err = a.Call(t.Context(), stranger, rpc.Header{Method: methodEcho, Deadline: begin.Add(50 * time.Millisecond)}, nil)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > patience {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

// Kademlia finds the address of a peer that nobody told us.
func TestKadFindsPeers(t *testing.T) {
	a, b, c := start(t, nil), start(t, nil), start(t, nil)
	connect(t, a, b)
	connect(t, c, b)
	eventually(t, "b knows both", func() bool { return b.Kad().RoutingTable().Size() == 2 })
	eventually(t, "a knows somebody", func() bool { return a.Kad().RoutingTable().Size() > 0 })
	if err := echo(t, a, c.ID()); err != nil {
		t.Error(err)
	}
}

// The stream unused for longest makes way, and comes back when it is needed.
func TestTooManyPeers(t *testing.T) {
	a := start(t, func(c *p2p.Config) { c.MaxPeers = 2; c.DisableKad = true })
	var others []*p2p.Host
	for range 4 {
		b := start(t, func(c *p2p.Config) { c.DisableKad = true })
		connect(t, a, b)
		others = append(others, b)
	}
	connected := func() (n int) {
		for _, b := range others {
			if a.Connected(b.ID()) {
				n++
			}
		}
		return n
	}
	eventually(t, "two streams are left", func() bool { return connected() == 2 })
	for _, b := range others {
		if err := echo(t, a, b.ID()); err != nil {
			t.Error(err)
		}
	}
	if n := connected(); n != 2 {
		t.Errorf("%d streams, want 2", n)
	}
	if s := a.Stats(); s.Calls != 4 {
		t.Errorf("counted %+v", s)
	}
}

// A stream to a peer that died before it answered the first word does not keep
// Close waiting.
func TestCloseBesideTheDead(t *testing.T) {
	for range 5 {
		quic := func(c *p2p.Config) { c.Listen = []string{"/ip4/127.0.0.1/udp/0/quic-v1"} }
		a, b := start(t, quic), start(t, quic)
		info, err := peer.AddrInfoFromString(addr(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Libp2p().Connect(t.Context(), *info); err != nil {
			t.Fatal(err)
		}
		b.Kill()
		_, err = a.Call(t.Context(), b.ID(), rpc.Header{Method: methodEcho, Deadline: time.Now().Add(50 * time.Millisecond)}, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		begin := time.Now()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("closed in %v", time.Since(begin))
	}
}

// A peer that does not answer any more, without a sign of it on the network, is
// dialled afresh after a few calls.
func TestSilentPeer(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	a, b := start(t, nil), start(t, nil)
	// In b's place there is somebody who takes streams and never says a word.
	for _, p := range b.Libp2p().Mux().Protocols() {
		if strings.HasSuffix(string(p), callSuffix) {
			b.Libp2p().SetStreamHandler(p, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
		}
	}
	connect(t, a, b)
	begin := time.Now()
	gone := make(chan chord.PeerID, 1)
	a.OnDisconnect(func(id chord.PeerID) { gone <- id })
	for {
		_, err := a.Call(t.Context(), b.ID(), rpc.Header{Method: methodEcho, Deadline: time.Now().Add(500 * time.Millisecond)}, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		select {
		case <-gone:
			if d := time.Since(begin); d < 1500*time.Millisecond {
				t.Errorf("given up after %v", d)
			}
			return
		default:
		}
		if time.Since(begin) > patience {
			t.Fatal("the dead stream is kept")
		}
	}
}

func TestRankDials(t *testing.T) {
	var addrs []multiaddr.Multiaddr
	for _, s := range []string{
		"/ip4/127.0.0.1/udp/4747/quic-v1", "/ip4/127.0.0.1/tcp/4747",
		"/ip4/8.8.8.8/udp/4747/quic-v1", "/ip4/8.8.8.8/tcp/4747",
	} {
		addrs = append(addrs, multiaddr.StringCast(s))
	}
	delay := make(map[string]time.Duration)
	for _, r := range p2p.RankDials(addrs) {
		delay[r.Addr.String()] = r.Delay
	}
	if len(delay) != 4 {
		t.Fatalf("ranked %v", delay)
	}
	if delay["/ip4/127.0.0.1/tcp/4747"] != 0 || delay["/ip4/127.0.0.1/udp/4747/quic-v1"] == 0 {
		t.Errorf("near: %v", delay)
	}
	if delay["/ip4/8.8.8.8/udp/4747/quic-v1"] >= delay["/ip4/8.8.8.8/tcp/4747"] {
		t.Errorf("far: %v", delay)
	}
	if r := p2p.RankDials(addrs[:1]); len(r) != 1 || r[0].Delay != 0 {
		t.Errorf("QUIC alone waits: %v", r)
	}
}
