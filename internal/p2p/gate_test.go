package p2p_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

// gate is a gate that knows its passes by heart.
type gate struct {
	pass string

	mu   sync.Mutex
	good map[string]rpc.Role
}

func newGate(pass string) *gate {
	return &gate{pass: pass, good: map[string]rpc.Role{"member": rpc.RoleMember, "reader": rpc.RoleRead}}
}

func (g *gate) Pass() []byte { return []byte(g.pass) }

func (g *gate) Check(_ chord.PeerID, pass []byte) (rpc.Role, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if role, ok := g.good[string(pass)]; ok {
		return role, nil
	}
	return rpc.RoleNone, errors.New("no such pass")
}

func (g *gate) Admit(id chord.PeerID, request []byte) []byte {
	return append([]byte(p2p.FormatPeerID(id)+" says "), request...)
}

func (g *gate) revoke(pass string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.good, pass)
}

// eachTransport runs a test over TCP and over QUIC.
func eachTransport(t *testing.T, test func(t *testing.T, listen string)) {
	for name, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) { test(t, listen) })
	}
}

func behind(g p2p.Gate, listen string) func(*p2p.Config) {
	return func(c *p2p.Config) { c.Gate, c.Listen = g, []string{listen} }
}

func TestGateLetsIn(t *testing.T) {
	eachTransport(t, func(t *testing.T, listen string) {
		a, b := start(t, behind(newGate("member"), listen)), start(t, behind(newGate("member"), listen))
		connect(t, a, b)
		if err := errors.Join(echo(t, a, b.ID()), echo(t, b, a.ID())); err != nil {
			t.Error(err)
		}
		reader := start(t, behind(newGate("reader"), listen))
		connect(t, reader, b)
		if err := echo(t, reader, b.ID()); !errors.Is(err, &rpc.Error{Code: rpc.CodeRefused}) || !strings.Contains(err.Error(), "needs role member, caller has read") {
			t.Errorf("a reader's call: %v", err)
		}
	})
}

// Whoever has no pass, or one that is no good, gets no stream of any protocol,
// whichever side dials.
func TestGateKeepsOut(t *testing.T) {
	eachTransport(t, func(t *testing.T, listen string) {
		b := start(t, behind(newGate("member"), listen))
		for name, stranger := range map[string]*p2p.Host{
			"no pass":  start(t, func(c *p2p.Config) { c.Listen = []string{listen} }),
			"empty":    start(t, behind(newGate(""), listen)),
			"bad pass": start(t, behind(newGate("forged"), listen)),
		} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			stranger.AddPeer(b.ID(), b.Addrs())
			if _, err := stranger.Call(ctx, b.ID(), rpc.Header{Method: methodEcho}, nil); err == nil {
				t.Errorf("%s: a call was answered", name)
			}
			for _, id := range b.Libp2p().Mux().Protocols() {
				if answered(ctx, stranger, b, id) {
					t.Errorf("%s: %s answered", name, id)
				}
			}
			b.AddPeer(stranger.ID(), stranger.Addrs())
			_, err := b.Call(ctx, stranger.ID(), rpc.Header{Method: methodEcho}, nil)
			if !errors.Is(err, &rpc.Error{Code: rpc.CodeRefused}) || !strings.Contains(err.Error(), "no such pass") {
				t.Errorf("%s, dialled: %v", name, err)
			}
			if b.Libp2p().Network().Connectedness(peer.ID(stranger.ID())) == network.Connected {
				t.Errorf("%s is connected", name)
			}
		}
	})
}

// answered reports whether a peer confirms a protocol on a stream, or sends
// anything on one.
func answered(ctx context.Context, from, to *p2p.Host, id protocol.ID) bool {
	s, err := from.Libp2p().NewStream(ctx, peer.ID(to.ID()), id)
	if err != nil {
		return false
	}
	defer s.Reset()
	_ = s.SetDeadline(time.Now().Add(patience))
	_, _ = s.Write([]byte{0})
	n, err := s.Read(make([]byte, 1))
	return n > 0 || errors.Is(err, io.EOF)
}

// fickleGate revokes a peer's pass after it was found good, and before anybody acts on that.
type fickleGate struct {
	*gate
	after func()
}

