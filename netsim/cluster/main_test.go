package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

var (
	verbose = flag.Bool("log", false, "print what happens at the peers")
	soak    = flag.Duration("soak", 0, "how long TestSoak lasts; 0: a few seconds")
)

func TestMain(m *testing.M) {
	overlay.Init()
	goleak.VerifyTestMain(m, leaks...)
}

// leaks are goroutines of libraries that outlive what started them.
var leaks = []goleak.Option{
	// go-log's pipe and OpenCensus' worker run as long as the program.
	goleak.IgnoreAnyFunction("go.opencensus.io/stats/view.(*worker).start"),
}

// patience bounds every wait for something that happens by itself. Machines
// that run tests are at times busy with something else.
const patience = 60 * time.Second

// long leaves a test that takes more than two seconds or so out of short runs.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
}

// start starts peers, waits until they agree on the ring, and stops them at the
// end of the test.
func start(t *testing.T, s cluster.Settings) (*cluster.Cluster, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	if s.Node.Shards == 0 {
		s.Node.Shards = 16
	}
	if *verbose {
		s.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c, err := cluster.Start(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	agree(t, c)
	return c, ctx
}

// agree waits until the running peers see one ring of themselves.
func agree(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Agree(ctx); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check has nothing to complain about.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("%s: not after %v: %v", what, patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// put writes keys PREFIX0 ... with values that tell them apart, each at another
// peer.
func put(t *testing.T, ctx context.Context, nodes []*overlay.Node, prefix string, n int) {
	t.Helper()
	for i := range n {
		key := fmt.Sprintf("%s%d", prefix, i)
		if _, err := nodes[i%len(nodes)].Put(ctx, key, []byte("value of "+key)); err != nil {
			t.Fatalf("put at %s: %v", nodes[i%len(nodes)].Name(), err)
		}
	}
}

// readAll checks that a peer reads all keys that put wrote.
func readAll(t *testing.T, ctx context.Context, node *overlay.Node, prefix string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			key := fmt.Sprintf("%s%d", prefix, i)
			rec, err := node.Get(ctx, key)
			if err != nil || string(rec.Value) != "value of "+key {
				t.Errorf("get %s at %s: %q, %v", key, node.Name(), rec.Value, err)
			}
		})
	}
	wg.Wait()
}

// settled waits until every key that put wrote has as many voters as it
// should, all of them running, and no peer misses a replica.
func settled(t *testing.T, ctx context.Context, c *cluster.Cluster, prefix string, n, voters int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d voters of each key", voters), func() error {
		running := make(map[string]bool)
		keys := 0
		for _, node := range c.Live() {
			running[node.ID()] = true
			s, err := node.Status(ctx)
			if err != nil {
				return err
			}
			if s.UnderReplicated != 0 {
				return fmt.Errorf("%s: %d keys lack a replica", node.Name(), s.UnderReplicated)
			}
			keys += s.Keys
		}
		for i := range n {
			rec, err := c.Live()[0].Get(ctx, fmt.Sprintf("%s%d", prefix, i))
			if err != nil {
				return err
			}
			if len(rec.Holders) != voters {
				return fmt.Errorf("%s: %d voters", rec.Key, len(rec.Holders))
			}
			for _, h := range rec.Holders {
				if !running[h] {
					return fmt.Errorf("%s: voter %s does not run", rec.Key, h)
				}
			}
		}
		if keys < n*voters {
			return fmt.Errorf("%d copies held by voters, want %d", keys, n*voters)
		}
		return nil
	})
}
