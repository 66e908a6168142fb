package overlay

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
)

// flood is an attack on a peer.
type flood struct {
	name string
	// member says that the attacker has a pass.
	member bool
	// attack calls ready when it begins, and ends when ctx does.
	attack func(ctx context.Context, a *assault, ready func())
}

const (
	floodConns  = 1000
	floodStream = 64
	floodFrames = 1_000_000
	floodCalls  = 500
)

func floods() []flood {
	return []flood{
		{"connections that say nothing", false, func(ctx context.Context, a *assault, ready func()) {
			a.eachConn(ctx, nil, ready)
		}},
		{"strangers that stop in the handshake", false, func(ctx context.Context, a *assault, ready func()) {
			a.eachConn(ctx, []byte("\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n\x16\x03\x01\x02\x00"), ready)
		}},
		{"strangers that stop in admission", false, func(ctx context.Context, a *assault, ready func()) {
			a.eachConn(ctx, []byte("\x13/multistream/1.0.0\n\x10/chorus/admit/1\n"), ready)
		}},
		{"half-open streams", true, func(ctx context.Context, a *assault, ready func()) {
			a.eachStream(ctx, nil, ready)
		}},
		{"frames that are announced and do not come", true, func(ctx context.Context, a *assault, ready func()) {
			a.eachStream(ctx, []byte{0, 0x0f, 0xff, 0xff, 1}, ready)
		}},
		{"a reader that does not read", true, func(ctx context.Context, a *assault, ready func()) {
			ready()
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for ctx.Err() == nil {
						s := a.callStream(ctx, nil)
						for s != nil && ctx.Err() == nil {
							if _, err := s.Write(a.frame(wire.MethodPing, make([]byte, 60<<10))); err != nil {
								break
							}
							a.done.Add(1)
						}
					}
				})
			}
			wg.Wait()
		}},
		{"a million tiny frames", true, func(ctx context.Context, a *assault, ready func()) {
			s := a.callStream(ctx, nil)
			ready()
			if s == nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, s) }()
			b := bytes.Repeat(a.frame(wire.MethodPing, nil), 1000)
			for i := 0; i < floodFrames/1000 && ctx.Err() == nil; i++ {
				if _, err := s.Write(b); err != nil {
					break
				}
				a.done.Add(1000)
			}
			<-ctx.Done()
		}},
		{"calls that take workers", true, func(ctx context.Context, a *assault, ready func()) {
			ready()
			var wg sync.WaitGroup
			for range floodCalls {
				wg.Go(func() {
					for ctx.Err() == nil {
						if _, err := a.host.Call(ctx, a.victim, rpc.Header{Method: wire.MethodPeers}, nil); err == nil {
							a.done.Add(1)
						}
					}
				})
			}
			wg.Wait()
		}},
	}
}

var (
	floodTime   = flag.Duration("floods", 100*time.Millisecond, "how long each phase of TestFloods lasts")
	floodRounds = flag.Int("floods.rounds", 1, "how often TestFloods goes from calm to flood")
)

// What strangers and members send does not take a peer down: it answers others all the while.
// How fast, and how much memory that takes, is logged and not asserted, since other programs run
// beside: phases with and without the attack alternate, and the ratio is of their medians. The attacker is a process of its own on
// one processor at the lowest priority, as if it were on a machine of its own. What waits for whom is
// bounded by tests of package rpc.
func TestFloods(t *testing.T) {
	for _, f := range floods() {
		t.Run(f.name, func(t *testing.T) {
			nodes := closedRing(t, 2, nil)
			victim, honest := nodes[0], nodes[1]
			attacker := startAttacker(t, victim, f)
			before := resident(t)
			peak, watched := before, make(chan struct{})
			ctx, stop := context.WithCancel(t.Context())
			go func() {
				defer close(watched)
				for ctx.Err() == nil {
					peak = max(peak, resident(t))
					time.Sleep(20 * time.Millisecond)
				}
			}()
			var calm, under phases
			cpu := make([]time.Duration, 2)
			for range *floodRounds {
				from := processor(t)
				calm.add(honestly(t, honest, victim, *floodTime))
				cpu[0] += processor(t) - from
				attacker.say("go", "ready")
				from = processor(t)
				under.add(honestly(t, honest, victim, *floodTime))
				cpu[1] += processor(t) - from
				attacker.say("stop", "done")
			}
			stop()
			<-watched
			honestly(t, honest, victim, 0)
			for kind, name := range honestCalls {
				b, d := calm.median(kind), under.median(kind)
				t.Logf("%s p50/p99 %v/%v before, %v/%v during: p99 x%.2f", name.name, b[0], b[1], d[0], d[1], float64(d[1])/float64(b[1]))
			}
			t.Logf("memory grew by %.1f MiB; processor time %v before, %v during; the attacker did %s; the victim %+v",
				float64(peak-before)/(1<<20), cpu[0], cpu[1], attacker.did, victim.host.Stats())
		})
	}
}

// honestCalls are answered by the reader of a connection, and by a worker.
var honestCalls = []struct {
	name   string
	method rpc.Method
}{{"ping", wire.MethodPing}, {"clock", wire.MethodClock}}

// phases holds p50 and p99 of each kind of honest call, for each phase.
type phases [2][][2]time.Duration

func (p *phases) add(took [2][]time.Duration) {
	for kind, d := range took {
		slices.Sort(d)
		p[kind] = append(p[kind], [2]time.Duration{d[len(d)/2], d[len(d)*99/100]})
	}
}

func (p *phases) median(kind int) (m [2]time.Duration) {
	for i := range m {
		var all []time.Duration
		for _, q := range p[kind] {
			all = append(all, q[i])
		}
		slices.Sort(all)
		m[i] = all[len(all)/2]
	}
	return m
}

// honestly calls a peer over and over, for some time, and returns how long each took. All must be
// answered.
func honestly(t *testing.T, from, to *Node, during time.Duration) (took [2][]time.Duration) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end) || len(took[0]) == 0; {
		for kind, c := range honestCalls {
			start := time.Now()
			h := rpc.Header{Method: c.method, Deadline: start.Add(time.Minute)}
			_, err := from.host.Call(t.Context(), to.self.Peer, h, nil)
			for err != nil && time.Since(start) < time.Minute {
				time.Sleep(10 * time.Millisecond)
				_, err = from.host.Call(t.Context(), to.self.Peer, h, nil)
			}
			if err != nil {
				t.Fatalf("an honest call was not answered in a minute: %v", err)
			}
			took[kind] = append(took[kind], time.Since(start))
		}
		time.Sleep(time.Millisecond)
	}
	return took
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

// processor is the processor time that the process has had.
func processor(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
