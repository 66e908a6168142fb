package rpc_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
)

// The hello of a peer without ring or role, as bytes.
const hello = "00000007" + "00" + "0801" + "28808040"

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// against starts a connection whose other side is the test itself.
func against(t *testing.T, cfg rpc.Config) (*rpc.Conn, net.Conn, <-chan error) {
	t.Helper()
	a, b := net.Pipe()
	ended := make(chan error, 1)
	cfg.OnClose = func(err error) { ended <- err }
	if cfg.Registry == nil {
		cfg.Registry = echoes()
	}
	cfg.Admit = member
	c := rpc.NewConn(a, cfg)
	t.Cleanup(func() { _, _ = c.Close(), b.Close() })
	return c, b, ended
}

func TestHostileBytes(t *testing.T) {
	request := "00000006" + "01" + "04" + "0801" + "1802" // of method 2, without an ID
	for name, tt := range map[string]struct{ bytes, says string }{
		"garbage":           {"deadbeefdeadbeef", "malformed frame"},
		"no hello":          {request, "no hello"},
		"two hellos":        {hello + hello, "second hello"},
		"oversized":         {hello + "00100001", "bound is"},
		"empty frame":       {hello + "00000000", "malformed frame"},
		"other format":      {hello + "00000002" + "0900", "malformed frame"},
		"no kind":           {hello + "00000002" + "0100", "no kind"},
		"method of 17 bits": {hello + "00000008" + "01" + "06" + "0801" + "18808004", "method"},
		"broken error":      {hello + "00000005" + "01" + "02" + "0803" + "ff", "malformed frame"},
		"ends mid-frame":    {hello + "000000ff" + "01", "unexpected EOF"},
		"ends":              {hello, "closed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, peer, ended := against(t, rpc.Config{})
				go func() { _, _ = io.Copy(io.Discard, peer) }()
				if _, err := peer.Write(unhex(t, tt.bytes)); err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(name, "ends") {
					peer.Close()
				}
				start := time.Now()
				if err := <-ended; !errors.Is(err, rpc.ErrConnLost) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("ended with %v, want conn-lost: ...%s", err, tt.says)
				}
				if d := time.Since(start); d > 0 {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}

// Frames that make no sense to this version, but to another, do no harm.
func TestHarmlessBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, _ := against(t, rpc.Config{})
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		for _, frame := range []string{
			hello,
			"00000004" + "01" + "02" + "087f", // a later kind
			"00000006" + "01" + "04" + "0802" + "1063",            // the answer to nothing
			"00000006" + "01" + "04" + "0805" + "1063",            // the cancellation of nothing
			"00000009" + "01" + "07" + "0802" + "1063" + "980601", // a later field
		} {
			if _, err := peer.Write(unhex(t, frame)); err != nil {
				t.Fatalf("%s: %v", frame, err)
			}
		}
		synctest.Wait()
		if err := c.Err(); err != nil {
			t.Errorf("the connection ended: %v", err)
		}
	})
}

func TestSilentFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, peer, ended := against(t, rpc.Config{WriteTimeout: 3 * time.Second})
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		if err := <-ended; !errors.Is(err, rpc.ErrConnLost) {
			t.Errorf("ended with %v", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("half-open connection lived for %v", d)
		}
	})
}

// A peer that stops reading must not hold anybody up beyond their deadline,
// and loses the connection when the write timeout is over.
func TestStalledPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, ended := against(t, rpc.Config{WriteTimeout: 10 * time.Second, MaxQueue: 4 << 10})
		if _, err := peer.Write(unhex(t, hello)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		errs := make(chan error, 3)
		go func() { // in time for the deadline, and not for the context
			_, err := c.Call(t.Context(), rpc.Header{Method: methodEcho, Deadline: start.Add(time.Second)}, nil)
			errs <- err
		}()
		if err := <-errs; !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("deadline: %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Call(ctx, rpc.Header{Method: methodEcho}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("context: %v", err)
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("both took %v", d)
		}
		go func() { // still waiting when the connection goes
			_, err := c.Call(t.Context(), rpc.Header{Method: methodEcho, Deadline: start.Add(time.Hour)}, nil)
			errs <- err
		}()
		synctest.Wait()
		for i := 0; ; i++ {
			err := c.Cast(t.Context(), rpc.Header{Method: methodEcho}, make([]byte, 1<<10))
			if errors.Is(err, rpc.ErrBusy) {
				break
			}
			if err != nil || i > 4 {
				t.Fatalf("cast %d: %v, want the queue to be full", i, err)
			}
		}
		if err := <-ended; !errors.Is(err, rpc.ErrConnLost) {
			t.Errorf("ended with %v", err)
		}
		if err := <-errs; !errors.Is(err, rpc.ErrConnLost) {
			t.Errorf("the pending call: %v", err)
		}
		if d := time.Since(start); d > 15*time.Second {
			t.Errorf("the connection lived for %v", d)
		}
	})
}

