package overlay

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/chorus-net/chorus/bootstrap"
	passes "github.com/chorus-net/chorus/bootstrap/pass"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
)

// flood is an attack on a peer; it ends when ctx does, or when it has done its worst.
type flood struct {
	name string
	// member says that the attacker has a pass.
	member bool
	attack func(ctx context.Context, t *testing.T, attacker *p2p.Host, victim *Node)
}

const (
	floodConns  = 1000
	floodStream = 64
	floodFrames = 1_000_000
)

func floods() []flood {
	return []flood{
		{"connections that say nothing", false, func(ctx context.Context, _ *testing.T, _ *p2p.Host, victim *Node) {
			eachConn(ctx, victim, func(net.Conn) {})
		}},
		{"strangers that stop in the handshake", false, func(ctx context.Context, _ *testing.T, _ *p2p.Host, victim *Node) {
			eachConn(ctx, victim, func(c net.Conn) {
				_, _ = c.Write([]byte("\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n\x16\x03\x01\x02\x00"))
			})
		}},
		{"strangers that stop in admission", false, func(ctx context.Context, _ *testing.T, _ *p2p.Host, victim *Node) {
			eachConn(ctx, victim, func(c net.Conn) { _, _ = c.Write([]byte("\x13/multistream/1.0.0\n\x10/chorus/admit/1\n")) })
		}},
		{"half-open streams", true, func(ctx context.Context, t *testing.T, a *p2p.Host, victim *Node) {
			for range floodStream {
				callStream(ctx, t, a, victim, nil)
			}
			<-ctx.Done()
		}},
		{"frames that are announced and do not come", true, func(ctx context.Context, t *testing.T, a *p2p.Host, victim *Node) {
			for range floodStream {
				callStream(ctx, t, a, victim, []byte{0, 0x0f, 0xff, 0xff, 1})
			}
			<-ctx.Done()
		}},
		{"a reader that does not read", true, func(ctx context.Context, t *testing.T, a *p2p.Host, victim *Node) {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					s := callStream(ctx, t, a, victim, nil)
					if s == nil {
						return
					}
					_ = s.SetDeadline(deadline(ctx))
					for ctx.Err() == nil {
						if _, err := s.Write(frame(wire.MethodPing, make([]byte, 60<<10))); err != nil {
							return
						}
					}
				})
			}
			wg.Wait()
		}},
		{"a million tiny frames", true, func(ctx context.Context, t *testing.T, a *p2p.Host, victim *Node) {
			s := callStream(ctx, t, a, victim, nil)
			if s == nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, s) }()
			_ = s.SetDeadline(deadline(ctx))
			b := bytes.Repeat(frame(wire.MethodPing, nil), 1000)
			for i := 0; i < floodFrames/1000 && ctx.Err() == nil; i++ {
				if _, err := s.Write(b); err != nil {
					return
				}
			}
			<-ctx.Done()
		}},
		{"calls that take workers", true, func(ctx context.Context, _ *testing.T, a *p2p.Host, victim *Node) {
			var wg sync.WaitGroup
			for range 500 {
				wg.Go(func() {
					for ctx.Err() == nil {
						_, _ = a.Call(ctx, victim.self.Peer, rpc.Header{Method: wire.MethodPeers}, nil)
					}
				})
			}
			wg.Wait()
		}},
	}
}

func deadline(ctx context.Context) time.Time {
	end, _ := ctx.Deadline()
	return end
}

// eachConn opens many TCP connections and does something with each, then holds them.
func eachConn(ctx context.Context, victim *Node, do func(net.Conn)) {
	parts := strings.Split(victim.host.Addrs()[0], "/")
	var conns []net.Conn
	for range floodConns {
		c, err := net.Dial("tcp", net.JoinHostPort(parts[2], parts[4]))
		if err != nil {
			continue
		}
		do(c)
		conns = append(conns, c)
	}
	<-ctx.Done()
	for _, c := range conns {
		_ = c.Close()
	}
}

