package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// A peer that was down while the others wrote catches up after its restart
// although nobody reads: what it then holds alone is complete.
func TestRestartCatchesUp(t *testing.T) {
	t.Parallel()
	const keys = 60
	c, ctx := start(t, cluster.Settings{Peers: 3, Dir: t.TempDir()})
	put(t, ctx, c.Live(), "before/", keys)
	settled(t, ctx, c, "before/", keys, 3)
	// Two absences, so that the number of keys it holds only grows on its way
	// back from the first, and only shrinks after the second.
	var back *overlay.Node
	for _, missed := range []struct {
		keys  int // in the end
		write func()
	}{
		{2 * keys, func() { put(t, ctx, c.Live(), "down/", keys) }},
		{keys + keys/2, func() {
			for i := range keys / 2 {
				if _, err := c.Live()[0].Delete(ctx, fmt.Sprintf("before/%d", i)); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		if err := c.Kill(2); err != nil {
			t.Fatal(err)
		}
		missed.write()
		var err error
		if back, err = c.Restart(ctx, 2); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the peer that was down holds what the others do", func() error {
			s, err := back.Status(ctx)
			if err != nil || s.Keys != missed.keys {
				return fmt.Errorf("%d keys of %d, %w", s.Keys, missed.keys, err)
			}
			return nil
		})
	}
	// Alone, it answers from its own disk.
	for _, i := range []int{0, 1} {
		if err := c.Kill(i); err != nil {
			t.Fatal(err)
		}
	}
	for i := range keys {
		key := fmt.Sprintf("down/%d", i)
		if rec, err := back.Get(ctx, key, overlay.WithR(overlay.One)); err != nil || string(rec.Value) != "value of "+key {
			t.Errorf("get %s at the peer that was down: %q, %v", key, rec.Value, err)
		}
		_, err := back.Get(ctx, fmt.Sprintf("before/%d", i), overlay.WithR(overlay.One))
		if deleted := errors.Is(err, overlay.ErrNotFound); deleted != (i < keys/2) {
			t.Errorf("get before/%d at the peer that was down: %v", i, err)
		}
	}
}

// A peer that lost its disk comes back with its identity and nothing else. It
// counts as another voter, gets its records anew, and nothing is lost though it
// once had acknowledged them.
func TestRestartWithoutDisk(t *testing.T) {
	t.Parallel()
	const keys = 60
	c, ctx := start(t, cluster.Settings{Peers: 3, Dir: t.TempDir()})
	put(t, ctx, c.Live(), "disk/", keys)
	settled(t, ctx, c, "disk/", keys, 3)
	x := newTraffic(t, c, 2)
	for _, i := range []int{2, 0} {
		x.goOn(10)
		id := c.Nodes()[i].ID()
		// Not killed: what a crashed store still has open must not meet its successor.
		if err := c.Nodes()[i].Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(c.Home(i), "data")); err != nil {
			t.Fatal(err)
		}
		back, err := c.Restart(ctx, i)
		if err != nil {
			t.Fatal(err)
		}
		if back.ID() != id {
			t.Errorf("came back as %s, was %s", back.ID(), id)
		}
		agree(t, c)
		eventually(t, "it holds all keys again", func() error {
			s, err := back.Status(ctx)
			if err != nil || s.Keys < keys || s.UnderReplicated != 0 {
				return fmt.Errorf("%d keys of %d, %d lack a replica, %w", s.Keys, keys, s.UnderReplicated, err)
			}
			return nil
		})
	}
	x.goOn(10)
	x.endClean()
	for _, node := range c.Live() {
		readAll(t, ctx, node, "disk/", keys)
	}
}

