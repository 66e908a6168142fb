package disk

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/chorus-net/chorus/store"
)

// BenchmarkMemory fills a store with a million records and tells what the process
// has in memory: anon is its own, resident counts the pages of the store's mapped
// files, too, which the system takes back when it needs them. The first figures
// are from while it is filled, the second from after it was opened anew and each
// record read.
func BenchmarkMemory(b *testing.B) {
	const records = 1_000_000
	for b.Loop() {
		h := &home{t: b, dir: b.TempDir(), o: Options{Shards: testShards}}
		s := h.open()
		benchFill(b, s, records)
		reportMemory(b, "filled")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		s = h.open()
		if n := benchScan(b, s); n != records {
			b.Fatalf("%d records, want %d", n, records)
		}
		reportMemory(b, "read")
		if n, err := s.DiskUsage(); err == nil {
			b.ReportMetric(float64(n)/(1<<20), "disk-MiB")
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// benchScan reads all records and returns how many there are.
func benchScan(b *testing.B, s *Store) (n int) {
	for shard := range store.ShardID(testShards) {
		for q := (Query{}); ; {
			p, err := s.Scan(shard, q)
			if err != nil {
				b.Fatal(err)
			}
			n += len(p.Entries)
			if q.After = p.Last; !p.More {
				break
			}
		}
	}
	return n
}

func reportMemory(b *testing.B, when string) {
	b.Helper()
	debug.FreeOSMemory() // what the collector would give back in some minutes
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib float64
		name, value, _ := strings.Cut(lines.Text(), ":")
		fmt.Sscan(value, &kib)
		switch name {
		case "RssAnon":
			b.ReportMetric(kib/1024, when+"-anon-MiB")
		case "VmRSS":
			b.ReportMetric(kib/1024, when+"-resident-MiB")
		case "VmHWM":
			b.ReportMetric(kib/1024, when+"-most-resident-MiB")
		}
	}
}
