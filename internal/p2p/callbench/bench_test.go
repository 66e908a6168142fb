package callbench_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chorus-net/chorus/internal/p2p/callbench"
)

// serveVar makes the test binary the server of a benchmark.
const serveVar = "CALLBENCH_SERVE"

func TestMain(m *testing.M) {
	if transport := os.Getenv(serveVar); transport != "" {
		if err := callbench.Serve(context.Background(), transport, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func server(ctx context.Context, transport string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), serveVar+"="+transport)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestRun(t *testing.T) {
	for name, cfg := range map[string]callbench.Config{
		"one process":   {},
		"two processes": {Server: server, Transports: []string{"tcp"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Sizes, cfg.Callers = []int{100}, []int{1, 8}
			cfg.Rounds, cfg.Duration = 1, 100*time.Millisecond
			reported := 0
			cfg.Report = func(callbench.Figure) { reported++ }
			figures, err := callbench.Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if len(figures) != reported || len(figures) < 2 {
				t.Errorf("%d figures, %d reported", len(figures), reported)
			}
			for _, f := range figures {
				for _, r := range []callbench.Result{f.Call, f.Echo} {
					if r.P50 <= 0 || r.P99 < r.P50 || r.Ops <= 0 {
						t.Errorf("%s with %d callers: %+v", f.Transport, f.Callers, r)
					}
				}
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	for name, cfg := range map[string]callbench.Config{
		"transport": {Transports: []string{"pigeon"}},
		"size":      {Sizes: []int{1 << 30}},
		"callers":   {Callers: []int{0}},
		"duration":  {Duration: -1},
	} {
		if _, err := callbench.Run(t.Context(), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// BenchmarkCall reports the figures between two processes, as `peer bench call`
// does. Time per operation means nothing here.
func BenchmarkCall(b *testing.B) {
	for _, transport := range []string{"tcp", "quic"} {
		for _, size := range []int{100, 16 << 10} {
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s/bytes=%d/callers=%d", transport, size, callers), func(b *testing.B) {
					benchmarkCall(b, transport, size, callers)
				})
			}
		}
	}
}

func benchmarkCall(b *testing.B, transport string, size, callers int) {
	var f callbench.Figure
	for b.Loop() {
		figures, err := callbench.Run(b.Context(), callbench.Config{
			Transports: []string{transport},
			Sizes:      []int{size},
			Callers:    []int{callers},
			Server:     server,
		})
		if err != nil {
			b.Fatal(err)
		}
		f = figures[0]
	}
	b.ReportMetric(f.Call.P50, "p50_us")
	b.ReportMetric(f.Call.P99, "p99_us")
	b.ReportMetric(f.Call.Ops, "calls/s")
	b.ReportMetric(f.Echo.P50, "echo_p50_us")
	b.ReportMetric(f.Echo.Ops, "echoes/s")
	b.ReportMetric(f.P50Ratio, "p50_ratio")
}
