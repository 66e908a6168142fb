package rpc_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/rpc/rpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transports are the streams that the suite runs over; internal/p2p runs the
// same suite over libp2p.
var transports = map[string]func(testing.TB) (a, b rpc.Stream){
	"pipe": func(testing.TB) (a, b rpc.Stream) { return net.Pipe() },
	"tcp":  func(t testing.TB) (a, b rpc.Stream) { return socketPair(t, "tcp", "127.0.0.1:0") },
	"unix": func(t testing.TB) (a, b rpc.Stream) {
		return socketPair(t, "unix", filepath.Join(t.TempDir(), "s"))
	},
}

func socketPair(t testing.TB, network, addr string) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func member(rpc.Hello) (rpc.Role, error) { return rpc.RoleMember, nil }

const (
	methodEcho rpc.Method = iota + 1
	methodLater
)

// echoes registers an echo that runs inline and one that a worker runs.
func echoes() *rpc.Registry {
	r := rpc.NewRegistry()
	echo := func(_ context.Context, req *rpc.Request) ([]byte, error) { return req.Payload, nil }
	r.Handle(methodEcho, rpc.Spec{Name: "echo", MaxBytes: 1 << 20, Inline: true}, echo)
	r.Handle(methodLater, rpc.Spec{Name: "later", MaxBytes: 1 << 20}, echo)
	return r
}

// connect runs a connection over a and b and closes both ends with the test.
func connect(t testing.TB, a, b rpc.Stream, ca, cb rpc.Config) (*rpc.Conn, *rpc.Conn) {
	x, y := rpc.NewConn(a, ca), rpc.NewConn(b, cb)
	t.Cleanup(func() { _, _ = x.Close(), y.Close() })
	return x, y
}

func TestConformance(t *testing.T) {
	for name, pair := range transports {
		t.Run(name, func(t *testing.T) { rpctest.Run(t, pair) })
	}
}
