package main

import (
	"io"
	"net"
	"net/http"
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
