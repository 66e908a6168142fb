package p2p_test

import (
	"context"
	"crypto/rand"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

const (
	methodEcho rpc.Method = iota + 1
	methodWait            // of TestEnds
)

func newKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func registry() *rpc.Registry {
	r := rpc.NewRegistry()
	r.Handle(methodEcho, rpc.Spec{Name: "echo", MaxBytes: 1 << 20, Role: rpc.RoleMember, Inline: true}, func(_ context.Context, req *rpc.Request) ([]byte, error) {
		return req.Payload, nil
	})
	return r
}

// start runs a host on loopback; change may adjust its configuration.
func start(t testing.TB, change func(*p2p.Config)) *p2p.Host {
	t.Helper()
	cfg := p2p.Config{
		Key:      newKey(t),
		Listen:   []string{"/ip4/127.0.0.1/tcp/0"},
		Ring:     []byte("test"),
		Registry: registry(),
	}
	if change != nil {
		change(&cfg)
	}
	h, err := p2p.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

func addr(h *p2p.Host) string { return h.Addrs()[0] + "/p2p/" + p2p.FormatPeerID(h.ID()) }

func connect(t testing.TB, a, b *p2p.Host) {
	t.Helper()
	id, err := a.Connect(t.Context(), addr(b))
	if err != nil || id != b.ID() {
		t.Fatalf("connected to %q, %v", id, err)
	}
}

func echo(t testing.TB, a *p2p.Host, id chord.PeerID) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := a.Call(ctx, id, rpc.Header{Method: methodEcho}, []byte("hello"))
	if err == nil && string(got) != "hello" {
		t.Errorf("echo answered %q", got)
	}
	return err
}

func TestHostCalls(t *testing.T) {
	for name, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			on := func(c *p2p.Config) { c.Listen = []string{listen} }
			a, b := start(t, on), start(t, on)
			connect(t, a, b)
			if err := echo(t, a, b.ID()); err != nil {
				t.Error(err)
			}
			// The way back uses the same stream.
			if err := echo(t, b, a.ID()); err != nil {
				t.Error(err)
			}
			if n := a.RTT(b.ID()); n <= 0 || n > patience {
				t.Errorf("round trip of %v", n)
			}
		})
	}
}

// A Host runs on a ready libp2p host and leaves it to its owner.
func TestReadyHost(t *testing.T) {
	ready, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	a := start(t, func(c *p2p.Config) { c.Key, c.Listen, c.Host = nil, nil, ready })
	b := start(t, nil)
	connect(t, b, a)
	if err := errors.Join(echo(t, a, b.ID()), echo(t, b, a.ID())); err != nil {
		t.Error(err)
	}
	sig, err := a.Sign("test", []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p2p.Verify(a.ID(), "test", []byte("data"), sig); err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if len(ready.Addrs()) == 0 || ready.Network().Connectedness(peer.ID(b.ID())) != network.Connected {
		t.Error("Close took the ready host down")
	}
}

func TestHostRestart(t *testing.T) {
	key := newKey(t)
	var listen string
	a := start(t, nil)
	b := start(t, func(c *p2p.Config) { c.Key = key })
	listen = b.Addrs()[0]
	connect(t, a, b)
	if err := echo(t, a, b.ID()); err != nil {
		t.Fatal(err)
	}
	gone := make(chan chord.PeerID, 1)
	a.OnDisconnect(func(id chord.PeerID) { gone <- id })
	b.Kill()
	select {
	case id := <-gone:
		if id != b.ID() {
			t.Errorf("%s went, want %s", p2p.FormatPeerID(id), p2p.FormatPeerID(b.ID()))
		}
	case <-time.After(patience):
		t.Fatal("nobody noticed the crash")
	}
	if err := echo(t, a, b.ID()); !errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("call of a dead peer: %v", err)
	}
	start(t, func(c *p2p.Config) { c.Key = key; c.Listen = []string{listen} })
	begin := time.Now()
	for {
		err := echo(t, a, b.ID())
		if err == nil {
			break
		}
		if time.Since(begin) > patience {
			t.Fatalf("the restarted peer stays out of reach: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("reached again after %v", time.Since(begin))
}

func TestHostWrongRing(t *testing.T) {
	a := start(t, nil)
	b := start(t, func(c *p2p.Config) { c.Ring = []byte("other") })
	if _, err := a.Connect(t.Context(), addr(b)); !errors.Is(err, &rpc.Error{Code: rpc.CodeWrongRing}) {
		t.Errorf("got %v, want wrong-ring", err)
	}
}

func TestNewRefuses(t *testing.T) {
	taken := start(t, func(c *p2p.Config) {
		c.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	})
	for _, used := range taken.Addrs() {
		_, err := p2p.New(t.Context(), p2p.Config{
			Key:      newKey(t),
			Registry: registry(),
			Listen:   []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", used},
		})
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s in use: %v", used, err)
		}
	}
	for name, cfg := range map[string]p2p.Config{
		"no key":      {Registry: registry()},
		"no registry": {Key: newKey(t)},
		"bad address": {Key: newKey(t), Registry: registry(), Listen: []string{"localhost:4747"}},
		"bad bound":   {Key: newKey(t), Registry: registry(), MaxPeers: -1},
		"gate":        {Key: newKey(t), Registry: registry(), Gate: newGate(""), Options: []libp2p.Option{libp2p.DisableRelay()}},
	} {
		if _, err := p2p.New(t.Context(), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Close and Kill end calls under way, can be repeated, and leave nothing behind
// (TestMain checks goroutines).
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(*p2p.Host) error{
		"close": (*p2p.Host).Close,
		"kill":  func(h *p2p.Host) error { h.Kill(); return nil },
	} {
		for transport, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
			t.Run(name+"/"+transport, func(t *testing.T) {
				started := make(chan struct{})
				on := func(c *p2p.Config) {
					c.Listen = []string{listen}
					c.Registry = rpc.NewRegistry()
					c.Registry.Handle(methodWait, rpc.Spec{Name: "wait"}, func(ctx context.Context, _ *rpc.Request) ([]byte, error) {
						close(started)
						<-ctx.Done()
						return nil, ctx.Err()
					})
				}
				a, b := start(t, on), start(t, on)
				connect(t, a, b)
				results := make(chan error, 1)
				go func() {
					_, err := a.Call(t.Context(), b.ID(), rpc.Header{Method: methodWait}, nil)
					results <- err
				}()
				<-started
				begin := time.Now()
				if err := end(a); err != nil {
					t.Error(err)
				}
				if d := time.Since(begin); d > patience {
					t.Errorf("it took %v", d)
				}
				if err := <-results; !errors.Is(err, rpc.ErrClosed) && !errors.Is(err, rpc.ErrConnLost) {
					t.Errorf("the call under way: %v", err)
				}
				if err := echo(t, a, b.ID()); !errors.Is(err, rpc.ErrClosed) {
					t.Errorf("a call afterwards: %v", err)
				}
				if err := end(a); err != nil {
					t.Errorf("again: %v", err)
				}
			})
		}
	}
}
