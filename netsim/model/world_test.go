package model

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// consecutive returns the indexes 0 to k-1.
func consecutive(k int) []uint32 {
	is := make([]uint32, k)
	for i := range is {
		is[i] = uint32(i)
	}
	return is
}

func TestFormation(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 20, 100} {
		for _, k := range []int{1, 8} {
			t.Run(fmt.Sprintf("n=%d/k=%d", n, k), func(t *testing.T) {
				w := NewWorld(chord.Config{}, 1)
				if os.Getenv("TRACE") != "" {
					w.Trace = os.Stdout
				}
				for range n {
					w.Add(consecutive(k))
				}
				w.Create(w.peers[0])
				for _, p := range w.peers[1:] {
					w.Join(p, w.peers[0])
				}
				ok, err := w.RunUntil(60*time.Second, 50*time.Millisecond, func() bool {
					return len(w.Members()) == n && w.Converged() == nil
				})
				t.Logf("ok=%v err=%v at %v, %v; %d messages %d KB", ok, err, w.Now(), w.Converged(), w.Messages, w.Bytes/1024)
				before, bytes := w.Messages, w.Bytes
				w.Run(20 * time.Second)
				before, bytes = w.Messages, w.Bytes
				w.Run(20 * time.Second)
				t.Logf("calm: %.1f messages/s, %.0f B/s a peer", float64(w.Messages-before)/20/float64(n), float64(w.Bytes-bytes)/20/float64(n))
				if n < 2 {
					return
				}
				w.Crash(w.peers[n-1])
				at := w.Now()
				ok, _ = w.RunUntil(60*time.Second, 50*time.Millisecond, func() bool { return w.Converged() == nil })
				t.Logf("crash: %v %v", ok, w.Now()-at)
				w.Net.Evidence = false
				w.Crash(w.peers[0])
				at = w.Now()
				ok, _ = w.RunUntil(60*time.Second, 50*time.Millisecond, func() bool { return w.Converged() == nil })
				t.Logf("silent crash: %v %v", ok, w.Now()-at)
			})
		}
	}
}
