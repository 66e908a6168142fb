package drive_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/drive"
)

// counter is the cheapest core, so that the benchmarks measure the loop.
type counter struct{ n int }

func (c *counter) Step(_ time.Time, in int) int { c.n += in; return c.n }
func (c *counter) Tick(time.Time) int           { return c.n }
func (c *counter) Deadline() time.Time          { return time.Time{} }

func BenchmarkDo(b *testing.B) {
	l := drive.New(&counter{}, func(int) {}, drive.Config{})
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Do(b.Context(), func(*counter) {}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPost(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		b.Run(fmt.Sprintf("parallel=%t", parallel), func(b *testing.B) {
			l := drive.New(&counter{}, func(int) {}, drive.Config{})
			defer l.Close()
			b.ReportAllocs()
			post := func() {
				for errors.Is(l.Post(1), drive.ErrFull) {
					runtime.Gosched()
				}
			}
			if parallel {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						post()
					}
				})
				return
			}
			for b.Loop() {
				post()
			}
		})
	}
}
