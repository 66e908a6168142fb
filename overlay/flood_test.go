package overlay

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/heap"
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
		{"none", true, func(ctx context.Context, _ *assault, ready func()) {
			ready()
			<-ctx.Done()
		}},
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

// floodMemory is by how much a flood may make what a peer keeps in memory grow, in bytes.
const floodMemory = 64 << 20

// What strangers and members send does not take a peer down: it answers others all the while, and
// what it keeps for those who attack is bounded. How much longer honest calls take is measured and not
// asserted, since other programs run beside: phases with and without the attack alternate, each attack
// is compared with the calm before it, and the figure is the median of those ratios. The first flood is none:
// its ratios say how far those of the others can be told from noise. The attacker is a process of its own on
// one processor at the lowest priority, as if it were on a machine of its own. What waits for whom is
// bounded by tests of package rpc.
//
//	go test ./overlay -run TestFloods -v -floods 1s -floods.rounds 11
func TestFloods(t *testing.T) {
	heap.Floor(heap.Peer) // as in a peer
	t.Cleanup(func() { heap.Floor(0) })
	for _, f := range floods() {
		t.Run(f.name, func(t *testing.T) {
			nodes := closedRing(t, 2, nil)
			victim, honest := nodes[0], nodes[1]
			attacker := startAttacker(t, victim, f)
			kept, before := live(), resident(t)
			peak := before
			var rounds []round
			var cpu [2]time.Duration
			for range *floodRounds {
				var r round
				from := processor(t)
				r.calm = honestly(t, honest, victim, *floodTime)
				cpu[0] += processor(t) - from
				attacker.say("go", "ready")
				from = processor(t)
				r.flood = honestly(t, honest, victim, *floodTime)
				cpu[1] += processor(t) - from
				peak = max(peak, resident(t))
				if more := live() - kept; more > floodMemory {
					t.Errorf("the flood makes %d bytes be kept, at most %d", more, floodMemory)
				}
				attacker.say("stop", "done")
				rounds = append(rounds, r)
			}
			honestly(t, honest, victim, 0)
			for kind, c := range honestCalls {
				t.Logf("%-5s %s", c.name, compare(rounds, kind))
			}
			t.Logf("kept %.1f MiB more, resident %.1f MiB more; processor time %v calm, %v in the flood; the attacker did %s; the victim %+v",
				mebi(live()-kept), mebi(peak-before), cpu[0], cpu[1], attacker.did, victim.host.Stats())
		})
	}
}

func mebi(n int) float64 { return float64(n) / (1 << 20) }

// honestCalls are answered by the reader of a connection, and by a worker.
var honestCalls = []struct {
	name   string
	method rpc.Method
}{{"ping", wire.MethodPing}, {"clock", wire.MethodClock}}

// took holds how long each honest call took, of each kind.
type took [2][]time.Duration

// round is a calm phase and the flood after it.
type round struct{ calm, flood took }

// compare sums up what honest calls of a kind took: medians of all rounds, and of the rounds' ratios
// with the smallest and the greatest.
func compare(rounds []round, kind int) string {
	var p50, p99 [2][]float64
	var ratios []float64
	for _, r := range rounds {
		for i, phase := range [2]took{r.calm, r.flood} {
			d := slices.Sorted(slices.Values(phase[kind]))
			p50[i] = append(p50[i], d[len(d)/2].Seconds()*1e6)
			p99[i] = append(p99[i], d[len(d)*99/100].Seconds()*1e6)
		}
		n := len(ratios)
		ratios = append(ratios, p99[1][n]/p99[0][n])
	}
	return fmt.Sprintf("p50 %.0f us calm, %.0f in the flood; p99 %.0f and %.0f; p99 x%.2f (%.2f to %.2f)",
		median(p50[0]), median(p50[1]), median(p99[0]), median(p99[1]), median(ratios), slices.Min(ratios), slices.Max(ratios))
}

func median(all []float64) float64 {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

// honestly calls a peer over and over, for some time, and returns how long each took. All must be
// answered.
func honestly(t *testing.T, from, to *Node, during time.Duration) (all took) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end) || len(all[0]) == 0; {
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
			all[kind] = append(all[kind], time.Since(start))
		}
		time.Sleep(time.Millisecond)
	}
	return all
}

// live is the memory that the process cannot do without: in use after a collection, in bytes.
func live() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
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