// A peer that stalls in the middle of a frame and goes on later gets all of it.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, _ := against(t, rpc.Config{})
		payload := bytes.Repeat([]byte("0123456789"), 500)
		got := make(chan []byte, 1)
		if _, err := peer.Write(unhex(t, hello)); err != nil {
			t.Fatal(err)
		}
		go func() {
			var all []byte
			b := make([]byte, 7)
			for len(all) < len(payload) {
				time.Sleep(5 * time.Millisecond)
				n, err := peer.Read(b)
				if all = append(all, b[:n]...); err != nil {
					break
				}
			}
			got <- all
		}()
		_, err := c.Call(t.Context(), rpc.Header{Method: methodEcho, Deadline: time.Now().Add(8 * time.Second)}, payload)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody answers, yet %v", err)
		}
		all := <-got
		if i := bytes.Index(all, payload[:100]); i < 0 || !bytes.HasPrefix(payload, all[i:]) {
			t.Errorf("the frame arrived broken: %d bytes", len(all))
		}
	})
}

func TestTooManyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, _ := against(t, rpc.Config{MaxPending: 2})
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		if _, err := peer.Write(unhex(t, hello)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := c.Call(ctx, rpc.Header{Method: methodEcho}, nil)
				done <- err
			}()
		}
		synctest.Wait()
		if _, err := c.Call(ctx, rpc.Header{Method: methodEcho}, nil); !errors.Is(err, rpc.ErrBusy) {
			t.Errorf("a third of two calls: %v", err)
		}
		cancel() // frees the slots
		for range 2 {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled call: %v", err)
			}
		}
		for range 2 {
			_, err := c.Call(t.Context(), rpc.Header{Method: methodEcho, Deadline: time.Now().Add(time.Second)}, nil)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a call in a freed slot: %v", err)
			}
		}
	})
}

func TestBusyWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		registry := rpc.NewRegistry()
		registry.Handle(methodLater, rpc.Spec{Name: "later"}, func(context.Context, *rpc.Request) ([]byte, error) {
			<-release
			return nil, nil
		})
		workers := rpc.NewWorkers(2, 3) // and four each that every caller has
		a, b := net.Pipe()
		client := rpc.NewConn(a, rpc.Config{})
		server := rpc.NewConn(b, rpc.Config{Registry: registry, Workers: workers})
		results := make(chan error, 9)
		for range 9 {
			go func() {
				_, err := client.Call(t.Context(), rpc.Header{Method: methodLater}, nil)
				results <- err
			}()
		}
		if err := <-results; !errors.Is(err, rpc.ErrBusy) {
			t.Errorf("the ninth of eight: %v", err)
		}
		close(release)
		for range 8 {
			if err := <-results; err != nil {
				t.Errorf("a call that found room: %v", err)
			}
		}
		if s := server.Stats(); s.Served != 9 || s.Refused != 1 {
			t.Errorf("counted %+v", s)
		}
		_, _ = client.Close(), server.Close()
		workers.Close()
	})
}

// A frame that has begun must come to its end in time; between frames there is no hurry, and a slow
// network is not held for an attacker.
func TestTrickledFrame(t *testing.T) {
	frame := func(n int) []byte { // of a kind that this side does not know
		return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 1, 2, 8, 99}, make([]byte, n-4)...)
	}
	for name, tt := range map[string]struct {
		size, step int
		whole      bool // the first frame ends before it is given up
	}{
		"byte by byte":        {200, 1, false},
		"length byte by byte": {4, 1, true}, // 8 s
		"large, too slow":     {512 << 10, 4 << 10, false},
		"large, in time":      {512 << 10, 32 << 10, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, b, ended := against(t, rpc.Config{})
				go func() { _, _ = io.Copy(io.Discard, b) }()
				if _, err := b.Write(unhex(t, hello)); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					time.Sleep(time.Hour)
					for rest := frame(tt.size); len(rest) > 0; {
						n, err := b.Write(rest[:min(len(rest), tt.step)])
						if err != nil {
							if tt.whole {
								t.Fatalf("cut off after %d bytes", tt.size-len(rest))
							}
							if err := <-ended; !strings.Contains(err.Error(), "too slowly") {
								t.Errorf("ended by %v", err)
							}
							return
						}
						rest = rest[n:]
						time.Sleep(time.Second)
					}
				}
				if !tt.whole {
					t.Error("frames trickle on")
				}
			})
		})
	}
}
