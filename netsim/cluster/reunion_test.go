package cluster_test

import (
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/netsim/cluster/simnet"
	"github.com/chorus-net/chorus/overlay"
)

var split = flag.Duration("split", 0, "how long TestReunion splits the network, such as 1m; 0: not at all")

// Two halves of a ring that each lost a peer and gained one while the network
// was split become one ring again. The log says how they met.
func TestReunion(t *testing.T) {
	if *split == 0 {
		t.Skip("takes as long as -split says")
	}
	c, ctx := start(t, cluster.Settings{
		Peers:   6,
		Network: &simnet.Settings{Latency: 10 * time.Millisecond, Seed: 1},
		Node:    overlay.Config{Workers: -1},
	})
	c.Network().Partition([]int{0, 1, 2, 6}, []int{3, 4, 5, 7}) // 6 and 7 are yet to come
	began := time.Now()
	for range 2 {
		if _, err := c.Add(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{2, 5} {
		if err := c.Kill(i); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "two rings of three", func() error { return ringsOf(c, 3) })
	time.Sleep(*split - time.Since(began))
	if err := ringsOf(c, 3); err != nil {
		t.Fatal(err)
	}
	c.Network().Heal()
	began = time.Now()
	agree(t, c)
	took := time.Since(began)
	t.Logf("one ring %v after a split of %v", took.Round(time.Millisecond), *split)
	if took > 30*time.Second {
		t.Error("not within 30 s")
	}
	time.Sleep(time.Second) // for the peers to count who is back
	for _, how := range []string{"memory", "kademlia", "ring"} {
		sum := 0
		for _, n := range c.Live() {
			sum += metric(t, n, "chorus_ring_back_by_"+how+"_total")
		}
		t.Logf("%d times a peer came back by %s", sum, how)
	}
}

// ringsOf checks that every running peer sees a ring of so many.
func ringsOf(c *cluster.Cluster, want int) error {
	for _, n := range c.Live() {
		if peers, _ := n.Sees(); peers != want {
			return fmt.Errorf("%s sees %d peers, want %d", n.Name(), peers, want)
		}
	}
	return nil
}

// metric returns the value of one of a node's metrics.
func metric(t *testing.T, n *overlay.Node, name string) int {
	t.Helper()
	rec := httptest.NewRecorder()
	n.Metrics().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			v, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
