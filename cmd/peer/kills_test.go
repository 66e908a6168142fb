package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

var kills = flag.Int("kills", 4, "how many processes TestKills kills")

// Processes are killed with -9, one or two at a time, and started again, while
// others write and read: no acknowledged write is lost, no read is stale, and what a
// receipt says to be on a peer's disk is found there while the peer is dead.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kills many processes")
	}
	t.Parallel()
	x := newKilling(t, "anna", "bert", "carl", "dora", "emil")
	rng := x.rng()
	stop := x.traffic(4, 2)
	for killed := 0; killed < *kills; {
		down := rng.Perm(len(x.peers))[:1+rng.IntN(2)]
		for _, i := range down {
			if code := x.peers[i].signal(syscall.SIGKILL); code != -1 {
				t.Fatalf("exit status %d of a killed process", code)
			}
			killed++
		}
		if rng.IntN(4) == 0 {
			x.inspect(x.peers[down[0]])
		}
		time.Sleep(time.Duration(rng.Int64N(int64(700 * time.Millisecond))))
		for _, i := range down {
			x.peers[i] = x.peers[i].start()
		}
		if rng.IntN(8) == 0 {
			agreed(t, x.peers)
		}
	}
	agreed(t, x.peers)
	stop()
	x.readAll()
	for _, p := range x.peers {
		p.signal(syscall.SIGKILL)
		x.inspect(p)
	}
	x.report()
}

// killing is the traffic of a test that kills, and what it was told.
type killing struct {
	t     *testing.T
	peers []*process // of the goroutine that kills
	links []link
	ids   map[string]string // by home

	acked, unacked, reads, unread atomic.Int64
	inspected                     int

	mu sync.Mutex
	// keys hold, by index, the last number of each key that was acknowledged.
	keys []int
	// promised holds, by ID of a peer and key, the last version that it stored
	// according to a receipt.
	promised map[string]map[string]store.Version
}

// newKilling starts a ring of processes.
func newKilling(t *testing.T, names ...string) *killing {
	t.Helper()
	x := &killing{t: t, peers: startPeers(t, names...), promised: make(map[string]map[string]store.Version)}
	x.links, x.ids = make([]link, len(x.peers)), make(map[string]string)
	for i, p := range x.peers {
		x.links[i].home = p.home
		var status struct{ ID string }
		p.doc(&status, "status")
		x.ids[p.home] = status.ID
	}
	return x
}

// rng returns a source of choices, and logs its seed.
func (x *killing) rng() *rand.Rand {
	seed := rand.Uint64()
	x.t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// readAll reads every key from all of its replicas.
func (x *killing) readAll() {
	for i := range x.keys {
		x.read(&x.links[i%len(x.links)], i, client.WithR(client.LevelAll))
	}
}

// report logs what was done, which must be something.
func (x *killing) report() {
	x.t.Helper()
	x.t.Logf("%d writes of %d keys acknowledged, %d failed; %d reads, %d failed; %d records looked up on disks",
		x.acked.Load(), len(x.keys), x.unacked.Load(), x.reads.Load(), x.unread.Load(), x.inspected)
	if x.acked.Load() == 0 || x.reads.Load() == 0 || x.inspected == 0 {
		x.t.Error("nothing was checked")
	}
}

// link is a connection to a peer that comes and goes.
type link struct {
	home string

	mu sync.Mutex
	c  *client.Client
}

// client returns a connection, a new one if the last has ended.
func (l *link) client(ctx context.Context) (*client.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c != nil {
		select {
		case <-l.c.Done():
			_ = l.c.Close() // which has ended already
			l.c = nil
		default:
			return l.c, nil
		}
	}
	c, err := client.Dial(ctx, l.home)
	if err != nil {
		return nil, err
	}
	l.c = c
	return c, nil
}

// traffic starts writers, each of which makes new keys and counts up old ones, and
// readers. What it returns ends them.
func (x *killing) traffic(writers, readers int) (stop func()) {
	var (
		wg   sync.WaitGroup
		done = make(chan struct{})
	)
	loop := func(act func(*link)) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(2 * time.Millisecond):
					act(&x.links[rand.IntN(len(x.links))])
				}
			}
		})
	}
	for range writers {
		var own []int // nobody else writes them
		loop(func(l *link) {
			if len(own) == 0 || rand.IntN(4) == 0 {
				own = append(own, x.newKey())
			}
			x.write(l, own[rand.IntN(len(own))])
		})
	}
	for range readers {
		loop(func(l *link) {
			if i, ok := x.anyKey(); ok {
				x.read(l, i)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		close(done)
		wg.Wait()
	})
	x.t.Cleanup(stop)
	return stop
}

func keyName(i int) string { return fmt.Sprintf("kill/%d", i) }

func (x *killing) newKey() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.keys = append(x.keys, 0)
	return len(x.keys) - 1
}

