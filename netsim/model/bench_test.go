package model

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// BenchmarkCalm lets a second pass in a ring at rest, and tells what a message
// and a peer cost.
func BenchmarkCalm(b *testing.B) {
	for _, c := range []struct {
		name  string
		n     int
		table int
	}{{"tables", 200, 0}, {"fingers", 500, -1}} {
		b.Run(fmt.Sprintf("%s/n=%d", c.name, c.n), func(b *testing.B) {
			x := &experiment{
				World: NewWorld(chord.Config{TableSize: c.table}, 1),
				s:     Settings{Peers: c.n, FingersOnly: c.table < 0}.withDefaults(), rep: &Report{},
			}
			if err := x.form(b.Context()); err != nil {
				b.Fatal(err)
			}
			if err := x.World.Run(time.Minute); err != nil {
				b.Fatal(err)
			}
			runtime.GC()
			var mem runtime.MemStats
			runtime.ReadMemStats(&mem)
			messages := x.Messages
			for b.Loop() {
				if err := x.World.Run(time.Second); err != nil {
					b.Fatal(err)
				}
			}
			sent := float64(x.Messages - messages)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/sent, "ns/msg")
			b.ReportMetric(sent/float64(b.N)/float64(c.n), "msgs/peer")
			b.ReportMetric(float64(mem.HeapAlloc)/float64(c.n), "B/peer")
		})
	}
}
