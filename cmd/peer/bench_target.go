package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// benchTarget is what a benchmark of keys loads.
type benchTarget struct {
	peers int
	via   string
	put   func(ctx context.Context, key string, value []byte) error
	get   func(ctx context.Context, key string) error
	calls func(ctx context.Context) (uint64, error) // between peers, so far
	close func() error
}

// ownTarget is the first peer of a new ring, whose folder goes with it.
func ownTarget(ctx context.Context, f benchKVFlags) (target *benchTarget, err error) {
	dir, err := os.MkdirTemp("", "chorus-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the ring: %w", err)
	}
	var ring *cluster.Cluster
	stop := func() error {
		var err error
		if ring != nil {
			err = ring.Close()
		}
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	if ring, err = cluster.Start(ctx, cluster.Settings{Peers: f.peers, Dir: dir}); err != nil {
		return nil, err
	}
	if err := settle(ctx, ring); err != nil {
		return nil, err
	}
	node := ring.Nodes()[0]
	w, r := overlay.WithW(client.Level(f.w.value)), overlay.WithR(client.Level(f.r.value))
	return &benchTarget{
		peers: f.peers,
		via:   "process",
		put: func(ctx context.Context, key string, value []byte) error {
			_, err := node.Put(ctx, key, value, w)
			return err
		},
		get: func(ctx context.Context, key string) error {
			_, err := node.Get(ctx, key, r)
			return err
		},
		calls: func(ctx context.Context) (uint64, error) {
			var sum uint64
			for _, node := range ring.Nodes() {
				status, err := node.Status(ctx)
				if err != nil {
					return 0, err
				}
				sum += status.Calls
			}
			return sum, nil
		},
		close: stop,
	}, nil
}

// settle waits until the peers of a new ring agree and its shards have as many
// voters as they shall have.
func settle(ctx context.Context, ring *cluster.Cluster) error {
	const (
		probes   = 500 // meet most shards
		patience = time.Minute
	)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := ring.Agree(ctx); err != nil {
		return err
	}
	nodes := ring.Nodes()
	for i := range probes {
		for {
			receipt, err := nodes[0].Put(ctx, fmt.Sprintf("probe/%d", i), nil)
			if err != nil {
				return err
			}
			if receipt.N == min(len(nodes), replicas) {
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

// runningTarget is the running peer.
func (c *console) runningTarget(ctx context.Context, f benchKVFlags) (*benchTarget, error) {
	cl, err := client.Dial(ctx, c.home)
	if err != nil {
		return nil, err
	}
	status, err := cl.Status(ctx)
	if err != nil {
		cl.Close()
		return nil, err
	}
	put := []client.PutOption{client.WithW(client.Level(f.w.value)), client.WithTTL(10 * time.Minute)}
	get := client.WithR(client.Level(f.r.value))
	return &benchTarget{
		peers: status.Peers,
		via:   "socket",
		put: func(ctx context.Context, key string, value []byte) error {
			_, err := cl.Put(ctx, key, value, put...)
			return err
		},
		get: func(ctx context.Context, key string) error {
			_, err := cl.Get(ctx, key, get)
			return err
		},
		calls: func(ctx context.Context) (uint64, error) {
			status, err := cl.Status(ctx)
			return status.Calls, err
		},
		close: cl.Close,
	}, nil
}
