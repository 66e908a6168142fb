package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

// traffic writes and reads all the time, at peers taken at random. Each key has
// one writer, which counts up, so a read must return at least what had been
// acknowledged when it began.
type traffic struct {
	t    *testing.T
	c    *cluster.Cluster
	keys []tracked
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	puts, gets, failedPuts, failedGets atomic.Int64
	mu                                 sync.Mutex
	failures                           []string // the first few
	slowest                            time.Duration
	slow                               string // which call that was
}

// tracked is a key and the last value of it that was acknowledged.
type tracked struct {
	name  string
	acked atomic.Int64
}

const keysEach = 25 // of a writer

// newTraffic starts writers, and half as many readers.
func newTraffic(t *testing.T, c *cluster.Cluster, writers int) *traffic {
	ctx, stop := context.WithCancel(t.Context())
	x := &traffic{t: t, c: c, keys: make([]tracked, writers*keysEach), ctx: ctx, stop: stop}
	for i := range x.keys {
		x.keys[i].name = fmt.Sprintf("traffic/%d", i)
	}
	t.Cleanup(func() {
		stop()
		x.wg.Wait()
	})
	for w := range writers {
		x.wg.Go(func() { x.write(x.keys[w*keysEach : (w+1)*keysEach]) })
	}
	for range (writers + 1) / 2 {
		x.wg.Go(x.read)
	}
	return x
}

func (x *traffic) node() *overlay.Node {
	live := x.c.Live()
	return live[rand.IntN(len(live))]
}

func (x *traffic) write(keys []tracked) {
	for n := int64(1); x.ctx.Err() == nil; n++ {
		k, node := &keys[n%int64(len(keys))], x.node()
		began := time.Now()
		_, err := node.Put(context.WithoutCancel(x.ctx), k.name, strconv.AppendInt(nil, n, 10))
		x.took(began, "put", k.name, node)
		if err != nil {
			x.failed(&x.failedPuts, node, err)
			continue
		}
		k.acked.Store(n)
		x.puts.Add(1)
	}
}

func (x *traffic) read() {
	for x.ctx.Err() == nil {
		x.check(x.node(), &x.keys[rand.IntN(len(x.keys))])
	}
}

// check reads one key.
func (x *traffic) check(node *overlay.Node, k *tracked) {
	floor := k.acked.Load()
	began := time.Now()
	rec, err := node.Get(context.WithoutCancel(x.ctx), k.name)
	x.took(began, "get", k.name, node)
	switch {
	case err == nil:
		got, err := strconv.ParseInt(string(rec.Value), 10, 64)
		if err != nil || got < floor {
			x.t.Errorf("%s at %s is %q, but %d was acknowledged before", k.name, node.Name(), rec.Value, floor)
		}
	case errors.Is(err, overlay.ErrNotFound):
		if floor > 0 {
			x.t.Errorf("%s at %s is not there, but %d was acknowledged before", k.name, node.Name(), floor)
		}
	default:
		x.failed(&x.failedGets, node, err)
		return
	}
	x.gets.Add(1)
}

func (x *traffic) took(began time.Time, verb, key string, node *overlay.Node) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if d := time.Since(began); d > x.slowest {
		x.slowest, x.slow = d, fmt.Sprintf("%s %s at %s, begun %v", verb, key, node.Name(), began.Format(time.StampMilli))
	}
}

// failed counts a failure, unless the peer that was asked is no more.
func (x *traffic) failed(count *atomic.Int64, node *overlay.Node, err error) {
	if !node.Alive() {
		return
	}
	count.Add(1)
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.failures) < 10 {
		x.failures = append(x.failures, fmt.Sprintf("at %s: %v", node.Name(), err))
	}
}

// goOn waits until n more writes and reads were done.
func (x *traffic) goOn(n int64) {
	x.t.Helper()
	puts, gets := x.puts.Load(), x.gets.Load()
	eventually(x.t, fmt.Sprintf("%d more writes", n), func() error {
		if x.puts.Load() < puts+n || x.gets.Load() < gets+n {
			return fmt.Errorf("%d writes, %d reads; failed: %d, %d, %q", x.puts.Load()-puts, x.gets.Load()-gets, x.failedPuts.Load(), x.failedGets.Load(), x.failures)
		}
		return nil
	})
}

// end stops the traffic and reads every key at every peer.
func (x *traffic) end() {
	x.t.Helper()
	x.stop()
	x.wg.Wait()
	for _, node := range x.c.Live() {
		for i := range x.keys {
			x.check(node, &x.keys[i])
		}
	}
	x.t.Logf("%d writes (%d failed), %d reads (%d failed), slowest call %v (%s), failures: %q", x.puts.Load(), x.failedPuts.Load(),
		x.gets.Load(), x.failedGets.Load(), x.slowest.Round(time.Millisecond), x.slow, x.failures)
}

// endClean ends traffic that had no reason to fail at all.
func (x *traffic) endClean() {
	x.t.Helper()
	x.end()
	if x.failedPuts.Load()+x.failedGets.Load() > 0 {
		x.t.Errorf("calls failed: %q", x.failures)
	}
}
