package main

import (
	"runtime/debug"
	"testing"

	"github.com/chorus-net/chorus/internal/heap"
	"github.com/chorus-net/chorus/overlay/client"
)

func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() {
		debug.SetMemoryLimit(before)
		heap.Floor(0)
	})
	for _, tt := range []struct {
		bytes, limit int64 // 0: refused
	}{
		{0, before},
		{leastMemory - 1, 0},
		{256 << 20, 192<<20 + heap.Peer},
	} {
		err := limitMemory(tt.bytes)
		if got := debug.SetMemoryLimit(-1); (err == nil) != (tt.limit > 0) || tt.limit > 0 && got != tt.limit {
			t.Errorf("%d bytes: the limit is %d, %v", tt.bytes, got, err)
		}
	}
	newShell(t).run("run", "--memory", "1MiB").fails(client.CodeUsage, "at least 64MiB")
}
