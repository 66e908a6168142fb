//go:build unix

package wasm

import (
	"slices"
	"testing"
	"time"

	"github.com/chorus-net/chorus/compute/wasm/wasmtest"
)

// BenchmarkWarm runs a small module in a child that has it.
func BenchmarkWarm(b *testing.B) {
	for _, bench := range []struct {
		name   string
		module []byte
		input  int
	}{
		{"nothing", wasmtest.Nothing, 0},
		{"reactor/bytes=100", wasmtest.EchoReactor, 100},
		{"reactor/bytes=30000", wasmtest.EchoReactor, 30000},
		{"echo/bytes=100", wasmtest.Echo, 100},
		{"echo/bytes=1000000", wasmtest.Echo, 1000000},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p := newPool(b, nil)
			request := Request{Module: bench.module, Input: make([]byte, bench.input)}
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := p.Run(b.Context(), request); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkCold starts a child for each run.
func BenchmarkCold(b *testing.B) {
	dir := cacheDir(b)
	for b.Loop() {
		p := newPool(b, func(c *Config) { c.CacheDir = dir })
		if _, err := p.Run(b.Context(), Request{Module: wasmtest.Echo}); err != nil {
			b.Fatal(err)
		}
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRunaway tells how late a module that loops is dead.
func BenchmarkRunaway(b *testing.B) {
	p := newPool(b, nil)
	const limit = 20 * time.Millisecond
	var late []time.Duration
	for b.Loop() {
		result, err := p.Run(b.Context(), Request{Module: wasmtest.Spin, Limits: Limits{Time: limit}})
		if err == nil {
			b.Fatal("it ended")
		}
		late = append(late, result.Elapsed-limit)
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds()), "late-p50-µs")
	b.ReportMetric(float64(late[len(late)-1].Microseconds()), "late-max-µs")
}