func (g *fickleGate) Check(id chord.PeerID, _ []byte) (rpc.Role, error) {
	role, err := g.gate.Check(id, []byte("member"))
	if after := g.after; after != nil {
		g.after = nil
		after()
	}
	return role, err
}

// A recheck between a peer's check and its entry misses nobody.
func TestRecheckDuringHandshake(t *testing.T) {
	g := &fickleGate{gate: newGate("member")}
	k := p2p.NewGatekeeper(g)
	id, err := p2p.IDOf(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Enter(id); err != nil || !k.Known(id) {
		t.Fatalf("a good pass: %v", err)
	}
	other, err := p2p.IDOf(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	g.after = func() {
		g.revoke("member")
		k.Recheck()
	}
	if err := k.Enter(other); err == nil || k.Known(other) {
		t.Errorf("a pass that was revoked during the handshake: %v", err)
	}
}

// Who is kept out from now on loses the connections that it has.
func TestRecheck(t *testing.T) {
	eachTransport(t, func(t *testing.T, listen string) {
		g := newGate("member")
		g.good["other"] = rpc.RoleMember
		theirs := newGate("other")
		theirs.good["other"] = rpc.RoleMember
		a, b := start(t, behind(g, listen)), start(t, behind(theirs, listen))
		connect(t, b, a)
		if err := echo(t, b, a.ID()); err != nil {
			t.Fatal(err)
		}
		a.Recheck()
		if err := echo(t, b, a.ID()); err != nil {
			t.Fatalf("after a check that changes nothing: %v", err)
		}
		g.revoke("other")
		a.Recheck()
		if err := echo(t, b, a.ID()); err == nil {
			t.Error("a revoked peer's call was answered")
		}
		if err := echo(t, a, b.ID()); err == nil {
			t.Error("a revoked peer was called")
		}
	})
}

func TestAskAdmission(t *testing.T) {
	eachTransport(t, func(t *testing.T, listen string) {
		b := start(t, behind(newGate("member"), listen))
		key := newKey(t)
		id, err := p2p.IDOf(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range []string{"", "please", strings.Repeat("x", 4000)} {
			answer, err := p2p.AskAdmission(t.Context(), key, addr(b), []byte(request))
			if want := p2p.FormatPeerID(id) + " says " + request; err != nil || string(answer) != want {
				t.Errorf("%.10q: %.80q, %v", request, answer, err)
			}
		}
		if _, err := p2p.AskAdmission(t.Context(), key, addr(b), make([]byte, 4<<10+1)); err == nil {
			t.Error("a request of more than 4 KiB was sent")
		}
		other := b.Addrs()[0] + "/p2p/" + p2p.FormatPeerID(start(t, nil).ID())
		if answer, err := p2p.AskAdmission(t.Context(), key, other, nil); err == nil {
			t.Errorf("another peer than the one asked answered %q", answer)
		}
		open := start(t, func(c *p2p.Config) { c.Listen = []string{listen} })
		if _, err := p2p.AskAdmission(t.Context(), key, addr(open), nil); !errors.Is(err, p2p.ErrNoAdmission) {
			t.Errorf("a peer of an open ring: %v", err)
		}
	})
}

// A stranger that says nothing, or announces more than it may, is dropped.
func TestAdmissionBounds(t *testing.T) {
	b := start(t, behind(newGate("member"), "/ip4/127.0.0.1/tcp/0"))
	parts := strings.Split(b.Addrs()[0], "/")
	var wg sync.WaitGroup
	for range 40 { // more than are served at once
		wg.Go(func() {
			c, err := net.Dial("tcp", net.JoinHostPort(parts[2], parts[4]))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			hello := []byte("\x13/multistream/1.0.0\n\x10/chorus/admit/1\n")
			if _, err := c.Write(hello); err != nil {
				return // it was one too many
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			got, err := io.ReadAll(c)
			if errors.Is(err, context.DeadlineExceeded) || len(got) > 2*len(hello) && !bytes.Contains(got, []byte("admit")) {
				t.Errorf("read %q, %v", got, err)
			}
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the connection of a silent stranger stays open")
			}
		})
	}
	wg.Wait()
	if _, err := p2p.AskAdmission(t.Context(), newKey(t), addr(b), []byte("after them")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
