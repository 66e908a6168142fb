package rpc_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chorus-net/chorus/internal/rpc"
)

func BenchmarkCall(b *testing.B) {
	for _, transport := range []string{"tcp", "unix"} {
		for name, method := range map[string]rpc.Method{"inline": methodEcho, "worker": methodLater} {
			for _, size := range []int{100, 16 << 10} {
				for _, callers := range []int{1, 64} {
					b.Run(fmt.Sprintf("%s/%s/size=%d/callers=%d", transport, name, size, callers), func(b *testing.B) {
						benchmarkCall(b, transport, method, size, callers)
					})
				}
			}
		}
	}
}

func benchmarkCall(b *testing.B, transport string, method rpc.Method, size, callers int) {
	x, y := transports[transport](b)
	workers := rpc.NewWorkers(256, 1024)
	b.Cleanup(workers.Close)
	client, _ := connect(b, x, y, rpc.Config{}, rpc.Config{Registry: echoes(), Admit: member, Workers: workers})
	payload := make([]byte, size)
	ctx := context.Background()
	b.ReportAllocs()
	if callers == 1 {
		var dst []byte
		for b.Loop() {
			var err error
			if dst, err = client.CallAppend(ctx, dst[:0], rpc.Header{Method: method}, payload); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			var dst []byte
			for left.Add(-1) >= 0 {
				var err error
				if dst, err = client.CallAppend(ctx, dst[:0], rpc.Header{Method: method}, payload); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
