package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// etcdCluster is three members of etcd, and clients of their leader: a get is
// linearizable, a put is on the disks of two.
type etcdCluster struct {
	members []*embed.Etcd
	clients []*clientv3.Client
	next    atomic.Uint64
}

// clientsEach is how many connections the callers share.
const clientsEach = 4

func startEtcd(ctx context.Context, dir string) (system, error) {
	const members = 3
	ports, err := freePorts(2 * members)
	if err != nil {
		return nil, err
	}
	local := func(port int) url.URL { return url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)} }
	all := ""
	for i := range members {
		u := local(ports[i])
		all += fmt.Sprintf(",n%d=%s", i, u.String())
	}
	c := new(etcdCluster)
	for i := range members {
		cfg := embed.NewConfig()
		cfg.Name = fmt.Sprintf("n%d", i)
		cfg.Dir = filepath.Join(dir, cfg.Name)
		cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{local(ports[i])}, []url.URL{local(ports[i])}
		cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{local(ports[members+i])}, []url.URL{local(ports[members+i])}
		cfg.InitialCluster = all[1:]
		cfg.LogLevel, cfg.LogOutputs = "panic", []string{"/dev/null"}
		member, err := embed.StartEtcd(cfg)
		if err != nil {
			return nil, err
		}
		c.members = append(c.members, member)
	}
	leader := 0
	for i, m := range c.members {
		select {
		case <-m.Server.ReadyNotify():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if m.Server.Leader() == m.Server.MemberID() {
			leader = i
		}
	}
	for range clientsEach {
		u := local(ports[members+leader])
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{u.Host}})
		if err != nil {
			return nil, err
		}
		c.clients = append(c.clients, client)
	}
	return c, nil
}

// freePorts returns ports of loopback that were free a moment ago.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (c *etcdCluster) client() *clientv3.Client { return c.clients[c.next.Add(1)%clientsEach] }

func (c *etcdCluster) put(ctx context.Context, key string, value []byte) error {
	_, err := c.client().Put(ctx, key, string(value))
	return err
}

func (c *etcdCluster) get(ctx context.Context, key string) error {
	r, err := c.client().Get(ctx, key)
	if err == nil && len(r.Kvs) != 1 {
		err = errors.New("not found")
	}
	return err
}

func (c *etcdCluster) calls(context.Context) (uint64, error) { return 0, nil }

func (c *etcdCluster) close() error {
	var errs []error
	for _, client := range c.clients {
		errs = append(errs, client.Close())
	}
	for _, m := range c.members {
		m.Close()
	}
	return errors.Join(errs...)
}
