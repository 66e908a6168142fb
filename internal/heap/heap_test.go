package heap

import (
	"runtime"
	"testing"
)

var sink []byte

// collections counts those that allocating so many bytes takes.
func collections(bytes int) uint32 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range bytes >> 10 {
		sink = make([]byte, 1<<10)
	}
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

func TestFloor(t *testing.T) {
	t.Cleanup(func() { Floor(0) })
	Floor(0)
	without := collections(64 << 20)
	Floor(32 << 20)
	with := collections(64 << 20)
	if with > 3 || without <= with {
		t.Errorf("%d collections with a floor of 32 MiB, %d without: want 3 at most, and fewer", with, without)
	}
}
