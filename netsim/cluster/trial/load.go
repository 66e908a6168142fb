package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

const (
	keysEach   = 20 // of a caller
	mostFaults = 10 // that are described
)

// load is callers that put and get keys. Each key has one caller, which writes
// numbers that count up: what it reads must not be less than the last one that
// was acknowledged to it.
type load struct {
	cluster *cluster.Cluster
	callers []*caller
	wg      sync.WaitGroup
}

// caller is one caller and what it saw; its own goroutine uses it.
type caller struct {
	cluster *cluster.Cluster
	rng     *rand.Rand
	name    int
	next    int
	acked   [keysEach]int // 0: nothing yet

	puts, gets, putsFailed, getsFailed int
	lost, stale, unread                int
	faults                             []string
}

func newLoad(c *cluster.Cluster, callers int) *load {
	l := &load{cluster: c}
	for i := range callers {
		l.callers = append(l.callers, &caller{cluster: c, name: i, rng: rand.New(rand.NewPCG(uint64(i), 0x747269616c))})
	}
	return l
}

// start starts the callers. The returned function stops them and waits; it may
// be called repeatedly.
func (l *load) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	for _, c := range l.callers {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				k := c.rng.IntN(keysEach)
				// A call that was begun is let go to its end, so that what it did is known.
				c.put(context.WithoutCancel(ctx), k)
				c.get(context.WithoutCancel(ctx), k)
			}
		})
	}
	return func() {
		cancel()
		l.wg.Wait()
	}
}

// readAll reads every key once.
func (l *load) readAll(ctx context.Context) {
	for _, c := range l.callers {
		l.wg.Go(func() {
			for k := range c.acked {
				if ctx.Err() == nil && !c.get(ctx, k) {
					c.unread++
					c.fault("%s cannot be read in the end", c.key(k))
				}
			}
		})
	}
	l.wg.Wait()
}

func (l *load) report(r *Result) {
	r.Faults = []string{}
	for _, c := range l.callers {
		r.Puts += c.puts
		r.Gets += c.gets
		r.PutsFailed += c.putsFailed
		r.GetsFailed += c.getsFailed
		r.Lost += c.lost
		r.Stale += c.stale
		r.Unread += c.unread
		r.Keys += keysEach
		r.Faults = append(r.Faults, c.faults...)
	}
	r.Faults = r.Faults[:min(len(r.Faults), mostFaults)]
}

func (c *caller) key(k int) string { return fmt.Sprintf("trial/%d/%d", c.name, k) }

// node returns a peer at random.
func (c *caller) node() *overlay.Node {
	nodes := c.cluster.Nodes()
	return nodes[c.rng.IntN(len(nodes))]
}

func (c *caller) put(ctx context.Context, k int) {
	c.next++
	n := c.next
	if _, err := c.node().Put(ctx, c.key(k), strconv.AppendInt(nil, int64(n), 10)); err != nil {
		c.putsFailed++ // it may have been written, or be written yet
		return
	}
	c.puts++
	c.acked[k] = n
}

// get reads a key and reports whether there was an answer.
func (c *caller) get(ctx context.Context, k int) bool {
	node, want := c.node(), c.acked[k]
	record, err := node.Get(ctx, c.key(k))
	missing := errors.Is(err, overlay.ErrNotFound)
	if err != nil && !missing {
		c.getsFailed++
		return false
	}
	c.gets++
	got, err := strconv.Atoi(string(record.Value))
	switch {
	case missing && want == 0:
	case missing:
		c.lost++
		c.fault("%s is gone at %s, %d was acknowledged", c.key(k), node.Name(), want)
	case err != nil || got < want:
		c.stale++
		c.fault("%s is %q at %s, %d was acknowledged", c.key(k), record.Value, node.Name(), want)
	}
	return true
}

func (c *caller) fault(format string, args ...any) {
	if len(c.faults) < mostFaults {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}
