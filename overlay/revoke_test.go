package overlay

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
)

// gossiping makes peers compare decrees often.
func gossiping(c *Config) { c.decreeEvery = gossip }

const gossip = 200 * time.Millisecond

func closedRing(t *testing.T, peers int, edit func(*Config)) []*Node {
	t.Helper()
	var nodes []*Node
	for i := range peers {
		var first *Node
		if i > 0 {
			first = nodes[0]
		}
		n, err := inClosed(t, first, edit)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// calls reports whether a peer answers another one.
func calls(t *testing.T, from, to *Node) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := from.host.Call(ctx, to.self.Peer, rpc.Header{Method: wire.MethodPing}, nil)
	return err == nil
}

func inView(n *Node, id chord.PeerID) bool {
	_, ok := n.view().Peer(id)
	return ok
}

// Who is revoked loses what it has, at all peers, and the ring goes on without it.
func TestRevoke(t *testing.T) {
	nodes := closedRing(t, 4, gossiping)
	out := nodes[3]
	if _, err := out.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	r, err := nodes[0].Revoke(t.Context(), out.ID()[len(out.ID())-8:])
	if err != nil || r.ID != out.ID() || r.Told < 1 || r.Of < 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	for i, n := range nodes[:3] {
		eventually(t, fmt.Sprintf("peer %d keeps it out", i), func() bool { return !n.host.Connected(out.self.Peer) && !calls(t, out, n) && !calls(t, n, out) })
		eventually(t, fmt.Sprintf("peer %d has it out of its view", i), func() bool { return !inView(n, out.self.Peer) })
	}
	eventually(t, "the key is read", func() bool {
		got, err := nodes[1].Get(t.Context(), "k")
		return err == nil && string(got.Value) == "v"
	})
	eventually(t, "the one that is out can say so", func() bool {
		d, err := out.Doctor(t.Context())
		return err == nil && checkNamed(t, d, "pass").State == client.CheckFail
	})
	_, err = nodes[0].Revoke(t.Context(), out.ID())
	if err != nil {
		t.Errorf("once more: %v", err)
	}
	if _, err := inClosed(t, nodes[0], func(c *Config) { gossiping(c) }); err != nil {
		t.Errorf("a newcomer afterwards: %v", err)
	}
}

func TestRevokeRefuses(t *testing.T) {
	nodes := closedRing(t, 2, gossiping)
	inviter, err := inClosed(t, nodes[0], func(c *Config) {
		gossiping(c)
		c.Peers = []string{invite(t, nodes[0], client.InviteSpec{Inviter: true}).Token}
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all know the inviter", func() bool {
		for _, n := range append(nodes, inviter) {
			if n.door.digest() != nodes[0].door.digest() || !n.door.invites(inviter.door.key, nil) {
				return false
			}
		}
		return true
	})
	for _, tt := range []struct {
		name string
		at   *Node
		peer string
		code client.ErrorCode
	}{
		{"by a member", nodes[1], inviter.ID(), client.CodeRefused},
		{"of itself", nodes[0], nodes[0].ID(), client.CodeRefused},
		{"of an inviter, by an inviter", inviter, nodes[0].ID(), client.CodeRefused},
		{"of nobody", nodes[0], "zzzzzzzz", client.CodeNotFound},
	} {
		_, err := tt.at.Revoke(t.Context(), tt.peer)
		t.Run(tt.name, func(t *testing.T) { wantCode(t, err, tt.code) })
	}
	_, err = nodes[1].RotateKey(t.Context(), 0)
	wantCode(t, err, client.CodeRefused)
	_, err = nodes[0].RotateKey(t.Context(), time.Second)
	wantCode(t, err, client.CodeUsage)
	if _, err := inviter.Revoke(t.Context(), nodes[1].ID()); err != nil {
		t.Errorf("of a member, by an inviter that did not let it in: %v", err)
	}
}

// A peer is named by what peer ring shows of it, if that names one.
func TestPeerNamed(t *testing.T) {
	nodes := closedRing(t, 3, func(c *Config) { gossiping(c); c.Name = "twin" })
	other, err := inClosed(t, nodes[0], func(c *Config) { gossiping(c); c.Name = "other" })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are in the view", func() bool { return nodes[0].view().Len() == 4 })
	id := other.ID()
	for _, name := range []string{"other", id, id[len(id)-8:], id[:len(id)-3]} {
		if got, err := nodes[0].peerNamed(name); err != nil || got != other.self.Peer {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, code := range map[string]client.ErrorCode{"twin": client.CodeUsage, id[:8]: client.CodeUsage, "oth": client.CodeNotFound, "": client.CodeNotFound} {
		_, err := nodes[0].peerNamed(name)
		t.Run(name, func(t *testing.T) { wantCode(t, err, code) })
	}
}

// Who leaves shards without a majority of their voters is told so.
func TestRevokeStrands(t *testing.T) {
	for peers, want := range map[int][]int{2: {16}, 3: {0, 16}} {
		t.Run(fmt.Sprint(peers), func(t *testing.T) {
			nodes := closedRing(t, peers, gossiping)
			eventually(t, "all peers vote in all shards", func() bool {
				for id := range nodes[0].shards.all() {
					if c := nodes[0].shards.config(id); len(c.Voters) != peers || !c.Stable() {
						return false
					}
				}
				return true
			})
			for i, want := range want {
				r, err := nodes[0].Revoke(t.Context(), nodes[1+i].ID())
				if err != nil || r.Stranded != want {
					t.Errorf("after %d of %d: %d shards are stranded, want %d; %v", i+1, peers, r.Stranded, want, err)
				}
			}
		})
	}
}

// The ring's key is replaced, and its time runs out, and no call fails: neither on connections
// that there are nor on new ones.
func TestRotateLosesNoCall(t *testing.T) {
	var ahead atomic.Int64
	clocked := func(c *Config) {
		gossiping(c)
		c.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	nodes := closedRing(t, 3, clocked)
	var wg sync.WaitGroup
	var count atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for i, from := range nodes {
		to := nodes[(i+1)%len(nodes)]
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := from.host.Call(t.Context(), to.self.Peer, rpc.Header{Method: wire.MethodPing, Deadline: time.Now().Add(time.Minute)}, nil); err != nil {
					t.Errorf("call %d: %v", count.Load(), err)
					return
				}
				count.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	old := nodes[0].door.authority.Root()
	r, err := nodes[0].RotateKey(t.Context(), time.Hour)
	if err != nil || r.Inviters != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	more := func() { // calls go on
		have := count.Load()
		eventually(t, "calls go on", func() bool { return count.Load() > have+100 || t.Failed() })
	}
	all := func(what string, cond func(*Node) bool) {
		for i, n := range nodes {
			eventually(t, fmt.Sprintf("peer %d: %s", i, what), func() bool {
				n.door.mu.RLock()
				defer n.door.mu.RUnlock()
				return cond(n)
			})
		}
	}
	all("knows the new key", func(n *Node) bool { return n.door.authority.Root() != old })
	more()
	late, err := inClosed(t, nodes[0], clocked)
	if err != nil {
		t.Fatalf("a newcomer in the first half of the overlap: %v", err)
	}
	nodes = append(nodes, late)
	all("shows the old key still", func(n *Node) bool { return n.door.chain.Root == old })
	ahead.Store(int64(40 * time.Minute))
	all("is under the new key", func(n *Node) bool { return n.door.chain.Root != old })
	more()
	ahead.Store(int64(2 * time.Hour)) // certificates show the old key's passes still
	late, err = inClosed(t, nodes[0], clocked)
	if err != nil {
		t.Fatalf("a newcomer after the overlap: %v", err)
	}
	for i, n := range nodes {
		eventually(t, fmt.Sprintf("the newcomer and peer %d know each other", i), func() bool { return calls(t, late, n) && calls(t, n, late) })
	}
	for _, n := range nodes {
		n.host.Recheck()
	}
	more()
	stop()
	wg.Wait()
}

// A peer that was away while the ring's key was replaced, and for longer than both were good,
// comes back by itself.
func TestRotateWhileAway(t *testing.T) {
	var ahead atomic.Int64
	clocked := func(c *Config) {
		gossiping(c)
		c.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	nodes := closedRing(t, 2, clocked)
	home := t.TempDir()
	away, err := inClosed(t, nodes[0], func(c *Config) { clocked(c); c.Home, c.Engine = home, "memory" })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it remembers peers", func() bool { return away.view().Len() == 3 })
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[0].RotateKey(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(2 * time.Hour))
	eventually(t, "the others are under the new key", func() bool {
		return nodes[0].door.renewed() && nodes[1].door.renewed()
	})
	back, err := inClosed(t, nodes[0], func(c *Config) { clocked(c); c.Home, c.Engine, c.Peers = home, "memory", nil })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is back", func() bool { return calls(t, back, nodes[1]) && calls(t, nodes[0], back) && back.door.renewed() })
}

// renewed reports whether the peer's own pass is under the ring's newest key.
func (d *door) renewed() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.chain.Root == d.authority.Root() && len(d.authority.Inviters()) > 0
}

// The ring's new key is in the home, also if the process ended before the old one was gone.
func TestRotateKeepsKey(t *testing.T) {
	home := t.TempDir()
	at := func(c *Config) { gossiping(c); c.Home, c.Engine = home, "memory" }
	n, err := inClosed(t, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.RotateKey(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n, err = inClosed(t, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.RotateKey(t.Context(), time.Hour); err != nil {
		t.Errorf("with the key of the home: %v", err)
	}
	invite(t, n, client.InviteSpec{Inviter: true})
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
