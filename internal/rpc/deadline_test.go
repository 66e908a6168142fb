package rpc_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
)

// moved counts how often the deadline of reads is moved.
type moved struct {
	net.Conn
	times *atomic.Int64
}

func (m moved) SetReadDeadline(t time.Time) error {
	m.times.Add(1)
	return m.Conn.SetReadDeadline(t)
}

// Frames that come in pieces move the deadline of reads now and then, not each time, and what is
// left of it between frames ends nothing.
func TestReadDeadlineSeldomMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		times := new(atomic.Int64)
		c := rpc.NewConn(moved{a, times}, rpc.Config{Admit: member, Registry: echoes()})
		defer b.Close()
		defer c.Close()
		go func() { _, _ = io.Copy(io.Discard, b) }()
		write := func(p []byte) {
			t.Helper()
			if _, err := b.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		write(unhex(t, hello))
		synctest.Wait()
		greeting := times.Load()
		frame := unhex(t, "00000006"+"01"+"02"+"0863"+"ffff") // of a kind that this side does not know
		const frames = 1000
		send := func() {
			for range frames {
				write(frame[:7])
				write(frame[7:])
			}
		}
		send()
		if n := times.Load() - greeting; n < 1 || n > frames/10 {
			t.Errorf("the deadline was moved %d times for %d frames", n, frames)
		}
		time.Sleep(time.Hour)
		send()
		if err := c.Err(); err != nil {
			t.Errorf("ended by %v", err)
		}
	})
}