// callStream opens a stream of calls, says hello if there is nothing else to say first, and
// writes more; nil if the victim does not take it.
func callStream(ctx context.Context, t *testing.T, a *p2p.Host, victim *Node, more []byte) network.Stream {
	id := protocol.ID(fmt.Sprintf("/chorus/%x/call/1", victim.ring.ID[:]))
	s, err := a.Libp2p().NewStream(ctx, peer.ID(victim.self.Peer), id)
	if err != nil {
		return nil
	}
	t.Cleanup(func() { _ = s.Reset() })
	_, err = s.Write(append(helloFrame(victim.ring), more...))
	if err != nil {
		return nil
	}
	return s
}

// helloFrame and frame are what a peer writes that is not this program.
func helloFrame(r bootstrap.Ring) []byte {
	body := append([]byte{0, 0x08, 1, 0x12, 32}, r.ID[:]...) // version, ring
	body = append(body, 0x20, 3, 0x28, 0x80, 0x80, 0x40)     // role, largest frame
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

var frames struct {
	sync.Mutex
	last uint64
}

func frame(m rpc.Method, payload []byte) []byte {
	frames.Lock()
	frames.last++
	id := frames.last
	frames.Unlock()
	env := binary.AppendUvarint([]byte{0x08, 1, 0x10}, id) // a request, its number
	env = append(env, 0x18, byte(m))
	body := append([]byte{1, byte(len(env))}, env...)
	body = append(body, payload...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// resident is the memory that the process has, in bytes.
func resident(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc to measure memory by")
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

var floodTime = flag.Duration("floods", 200*time.Millisecond, "how long each attack of TestFloods lasts")

// What strangers and members send does not take a peer down: it answers others all the while.
// How fast, and how much memory that takes, is logged and not asserted: the attacker runs in
// the same process, so what it needs counts, too. What waits for whom is bounded by tests of
// package rpc.
func TestFloods(t *testing.T) {
	for _, f := range floods() {
		t.Run(f.name, func(t *testing.T) {
			nodes := closedRing(t, 2, nil)
			victim, honest := nodes[0], nodes[1]
			attacker := hostAs(t, victim, f.member)
			calm := pings(t, honest, victim, *floodTime)
			before := resident(t)
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			var wg sync.WaitGroup
			wg.Go(func() { f.attack(ctx, t, attacker, victim) })
			peak := before
			wg.Go(func() {
				for ctx.Err() == nil {
					peak = max(peak, resident(t))
					time.Sleep(20 * time.Millisecond)
				}
			})
			under := pings(t, honest, victim, *floodTime)
			stop()
			wg.Wait()
			t.Logf("memory grew by %.1f MiB; calls p50/p99 %v/%v before, %v/%v during, of %d; the victim %+v", float64(peak-before)/(1<<20),
				calm[len(calm)/2], calm[len(calm)*99/100], under[len(under)/2], under[len(under)*99/100], len(under), victim.host.Stats())
			pings(t, honest, victim, 0)
		})
	}
}

// hostAs is the attacker's end of the network.
func hostAs(t *testing.T, victim *Node, member bool) *p2p.Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := bootstrap.KeyOf(key)
	if err != nil {
		t.Fatal(err)
	}
	gate := callerGate{}
	if member {
		gate.pass = sealed(t, victim, public, passes.Member, nil)
	}
	h, err := p2p.New(t.Context(), p2p.Config{Key: key, Ring: victim.ring.ID[:], Registry: rpc.NewRegistry(), Gate: gate, DisableKad: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	h.AddPeer(victim.self.Peer, victim.host.Addrs())
	return h
}

// pings calls a peer over and over, for some time, and returns how long each took, sorted. All
// must be answered.
func pings(t *testing.T, from, to *Node, during time.Duration) []time.Duration {
	t.Helper()
	var took []time.Duration
	for end := time.Now().Add(during); time.Now().Before(end) || len(took) == 0; {
		start := time.Now()
		_, err := from.host.Call(t.Context(), to.self.Peer, rpc.Header{Method: wire.MethodPing, Deadline: start.Add(time.Minute)}, nil)
		for err != nil && time.Since(start) < time.Minute {
			time.Sleep(10 * time.Millisecond)
			_, err = from.host.Call(t.Context(), to.self.Peer, rpc.Header{Method: wire.MethodPing, Deadline: start.Add(time.Minute)}, nil)
		}
		if err != nil {
			t.Fatalf("an honest call was not answered in a minute: %v", err)
		}
		took = append(took, time.Since(start))
		time.Sleep(time.Millisecond)
	}
	slices.Sort(took)
	return took
}
