package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chorus-net/chorus/overlay/client"
)

var metricsLine = regexp.MustCompile(`metrics: (http://127\.0\.0\.1:\d+/metrics)`)

// A running peer serves its metrics where it is told to, and only there.
func TestRunMetrics(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a process")
	}
	s := newShell(t)
	s.ok("init", "--open")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.run("run", "--metrics", taken.Addr().String()).fails(client.CodePortInUse, taken.Addr().String(), "fix: ")
	s.run("run", "--metrics", "nowhere").fails(client.CodeUsage, "nowhere", "fix: ")

	s.run("run", "--metrics", "0.0.0.0:0").fails(client.CodeUsage, "whoever reaches", "fix: peer run --metrics 0.0.0.0:0 --metrics-token")

	p := s.start("--metrics", ":0")
	url := p.metricsURL()
	s.ok("put", "k", "v")
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nchorus_ring_peers 1\n", "\nchorus_store_keys 1\n", "\nlibp2p_", "\ngo_goroutines ",
		`chorus_store_operation_seconds_count{op="put",result="ok"} 1`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("metrics lack %q:\n%s", want, body)
		}
	}
}

// Beyond loopback, and wherever a token is given, metrics are for those who show it.
func TestRunMetricsToken(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a process")
	}
	s := newShell(t)
	s.ok("init", "--open")
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string, mode os.FileMode) {
		if err := errors.Join(os.WriteFile(file, []byte(token+"\n"), 0o600), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
	}
	s.run("run", "--metrics", ":0", "--metrics-token", file).fails(client.CodeNoFile, file)
	write("short", 0o600)
	s.run("run", "--metrics", ":0", "--metrics-token", file).fails(client.CodeUsage, "at least 16")
	const token = "correct horse battery staple"
	write(token, 0o644)
	s.run("run", "--metrics", ":0", "--metrics-token", file).fails(client.CodeUsage, "fix: chmod 600")
	write(token, 0o600)
	p := s.start("--metrics", ":0", "--metrics-token", file)
	url := p.metricsURL()
	for shown, want := range map[string]int{"": 401, "Bearer ": 401, "Bearer wrong": 401, "Bearer " + token: 200} {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", shown)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: status %d, want %d", shown, resp.StatusCode, want)
		}
	}
	if strings.Contains(p.logs(), token) {
		t.Error("the token is in the log")
	}
}
