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
			cfg.Rounds, cfg.Duration = 1, 20*time.Millisecond
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

// BenchmarkProcesses reports the figures between two processes, as
// `peer bench call` does.
func BenchmarkProcesses(b *testing.B) {
	for range 1 {
		_, err := callbench.Run(b.Context(), callbench.Config{Server: server, Report: func(f callbench.Figure) {
			b.Logf("%-4s %6d B %2d callers: call p50 %5.0f us p99 %6.0f us %7.0f/s, frames p50 %5.0f us p99 %6.0f us %7.0f/s, ratio %.2f %.2f",
				f.Transport, f.Bytes, f.Callers, f.Call.P50, f.Call.P99, f.Call.Ops, f.Echo.P50, f.Echo.P99, f.Echo.Ops, f.P50Ratio, f.OpsRatio)
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
}
