package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// metricsServer serves a peer's metrics over HTTP. A nil server serves nothing.
type metricsServer struct {
	listener net.Listener
	token    string // that readers show; empty: none
	server   *http.Server
}

// listenMetrics takes the address that metrics are to be served on; without a
// host it is on loopback, since metrics tell what a peer does; elsewhere it takes a file
// with a token that readers must show. No address, no server.
func listenMetrics(addr, tokenFile string) (*metricsServer, error) {
	if addr == "" {
		return nil, nil
	}
	token, err := readMetricsToken(tokenFile)
	if err != nil {
		return nil, err
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
	if err == nil && token == "" && !isLoopback(listener.Addr()) {
		return nil, errors.Join(&client.Error{
			Code: client.CodeUsage, Message: fmt.Sprintf("--metrics %s: whoever reaches that address could read what this peer does", addr),
			Fix: "peer run --metrics " + addr + " --metrics-token FILE (readers show what is in it), or leave the host out",
		}, listener.Close())
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &client.Error{
			Code: client.CodePortInUse, Message: fmt.Sprintf("--metrics: %v", err),
			Fix: "peer run --metrics 127.0.0.1:0 (any free port), or stop the other program",
		}
	case err != nil:
		return nil, &client.Error{Code: client.CodeUsage, Message: fmt.Sprintf("--metrics: %v", err)}
	}
	return &metricsServer{listener: listener, token: token}, nil
}

// minMetricsToken is the least length of a token, in bytes.
const minMetricsToken = 16

// readMetricsToken returns the token in a file, which others must not be able to read; empty
// without a file.
func readMetricsToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", &client.Error{Code: client.CodeNoFile, Message: fmt.Sprintf("--metrics-token: %v", err)}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", &client.Error{
			Code: client.CodeUsage, Message: fmt.Sprintf("--metrics-token: %s has mode %04o: others can read it", path, info.Mode().Perm()),
			Fix: "chmod 600 " + path,
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", &client.Error{Code: client.CodeNoFile, Message: fmt.Sprintf("--metrics-token: %v", err)}
	}
	token := strings.TrimSpace(string(b))
	if len(token) < minMetricsToken {
		return "", &client.Error{
			Code: client.CodeUsage, Message: fmt.Sprintf("--metrics-token: %s holds %d bytes, want at least %d", path, len(token), minMetricsToken),
			Fix: "head -c 24 /dev/urandom | base64 > " + path,
		}
	}
	return token, nil
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// url is where the metrics are.
func (m *metricsServer) url() string { return "http://" + m.listener.Addr().String() + "/metrics" }

// serve answers requests until close.
func (m *metricsServer) serve(metrics http.Handler) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.guarded(metrics))
	m.server = &http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	go m.server.Serve(m.listener) //nolint:errcheck // it ends with close
}

// guarded lets those pass who show the token.
func (m *metricsServer) guarded(h http.Handler) http.Handler {
	if m.token == "" {
		return h
	}
	want := sha256.Sum256([]byte("Bearer " + m.token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token of --metrics-token is needed", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
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