func (x *killing) anyKey() (i int, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.keys) == 0 {
		return 0, false
	}
	return rand.IntN(len(x.keys)), true
}

func (x *killing) floor(i int) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.keys[i]
}

// write counts a key up.
func (x *killing) write(l *link, i int) {
	c, err := l.client(x.t.Context())
	if err != nil {
		return // the peer is down
	}
	n := x.floor(i) + 1
	r, err := c.Put(x.t.Context(), keyName(i), strconv.AppendInt(nil, int64(n), 10))
	if err != nil {
		x.unacked.Add(1)
		return
	}
	version, err := store.ParseVersion(r.Version)
	if err != nil || len(r.Acks) < r.W || r.W <= r.N/2 {
		x.t.Errorf("receipt %+v: %v", r, err)
	}
	x.acked.Add(1)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.keys[i] = n
	for _, a := range slices.Concat(r.Acks, r.Joining) {
		if !a.Synced {
			x.t.Errorf("an acknowledgement without a sync: %+v", r)
		}
		if x.promised[a.Peer] == nil {
			x.promised[a.Peer] = make(map[string]store.Version)
		}
		x.promised[a.Peer][keyName(i)] = version
	}
}

// read checks that a key is not older than what was acknowledged before. A write
// whose fate is unknown may be read, and not be read again before it has been.
func (x *killing) read(l *link, i int, opts ...client.GetOption) {
	c, err := l.client(x.t.Context())
	if err != nil {
		return
	}
	floor, got := x.floor(i), 0
	rec, err := c.Get(x.t.Context(), keyName(i), opts...)
	switch {
	case err == nil:
		if got, err = strconv.Atoi(string(rec.Value)); err != nil {
			x.t.Errorf("%s is %q", keyName(i), rec.Value)
		}
	case !errors.Is(err, client.ErrNotFound):
		x.unread.Add(1)
		if len(opts) > 0 {
			x.t.Errorf("at the end: get %s: %v", keyName(i), err)
		}
		return
	}
	if got < floor {
		x.t.Errorf("%s at %s is %d, but %d was acknowledged", keyName(i), filepath.Base(l.home), got, floor)
	}
	x.reads.Add(1)
}

// inspect opens the disk of a dead peer, and looks for what receipts say to be on it.
func (x *killing) inspect(p *process) {
	x.t.Helper()
	d, err := disk.Open(x.t.Context(), filepath.Join(p.home, bootstrap.DataDir), disk.Options{Shards: 256})
	if err != nil {
		x.t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			x.t.Error(err)
		}
	}()
	votes := votesOf(x.t, d)
	x.mu.Lock()
	defer x.mu.Unlock()
	for key, want := range x.promised[x.ids[p.home]] {
		ns, name := store.SplitKey(key)
		shard := store.Shard(store.Route(ns, name), d.Shards())
		if !votes[shard] {
			continue // it moved on
		}
		rec, found, err := d.Get(shard, ns, name)
		if err != nil || !found || rec.Version.Less(want) {
			x.t.Errorf("%s acknowledged %s of version %v, and has %v (%t, %v)", filepath.Base(p.home), key, want, rec.Version, found, err)
		}
		x.inspected++
	}
}

// votesOf returns the shards of which the owner of a disk is a voter as far as it knows.
func votesOf(t *testing.T, d *disk.Store) map[store.ShardID]bool {
	t.Helper()
	registers, err := d.LoadRegisters()
	if err != nil {
		t.Fatal(err)
	}
	votes := make(map[store.ShardID]bool)
	for _, r := range registers {
		state, err := store.DecodeState(r.State)
		if err != nil {
			t.Fatal(err)
		}
		votes[r.Shard] = slices.ContainsFunc(state.Config.Voters, func(v store.Voter) bool { return v.Incarnation == d.Incarnation() })
	}
	return votes
}
