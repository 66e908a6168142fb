package main

import (
	"context"
	"fmt"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
)

// chorus is a ring of peers with disks; the first takes the operations.
type chorus struct {
	ring *cluster.Cluster
	node *overlay.Node
}

func startChorus(peers int) func(context.Context, string) (system, error) {
	return func(ctx context.Context, dir string) (system, error) {
		ring, err := cluster.Start(ctx, cluster.Settings{Peers: peers, Dir: dir})
		if err != nil {
			return nil, err
		}
		c := &chorus{ring: ring, node: ring.Nodes()[0]}
		if err := ring.Agree(ctx); err != nil {
			return nil, err
		}
		return c, c.settle(ctx, min(peers, 3))
	}
}

// settle waits until keys have all their replicas, so that none is moving.
func (c *chorus) settle(ctx context.Context, replicas int) error {
	const probes = 500 // meet most shards
	for i := range probes {
		for {
			r, err := c.node.Put(ctx, fmt.Sprintf("probe-%d", i), nil)
			if err != nil {
				return err
			}
			if r.N == replicas {
				break
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func (c *chorus) put(ctx context.Context, key string, value []byte) error {
	_, err := c.node.Put(ctx, key, value)
	return err
}

func (c *chorus) get(ctx context.Context, key string) error {
	_, err := c.node.Get(ctx, key)
	return err
}

func (c *chorus) calls(ctx context.Context) (sum uint64, err error) {
	for _, n := range c.ring.Nodes() {
		status, err := n.Status(ctx)
		if err != nil {
			return 0, err
		}
		sum += status.Calls
	}
	return sum, nil
}

func (c *chorus) close() error { return c.ring.Close() }
