package overlay

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/store"
)

// joinTest starts a peer in a home, at a contact if there is one.
func joinTest(t *testing.T, contact *Node, cfg Config) *Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg.Listen, cfg.Shards, cfg.Create, cfg.Open = []string{"/ip4/127.0.0.1/tcp/0"}, 16, contact == nil, true
	if contact != nil {
		cfg.Peers = contact.Addrs()
	}
	n, err := Join(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// soon waits until check has nothing to complain about.
func soon(t *testing.T, what string, check func() error) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := check()
		if err == nil {
			t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// newestConfig returns the configuration of a shard of the highest epoch that a node
// holds: who has no seat may hold an old one.
func newestConfig(nodes []*Node, id store.ShardID) (c store.Config) {
	for _, n := range nodes {
		if known := n.shards.config(id); known.Epoch > c.Epoch {
			c = known
		}
	}
	return c
}

// alike reports whether the ring is these nodes, as each of them sees it, and all
// shards have a number of voters, or what their bank wants, who hold the same records under the same
// configuration and mean to change nothing, while nobody else holds any.
func alike(nodes []*Node, voters int) error {
	for _, n := range nodes {
		if view := n.view(); view.Len() != len(nodes) {
			return fmt.Errorf("%s sees %d peers of %d", n.Name(), view.Len(), len(nodes))
		}
	}
	ring := voters
	for id := range nodes[0].shards.all() {
		voters := ring
		if id.Bank(nodes[0].ring.Shards) != 0 {
			voters = min(nodes[0].copies(id), len(nodes))
		}
		var (
			c      = newestConfig(nodes, id)
			holder *Node
			seats  int
		)
		for _, n := range nodes {
			counts := n.disk.Counts(id)
			switch {
			case !c.IsMember(n.self):
				if counts.Live+counts.Tombstones > 0 {
					return fmt.Errorf("shard %d: %s has no seat and %d records", id, n.Name(), counts.Live)
				}
				continue
			case !n.shards.config(id).Equal(c):
				return fmt.Errorf("shard %d: %s goes by epoch %d, not %d", id, n.Name(), n.shards.config(id).Epoch, c.Epoch)
			case !n.mover.atRest(id):
				return fmt.Errorf("shard %d: %s moves it on from epoch %d", id, n.Name(), c.Epoch)
			case holder == nil:
				holder = n
			case n.disk.Fingerprint(id) != holder.disk.Fingerprint(id) || counts != holder.disk.Counts(id):
				return fmt.Errorf("shard %d: %s and %s differ: %+v, %+v", id, n.Name(), holder.Name(), counts, holder.disk.Counts(id))
			}
			seats++
		}
		if !c.Stable() || seats != voters || len(c.Voters) != voters {
			return fmt.Errorf("shard %d: %d voters, %d of them here, stable %t", id, len(c.Voters), seats, c.Stable())
		}
	}
	return nil
}

// Replicas become alike without anybody reading: those of a peer that was down
// during writes and deletes, and those of peers that take over from others,
// who drop their copies.
func TestReplicasBecomeAlike(t *testing.T) {
	cfg := Config{ReplaceAfter: time.Second, RepairEvery: time.Hour}
	home := t.TempDir()
	first := joinTest(t, nil, cfg)
	second := joinTest(t, first, cfg)
	cfg.Home = home
	third := joinTest(t, first, cfg)
	cfg.Home = ""
	// Where all are there all are to have it: what a busy one missed would wait for a repair.
	write := func(from, to int, w Level) {
		t.Helper()
		for i := from; i < to; i++ {
			err := errors.New("not tried")
			for try := 0; err != nil && try < 12; try++ { // a voter that is replaced meanwhile may not answer
				_, err = first.Put(t.Context(), fmt.Sprintf("k/%d", i), []byte("v"), WithW(w))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	write(0, 100, All)
	soon(t, "three replicas", func() error { return alike([]*Node{first, second, third}, 3) })

	third.Kill()
	write(50, 150, Quorum)
	for i := range 25 {
		if _, err := first.Delete(t.Context(), fmt.Sprintf("k/%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	third = joinTest(t, second, Config{Home: home, ReplaceAfter: cfg.ReplaceAfter, RepairEvery: cfg.RepairEvery})
	soon(t, "caught up after a restart", func() error { return alike([]*Node{first, second, third}, 3) })

	nodes := []*Node{first, second, third}
	for range 2 {
		nodes = append(nodes, joinTest(t, second, cfg))
		write(100, 200, All)
		soon(t, fmt.Sprintf("%d peers", len(nodes)), func() error { return alike(nodes, 3) })
	}
	for _, n := range nodes {
		for i := range 200 {
			_, err := n.Get(t.Context(), fmt.Sprintf("k/%d", i))
			if deleted := errors.Is(err, ErrNotFound); deleted != (i < 25) || err != nil && !deleted {
				t.Errorf("get k/%d at %s: %v", i, n.Name(), err)
			}
		}
	}
}

// A record that a read finds missing at a replica is written there.
func TestReadRepairs(t *testing.T) {
	cfg := Config{RepairEvery: time.Hour, ReplaceAfter: time.Hour}
	nodes := []*Node{joinTest(t, nil, cfg)}
	for range 2 {
		nodes = append(nodes, joinTest(t, nodes[0], cfg))
	}
	soon(t, "three replicas", func() error { return alike(nodes, 3) })
	rec := store.Record{Namespace: "", Key: "lonely", Position: store.Route("", "lonely"), Value: []byte("v")}
	if err := nodes[0].stamp(t.Context(), &rec); err != nil {
		t.Fatal(err)
	}
	id := store.Shard(rec.Position, 16)
	if _, err := nodes[0].disk.Apply(t.Context(), id, rec.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	if got, err := nodes[1].Get(t.Context(), "lonely", WithR(All)); err != nil || string(got.Value) != "v" {
		t.Fatalf("get: %q, %v", got.Value, err)
	}
	soon(t, "repaired by a read", func() error { return alike(nodes, 3) })
}

// A program that does not lend itself gets advice instead of a WebAssembly job.
func TestSubmitModuleWithoutInit(t *testing.T) {
	n := joinTest(t, nil, Config{})
	_, err := n.Submit(t.Context(), JobSpec{Code: Code{Module: []byte("\x00asm\x01\x00\x00\x00")}, Inputs: [][]byte{nil}})
	if codeOf(err) != "not-available" {
		t.Errorf("submit: %v", err)
	}
}

// The scheduler's peers follow the ring's view, the newest one.
func TestPeersSeen(t *testing.T) {
	peer := func(id string, seq uint64) chord.Peer {
		return chord.Peer{ID: chord.PeerID(id), Incarnation: 1, Seq: seq, Indexes: []uint32{1}}
	}
	var s peersSeen
	s.init()
	look := func(peers ...chord.Peer) string {
		lost, found, back := s.update(chord.NewView("me", append(peers, peer("me", 1))))
		changed := len(s.dirty) > 0
		if changed {
			<-s.dirty
		}
		return fmt.Sprint(lost, found, back, changed, len(s.present), len(s.former))
	}
	for i, tt := range []struct{ got, want string }{
		{look(peer("a", 1), peer("b", 1)), "[] [a b] [] true 2 0"},
		{look(peer("a", 1), peer("b", 1)), "[] [] [] false 2 0"},
		{look(peer("a", 1)), "[b] [] [] true 1 1"},
		{look(peer("a", 2)), "[] [a] [] true 1 1"}, // it was away between two looks
		{look(peer("a", 2), peer("b", 1)), "[] [b] [b] true 2 0"},
	} {
		if tt.got != tt.want {
			t.Errorf("look %d: %s, want %s", i, tt.got, tt.want)
		}
	}
}
