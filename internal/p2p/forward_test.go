package p2p_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
)

// asked is a gate that counts whom it was asked to admit.
type asked struct {
	*gate
	n atomic.Int64
}

func (g *asked) Admit(id chord.PeerID, request []byte) []byte {
	g.n.Add(1)
	return g.gate.Admit(id, request)
}

// A stranger is let in by a peer behind a relay, which hands on what it cannot read.
func TestForwardedAdmission(t *testing.T) {
	eachTransport(t, func(t *testing.T, listen string) {
		between, end := &asked{gate: newGate("member")}, &asked{gate: newGate("member")}
		relay := far(t, false, behind(between, listen))
		hidden := far(t, false, func(c *p2p.Config) { c.Gate = end; nowhere(c) })
		settle(t, hidden, relay)
		to := circuits(hidden)[0] + "/p2p/" + p2p.FormatPeerID(hidden.ID())
		key := newKey(t)
		want := p2p.FormatPeerID(idOf(t, key)) + " says "
		for _, request := range []string{"", "please", strings.Repeat("x", 4000)} {
			answer, err := p2p.AskAdmission(t.Context(), key, to, []byte(request))
			if err != nil || string(answer) != want+request {
				t.Errorf("%.10q: %.80q, %v", request, answer, err)
			}
		}
		if between.n.Load() != 0 || end.n.Load() != 3 {
			t.Errorf("the relay was asked %d times, and the peer behind it %d times", between.n.Load(), end.n.Load())
		}
		reader := start(t, behind(newGate("reader"), listen))
		connect(t, reader, relay)
		for name, id := range map[string]chord.PeerID{"nobody": idOf(t, newKey(t)), "a guest": reader.ID(), "the relay": relay.ID()} {
			answer, err := p2p.AskAdmission(t.Context(), key, addr(relay)+"/p2p-circuit/p2p/"+p2p.FormatPeerID(id), nil)
			if err == nil || !strings.Contains(err.Error(), "does not reach it") {
				t.Errorf("%s behind the relay answered %q, %v", name, answer, err)
			}
		}
		if between.n.Load() != 0 {
			t.Error("the relay was asked")
		}
	})
}

// Nobody hands on twice, what is handed on is bounded, and only members hand on.
func TestForwardedBounds(t *testing.T) {
	with := func(c *p2p.Config) { c.Gate = newGate("member") }
	relay, other := far(t, false, with), far(t, false, with)
	connect(t, relay, other)
	twice := addr(relay) + "/p2p-circuit/p2p/" + p2p.FormatPeerID(other.ID())
	if _, err := p2p.AskAdmission(t.Context(), newKey(t), twice, p2p.AppendForward(nil, relay.ID())); err == nil {
		t.Error("a stranger was handed on twice")
	}
	if _, err := p2p.AskAdmission(t.Context(), newKey(t), twice, []byte("please")); err != nil {
		t.Errorf("who asks once: %v", err)
	}
	reader := start(t, behind(newGate("reader"), "/ip4/127.0.0.1/tcp/0"))
	connect(t, reader, other)
	if served(t, reader, other, "/admit/1") {
		t.Error("a guest may hand on strangers")
	}

	// The peer behind the relay counts what it hears.
	heard := make(chan int64, 1)
	for _, id := range other.Libp2p().Mux().Protocols() {
		if strings.HasSuffix(string(id), "/admit/1") {
			other.Libp2p().SetStreamHandler(id, func(s network.Stream) {
				n, _ := io.Copy(io.Discard, s)
				heard <- n
				_ = s.Close()
			})
		}
	}
	err := p2p.AskWay(t.Context(), newKey(t), addr(relay), other.ID(), func(s io.ReadWriter) error {
		_, err := s.Write(make([]byte, 256<<10))
		_, end := io.ReadAll(s)
		return errors.Join(err, end)
	})
	if n := <-heard; n == 0 || n > 16<<10 {
		t.Errorf("%d bytes were handed on of 256 KiB, %v", n, err)
	}
}

func idOf(t *testing.T, key crypto.PrivKey) chord.PeerID {
	t.Helper()
	id, err := p2p.IDOf(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The protocols of a host that is reached and relays, and who may speak them, by the ends of their
// names. Hole punching is served through a relay alone, which only members get. Who speaks stop says
// that it is a relay, and what it brings meets the gate; calls have roles of their own.
var (
	forMembers = []string{"/libp2p/circuit/relay/0.2.0/hop", "/libp2p/dcutr", "/reach/1", "/admit/1"}
	forAll     = []string{"/call/1", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/libp2p/circuit/relay/0.2.0/stop"}
)

// Each protocol that peers behind NATs need meets each kind of caller. One that nobody decided
// about fails.
func TestGateMatrixOfRelays(t *testing.T) {
	with := func(pass string) func(*p2p.Config) {
		return func(c *p2p.Config) { c.Gate, c.DisableKad = newGate(pass), true }
	}
	eachTransport(t, func(t *testing.T, listen string) {
		at := func(pass string) func(*p2p.Config) {
			return func(c *p2p.Config) { with(pass)(c); c.Listen = []string{listen} }
		}
		h, friend := far(t, false, at("member")), far(t, false, at("member"))
		connect(t, h, friend)
		has := func(suffix string) bool { return protocolOf(h, suffix) != "" }
		eventually(t, "all protocols are there", func() bool { return has("/libp2p/dcutr") && has("/hop") && has("/reach/1") })
		for _, id := range h.Libp2p().Mux().Protocols() {
			if ends := func(s string) bool { return strings.HasSuffix(string(id), s) }; !anyOf(forMembers, ends) && !anyOf(forAll, ends) {
				t.Errorf("protocol %s: decide who may speak it", id)
			}
		}
		for _, pass := range []string{"", "revoked", "reader"} {
			who := far(t, false, at(pass))
			who.AddPeer(h.ID(), h.Addrs())
			for _, suffix := range forMembers {
				if served(t, who, h, suffix) {
					t.Errorf("who shows the pass %q is served %s", pass, suffix)
				}
			}
			if pass == "reader" {
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			for _, suffix := range forAll {
				if answered(ctx, who, h, protocolOf(h, suffix)) {
					t.Errorf("who shows the pass %q is served %s", pass, suffix)
				}
			}
			cancel()
		}
		for _, suffix := range []string{"/reach/1", "/hop", "/admit/1"} {
			// It may be asking by itself: then once is all that it gets at a time.
			eventually(t, "a member is served "+suffix, func() bool { return served(t, friend, h, suffix) })
		}
	})
}

func anyOf(list []string, f func(string) bool) bool {
	for _, s := range list {
		if f(s) {
			return true
		}
	}
	return false
}

// protocolOf returns a host's protocol by the end of its name, "" if there is none.
func protocolOf(h *p2p.Host, suffix string) protocol.ID {
	for _, id := range h.Libp2p().Mux().Protocols() {
		if strings.HasSuffix(string(id), suffix) {
			return id
		}
	}
	return ""
}

// What a stranger asks first is a request, or names a peer.
func FuzzForward(f *testing.F) {
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte{0})
	f.Add(p2p.AppendForward(nil, "\x00\x24\x08\x01\x12\x20"+chord.PeerID(make([]byte, 32))))
	f.Fuzz(func(t *testing.T, b []byte) {
		to, ok, err := p2p.ParseForward(b)
		if ok != (len(b) > 0 && b[0] == 0) || !ok && err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		if ok && err == nil && string(p2p.AppendForward(nil, to)) != string(b) {
			t.Fatalf("%q came back as another", to)
		}
	})
}
