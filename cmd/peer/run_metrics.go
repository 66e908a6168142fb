package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// metricsServer serves a peer's metrics over HTTP. A nil server serves nothing.
type metricsServer struct {
	listener net.Listener
	server   *http.Server
}

// listenMetrics takes the address that metrics are to be served on; without a
// host it is on loopback, since metrics tell what a peer does. No address, no
// server.
func listenMetrics(addr string) (*metricsServer, error) {
	if addr == "" {
		return nil, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &client.Error{
			Code: client.CodeUsage, Message: fmt.Sprintf("--metrics %q: %v", addr, err), Fix: "peer run --metrics 127.0.0.1:9464",
		}
	}
	if host == "" {
		host = "127.0.0.1"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &client.Error{
			Code: client.CodePortInUse, Message: fmt.Sprintf("--metrics: %v", err),
			Fix: "peer run --metrics 127.0.0.1:0 (any free port), or stop the other program",
		}
	case err != nil:
		return nil, &client.Error{Code: client.CodeUsage, Message: fmt.Sprintf("--metrics: %v", err)}
	}
	return &metricsServer{listener: listener}, nil
}

// url is where the metrics are.
func (m *metricsServer) url() string { return "http://" + m.listener.Addr().String() + "/metrics" }

// serve answers requests until close.
func (m *metricsServer) serve(metrics http.Handler) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	go m.server.Serve(m.listener) //nolint:errcheck // it ends with close
}

// close ends what serve started.
func (m *metricsServer) close() {
	switch {
	case m == nil:
	case m.server != nil:
		m.server.Close()
	default:
		m.listener.Close()
	}
}
