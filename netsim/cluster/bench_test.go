//go:build unix

package cluster_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chorus-net/chorus/internal/load"
	"github.com/chorus-net/chorus/netsim/cluster"
)

// BenchmarkKV puts and gets values of 100 bytes at one of three peers with disks,
// which share the processor with it: cpu-us/op is what all of them spent on one
// operation.
func BenchmarkKV(b *testing.B) {
	c, err := cluster.Start(b.Context(), cluster.Settings{Peers: 3, Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := c.Agree(b.Context()); err != nil {
		b.Fatal(err)
	}
	node := c.Nodes()[0]
	key := func(i uint64) string { return fmt.Sprintf("bench/%d", i) }
	var written atomic.Uint64
	for _, callers := range []int{1, 64} {
		for name, op := range map[string]func(context.Context, uint64) error{
			"put": func(ctx context.Context, _ uint64) error {
				_, err := node.Put(ctx, key(written.Add(1)), make([]byte, 100))
				return err
			},
			"get": func(ctx context.Context, i uint64) error {
				_, err := node.Get(ctx, key(1+i*7919%1000))
				return err
			},
		} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				for written.Load() < 1000 {
					if _, err := node.Put(b.Context(), key(written.Add(1)), make([]byte, 100)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				var ops uint64
				busy := cpuTime(b)
				for b.Loop() {
					r, err := load.Run(b.Context(), load.Settings{Callers: callers, Duration: 100 * time.Millisecond, First: ops}, op)
					if err != nil || r.Failed > 0 {
						b.Fatal(r.Failed, err)
					}
					ops += r.Ops
				}
				b.ReportMetric(float64((cpuTime(b)-busy).Nanoseconds())/1000/float64(ops), "cpu-us/op")
				b.ReportMetric(float64(ops)/b.Elapsed().Seconds(), "ops/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// cpuTime is what the process has used: on a busy machine it tells more than the
// clock.
func cpuTime(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
