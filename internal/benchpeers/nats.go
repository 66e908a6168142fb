package main

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsCluster is three servers of NATS with a JetStream bucket on all of them,
// and clients of its leader. Every write is synced; by default NATS would sync
// every two minutes.
type natsCluster struct {
	servers []*server.Server
	conns   []*nats.Conn
	buckets []jetstream.KeyValue
	next    atomic.Uint64
}

func startNATS(ctx context.Context, dir string) (system, error) {
	const servers = 3
	ports, err := freePorts(2 * servers)
	if err != nil {
		return nil, err
	}
	var routes []*url.URL
	for i := range servers {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[servers+i])})
	}
	c := new(natsCluster)
	for i := range servers {
		name := fmt.Sprintf("n%d", i)
		s, err := server.NewServer(&server.Options{
			ServerName: name, Host: "127.0.0.1", Port: ports[i], NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(dir, name), SyncAlways: true,
			Cluster: server.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: ports[servers+i]}, Routes: slices.Clone(routes),
		})
		if err != nil {
			return nil, err
		}
		s.Start()
		c.servers = append(c.servers, s)
	}
	leader, err := c.makeBucket(ctx)
	if err != nil {
		return nil, err
	}
	for range clientsEach {
		for i, s := range c.servers {
			if s.Name() != leader {
				continue
			}
			conn, bucket, err := c.dial(ctx, i)
			if err != nil {
				return nil, err
			}
			c.conns, c.buckets = append(c.conns, conn), append(c.buckets, bucket)
		}
	}
	return c, nil
}

const bucketName = "bench"

// makeBucket makes the bucket once the servers have found each other, and
// returns the name of its leader.
func (c *natsCluster) makeBucket(ctx context.Context) (leader string, err error) {
	for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if leader, err = c.tryBucket(ctx); err == nil && leader != "" {
			return leader, nil
		}
	}
	return "", fmt.Errorf("make bucket: %w", err)
}

func (c *natsCluster) tryBucket(ctx context.Context) (leader string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := nats.Connect(c.servers[0].ClientURL())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return "", err
	}
	_, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucketName, Replicas: 3, Storage: jetstream.FileStorage})
	if err != nil {
		return "", err
	}
	stream, err := js.Stream(ctx, "KV_"+bucketName)
	if err != nil {
		return "", err
	}
	return stream.CachedInfo().Cluster.Leader, nil
}

func (c *natsCluster) dial(ctx context.Context, i int) (*nats.Conn, jetstream.KeyValue, error) {
	conn, err := nats.Connect(c.servers[i].ClientURL())
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, nil, err
	}
	bucket, err := js.KeyValue(ctx, bucketName)
	return conn, bucket, err
}

func (c *natsCluster) bucket() jetstream.KeyValue {
	return c.buckets[c.next.Add(1)%uint64(len(c.buckets))]
}

func (c *natsCluster) put(ctx context.Context, key string, value []byte) error {
	_, err := c.bucket().Put(ctx, key, value)
	return err
}

func (c *natsCluster) get(ctx context.Context, key string) error {
	_, err := c.bucket().Get(ctx, key)
	return err
}

func (c *natsCluster) calls(context.Context) (uint64, error) { return 0, nil }

func (c *natsCluster) close() error {
	for _, conn := range c.conns {
		conn.Close()
	}
	for _, s := range c.servers {
		s.Shutdown()
		s.WaitForShutdown()
	}
	return nil
}
