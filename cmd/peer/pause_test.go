package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// metricsURL waits for the line that says where the metrics are.
func (p *process) metricsURL() (url string) {
	p.t.Helper()
	eventually(p.t, readyWithin, func() bool {
		if m := metricsLine.FindStringSubmatch(p.logs()); m != nil {
			url = m[1]
		}
		return url != ""
	}, func() string { return "no address of metrics:\n" + p.logs() })
	return url
}

// metric returns the value of one metric of a peer that runs with --metrics.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	resp, err := http.Get(p.metricsURL())
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return v
		}
	}
	p.t.Fatalf("no metric %s in:\n%s", name, body)
	return 0
}

// A process that is stopped for five seconds is evicted by nobody more than
// once, evicts nobody when it goes on, and is back at once and for good.
func TestPausedProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Parallel()
	const evicted, overslept = "chorus_ring_evicted_total", "chorus_ring_overslept_total"
	peers := startPeersWith(t, []string{"--metrics", ":0"}, "anna", "bert", "carl", "dora")
	stopped := peers[2]
	before := make([]float64, len(peers))
	for i, p := range peers {
		before[i] = p.metric(evicted)
	}
	asleep := stopped.metric(overslept)

	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := stopped.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if sig == syscall.SIGSTOP {
			time.Sleep(5 * time.Second)
		}
	}
	began := time.Now()
	agreed(t, peers)
	t.Logf("all agree %v after it went on", time.Since(began).Round(time.Millisecond))
	// Whoever is to be evicted a second time would be by now.
	time.Sleep(3 * time.Second)
	agreed(t, peers)
	for i, p := range peers {
		got := p.metric(evicted) - before[i]
		t.Logf("%s: %v evictions, %v times suspicious", p.home, got, p.metric("chorus_ring_suspected_total"))
		if p == stopped && got > 0 || got > 1 {
			t.Errorf("%s evicted %v peers", p.home, got)
		}
	}
	if stopped.metric(overslept) == asleep {
		t.Error("the process did not notice that it had been stopped")
	}
}