// All peers of a ring stop and start again, at once and told of nobody: their
// homes know the ring.
func TestRestartAll(t *testing.T) {
	long(t)
	t.Parallel()
	const keys = 60
	c, ctx := start(t, cluster.Settings{Peers: 5, Dir: t.TempDir()})
	put(t, ctx, c.Live(), "all/", keys)
	ids := make(map[string]bool)
	listen := make([][]string, 5)
	for i, node := range c.Nodes() {
		ids[node.ID()] = true
		for _, addr := range node.Addrs() {
			listen[i] = append(listen[i], strings.TrimSuffix(addr, "/p2p/"+node.ID()))
		}
	}
	began := time.Now()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("five peers stopped in %v", took)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}

	nodes := make([]*overlay.Node, 5)
	errs := make([]error, 5)
	began = time.Now()
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			nodes[i], errs[i] = overlay.Join(ctx, overlay.Config{Home: c.Home(i), Listen: listen[i]})
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, node := range nodes {
			if node != nil {
				if err := node.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one ring again", func() error {
		for _, node := range nodes {
			if r, err := node.Ring(ctx); err != nil || r.Of != 5 || r.Agree != 5 {
				return fmt.Errorf("%s: %d of %d, %w", node.ID(), r.Agree, r.Of, err)
			}
		}
		return nil
	})
	t.Logf("all back after %v", time.Since(began).Round(time.Millisecond))
	for _, node := range nodes {
		if !ids[node.ID()] {
			t.Errorf("%s was not in the ring before", node.ID())
		}
		readAll(t, ctx, node, "all/", keys)
	}
	put(t, ctx, nodes, "all/", keys)
}

// A peer that belongs to a ring comes back although the address that it was
// given does not answer; one that belongs to none says that nobody answers.
func TestRestartWithoutContact(t *testing.T) {
	long(t)
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 3, Dir: t.TempDir()})
	put(t, ctx, c.Live(), "c/", 20)
	contact := c.Nodes()[0].Addrs()
	for _, i := range []int{0, 1} {
		if i == 1 {
			if err := c.Nodes()[i].Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := c.Kill(i); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	back, err := overlay.Join(ctx, overlay.Config{Home: c.Home(1), Peers: contact, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	t.Logf("came back after %v", time.Since(began).Round(time.Millisecond))
	readAll(t, ctx, back, "c/", 20)

	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	began = time.Now()
	_, err = overlay.Join(short, overlay.Config{Peers: contact, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if e := client.AsError(err); e == nil || e.Code != client.CodeNoAnswer {
		t.Errorf("join by an address that does not answer: %v", err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("it took %v to notice", took)
	}
}

// A ring of one is back at once: it has nobody to wait for.
func TestRestartAlone(t *testing.T) {
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 1, Dir: t.TempDir()})
	put(t, ctx, c.Live(), "one/", 20)
	if err := c.Kill(0); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	back, err := c.Restart(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("came back after %v", time.Since(began).Round(time.Millisecond))
	readAll(t, ctx, back, "one/", 20)
}

// Close is idempotent and quick, refuses calls afterwards and frees the home;
// while it runs, nobody else may have that.
func TestCloseFreesHome(t *testing.T) {
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 2, Dir: t.TempDir()})
	node := c.Nodes()[1]
	again := func() error {
		other, err := overlay.Join(ctx, overlay.Config{Home: c.Home(1), Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
		if err == nil {
			err = other.Close()
		}
		return err
	}
	if err := again(); !errors.Is(err, overlay.ErrHomeLocked) {
		t.Errorf("a second peer in a home: %v", err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := node.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > patience {
		t.Errorf("close took %v", took)
	}
	node.Kill()
	select {
	case <-node.Done():
	default:
		t.Error("Done is open after Close")
	}
	for what, err := range map[string]error{
		"put":    second(node.Put(ctx, "k", nil)),
		"get":    second(node.Get(ctx, "k")),
		"delete": second(node.Delete(ctx, "k")),
		"list":   second(node.List(ctx, "", "", 0)),
		"submit": second(node.Submit(ctx, overlay.JobSpec{Code: overlay.Code{Func: "echo"}, Inputs: [][]byte{nil}})),
		"job":    second(node.Job(strings.Repeat("0", 32))),
		"wait":   second(node.Wait(ctx, strings.Repeat("0", 32))),
		"cancel": node.CancelJob(strings.Repeat("0", 32)),
		"status": second(node.Status(ctx)),
		"ring":   second(node.Ring(ctx)),
		"leave":  node.Leave(ctx),
	} {
		if !errors.Is(err, overlay.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	if err := again(); err != nil {
		t.Errorf("start again: %v", err)
	}
}
