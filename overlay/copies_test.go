package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// five starts a ring of five peers, of which the last has a home.
func five(t *testing.T, cfg Config) (nodes []*Node, again func() *Node) {
	t.Helper()
	first := joinTest(t, nil, cfg)
	nodes = []*Node{first}
	for range 3 {
		nodes = append(nodes, joinTest(t, first, cfg))
	}
	cfg.Home = t.TempDir()
	again = func() *Node { return joinTest(t, first, cfg) }
	nodes = append(nodes, again())
	soon(t, "five peers", func() error { return alike(nodes, 3) })
	return nodes, again
}

// Namespaces have the N that they were given, whatever is done with their keys,
// while peers die, return, join and leave.
func TestCopies(t *testing.T) {
	nodes, again := five(t, Config{ReplaceAfter: 5 * time.Second, RepairEvery: 500 * time.Millisecond})
	ctx := t.Context()
	want := map[string]int{"one": 1, "two": 2, "three": 3, "five": 5}
	follow := watching(t, nodes[1], client.WatchSpec{})
	if r, err := nodes[0].Put(ctx, "three/first", nil); err != nil || r.N != 3 {
		t.Fatalf("receipt %+v, %v", r, err)
	}
	for ns, copies := range want {
		if _, err := nodes[2].SetNamespace(ctx, Namespace{Name: ns, Replicas: copies}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	large := noise(7, 2*chunk.Size+5)
	for ns, copies := range want {
		for i, n := range nodes {
			key := fmt.Sprintf("%s/%d", ns, i)
			r, err := n.Put(ctx, key, []byte(key))
			if err != nil || r.N != copies || r.W != copies/2+1 || len(r.Acks) < r.W || len(r.Acks) > copies {
				t.Errorf("put %s: receipt %+v, %v", key, r, err)
			}
			keys = append(keys, key)
			if reg, err := n.CompareAndSwap(ctx, ns+"/register", uint64(i), []byte(key)); err != nil || reg.Version != uint64(i)+1 {
				t.Errorf("swap %s/register: %+v, %v", ns, reg, err)
			}
		}
		if r, err := nodes[3].Put(ctx, ns+"/gone", nil, WithW(All)); err != nil || r.W != copies || len(r.Acks) != copies {
			t.Errorf("put at all: %+v, %v", r, err)
		}
		if r, err := nodes[3].Delete(ctx, ns+"/gone"); err != nil || r.N != copies {
			t.Errorf("delete: %+v, %v", r, err)
		}
		if r, err := nodes[4].PutStream(ctx, ns+"/large", bytes.NewReader(large)); err != nil || r.N != copies || r.Chunks < 2 {
			t.Errorf("put stream: %+v, %v", r, err)
		}
		keys = append(keys, ns+"/large")
	}
	keys = append(keys, "three/first")
	slices.Sort(keys)
	shows := make(map[string]string)
	for _, key := range keys {
		shows[key] = client.EventPut
	}
	gather(t, follow, shows)
	whole := func(nodes []*Node) error {
		for _, n := range nodes {
			got, err := n.List(ctx, "", "", 0)
			if err != nil || !slices.Equal(got, keys) {
				return fmt.Errorf("list at %s: %q, %w; want %q", n.Name(), got, err, keys)
			}
			for ns, copies := range want {
				if rec, err := n.Get(ctx, ns+"/1"); err != nil || string(rec.Value) != ns+"/1" || len(rec.Holders) != copies {
					return fmt.Errorf("get %s/1 at %s: %+v, %w", ns, n.Name(), rec, err)
				}
				got, err := n.List(ctx, ns+"/", "", 0)
				if err != nil || !slices.Equal(got, under(keys, ns+"/")) {
					return fmt.Errorf("list of %s at %s: %q, %w", ns, n.Name(), got, err)
				}
				reg, err := n.ReadRegister(ctx, ns+"/register")
				if err != nil || reg.Version != 5 || string(reg.Value) != ns+"/4" {
					return fmt.Errorf("register of %s at %s: %+v, %w", ns, n.Name(), reg, err)
				}
				if b, err := getAll(t, n, ns+"/large"); err != nil || !bytes.Equal(b, large) {
					return fmt.Errorf("stream of %s at %s: %d bytes, %w", ns, n.Name(), len(b), err)
				}
				trace, err := n.Trace(ctx, ns+"/1")
				if err != nil || trace.Replicas != copies || len(trace.Voters) != copies {
					return fmt.Errorf("trace of %s at %s: %+v, %w", ns, n.Name(), trace, err)
				}
			}
			s, err := n.Status(ctx)
			if err != nil || s.UnderReplicated != 0 {
				return fmt.Errorf("status at %s: %d under-replicated, %w", n.Name(), s.UnderReplicated, err)
			}
		}
		return alike(nodes, 3)
	}
	soon(t, "all is there", func() error { return whole(nodes) })

	if testing.Short() {
		return
	}
	// The death of a peer takes away the keys that it alone has, and no others.
	alone := holder(ctx, t, nodes, "one/")
	nodes[4].Kill()
	for _, ns := range []string{"three", "five"} {
		for i := range nodes {
			key := fmt.Sprintf("%s/%d", ns, i)
			soon(t, key, func() error { _, err := nodes[0].Get(ctx, key); return err })
		}
	}
	if _, err := nodes[0].Get(ctx, "one/"+alone); !errors.Is(err, ErrQuorum) {
		t.Errorf("a key whose one replica is dead: %v", err)
	}
	nodes[4] = again()
	soon(t, "all is back", func() error { return whole(nodes) })

	// Movement.
	nodes = append(nodes, joinTest(t, nodes[0], Config{ReplaceAfter: 5 * time.Second, RepairEvery: 500 * time.Millisecond}))
	soon(t, "a sixth has its share", func() error { return whole(nodes) })
	leave, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := nodes[4].Leave(leave); err != nil {
		t.Fatal(err)
	}
	nodes = slices.Delete(nodes, 4, 5)
	soon(t, "the share of one who left is with the others", func() error { return whole(nodes) })
}

// under returns the keys that begin with a prefix.
func under(keys []string, prefix string) (list []string) {
	for _, key := range keys {
		if len(key) > len(prefix) && key[:len(prefix)] == prefix {
			list = append(list, key)
		}
	}
	return list
}

// holder puts a key under a prefix that the last node alone keeps, and returns what
// follows the prefix. It deletes the others.
func holder(ctx context.Context, t *testing.T, nodes []*Node, prefix string) string {
	t.Helper()
	last := nodes[len(nodes)-1]
	for i := 0; ; i++ {
		name := fmt.Sprintf("alone%d", i)
		r, err := nodes[0].Put(ctx, prefix+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nodes[0].Delete(ctx, prefix+name); err != nil {
			t.Fatal(err)
		}
		if r.Acks[0].Peer == last.ID() {
			return name
		}
	}
}

// insist repeats what may fail for want of time.
func insist(t *testing.T, try func() error) {
	t.Helper()
	for began := time.Now(); ; {
		err := try()
		if err == nil {
			return
		}
		if time.Since(began) > time.Minute {
			t.Error(err)
			return
		}
	}
}

// However writers and those who give a namespace its N meet, the namespace has one
// N, and what was acknowledged is there.
func TestCopiesDecidedOnce(t *testing.T) {
	nodes, _ := five(t, Config{})
	ctx := t.Context()
	decided, refused := 0, 0
	for round := range 12 {
		ns := fmt.Sprintf("race%d", round)
		for _, n := range nodes { // opinions that are about to be wrong
			if _, err := n.Get(ctx, ns+"/none"); !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
		}
		var (
			mu    sync.Mutex
			wg    sync.WaitGroup
			acked = make(map[string]int)
		)
		for i, n := range nodes {
			wg.Go(func() {
				time.Sleep(time.Duration(round) * 4 * time.Millisecond) // so that now these, now those come first
				for j := range 4 {
					key := fmt.Sprintf("%s/%d.%d", ns, i, j)
					if j == 3 {
						insist(t, func() error {
							reg, err := n.CompareAndSwap(ctx, key, 0, []byte(key))
							if errors.Is(err, ErrConflict) && string(reg.Value) == key {
								return nil // an attempt that was not answered in time
							}
							return err
						})
						continue
					}
					insist(t, func() error {
						r, err := n.Put(ctx, key, []byte(key))
						if err == nil {
							mu.Lock()
							defer mu.Unlock()
							acked[key] = r.N
						}
						return err
					})
				}
			})
		}
		for i, copies := range []int{5, 1, 5} {
			wg.Go(func() {
				insist(t, func() error {
					_, err := nodes[i].SetNamespace(ctx, Namespace{Name: ns, Replicas: copies})
					if fixed := codeOf(err) == string(client.CodeReplicasFixed); err != nil && !fixed {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						decided++
					} else {
						refused++
					}
					return nil
				})
			})
		}
		wg.Wait()
		got, err := nodes[3].Namespace(ctx, ns)
		if err != nil {
			t.Fatal(err)
		}
		for key, copies := range acked {
			if copies != got.Replicas {
				t.Errorf("%s was put with %d replicas, the namespace has %d", key, copies, got.Replicas)
			}
		}
		for i, n := range nodes {
			for key := range acked {
				if rec, err := n.Get(ctx, key); err != nil || string(rec.Value) != key {
					t.Errorf("get %s: %+v, %v", key, rec, err)
				}
			}
			key := fmt.Sprintf("%s/%d.3", ns, i)
			if reg, err := n.ReadRegister(ctx, key); err != nil || reg.Version != 1 || string(reg.Value) != key {
				t.Errorf("register %s: %+v, %v", key, reg, err)
			}
			if keys, err := n.List(ctx, ns+"/", "", 0); err != nil || len(keys) != len(acked) {
				t.Errorf("list: %d keys of %d, %v", len(keys), len(acked), err)
			}
		}
	}
	t.Logf("%d decided, %d refused", decided, refused)
	if all, err := nodes[0].List(ctx, "", "", 0); err != nil || len(all) != 12*5*3 {
		t.Errorf("list: %d keys, %v", len(all), err)
	}
}

// What has keys keeps its N, and so does what was given one. What was given up is
// finished, or undone, by whoever comes next.
func TestCopiesRefused(t *testing.T) {
	nodes := trio(t, Config{})
	n, ctx := nodes[0], t.Context()
	set := func(name string, copies int) error {
		_, err := n.SetNamespace(ctx, Namespace{Name: name, Replicas: copies})
		return err
	}
	for _, copies := range []int{-1, store.MaxN + 1} {
		if err := set("ns", copies); codeOf(err) != string(client.CodeUsage) {
			t.Errorf("%d replicas: %v", copies, err)
		}
	}
	fixed := func(name string, copies int) {
		t.Helper()
		if err := set(name, copies); codeOf(err) != string(client.CodeReplicasFixed) {
			t.Errorf("%s with %d replicas: %v", name, copies, err)
		}
	}
	if err := set("ns", 1); err != nil {
		t.Fatal(err)
	}
	fixed("ns", 3)
	fixed("ns", 2)
	if err := set("ns", 0); err != nil {
		t.Error(err)
	}
	if got, err := nodes[1].Namespace(ctx, "ns"); err != nil || got.Replicas != 1 {
		t.Errorf("%+v, %v", got, err)
	}

	if _, err := n.Put(ctx, "full/1", nil); err != nil {
		t.Fatal(err)
	}
	fixed("full", 1)
	if r, err := n.Put(ctx, "full/2", nil); err != nil || r.N != 3 {
		t.Errorf("after the refusal: %+v, %v", r, err)
	}
	for _, key := range []string{"full/1", "full/2"} {
		if _, err := n.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if err := set("full", 1); err != nil {
		t.Errorf("without keys again: %v", err)
	}
	if _, err := n.CompareAndSwap(ctx, "swapped/1", 0, nil); err != nil {
		t.Fatal(err)
	}
	fixed("swapped", 1)

	// Whoever began it died, before the last step or after it gave up.
	if err := n.openBank(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for _, finish := range []bool{true, false} {
		name := fmt.Sprintf("half%t", finish)
		at, err := n.clock.next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		has, _, err := n.namespaces.decide(ctx, name, copies{}, copiesJSON{Want: 1, At: at})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.fenceOff(ctx, name, at); err != nil {
			t.Fatal(err)
		}
		want := 1
		if finish {
			// A replica that no fence has reached yet would keep what the put below leaves there.
			soon(t, "all replicas fence it off", func() error {
				for _, r := range nodes {
					if !r.fences.keepOut(store.Shard(store.Route(name, "k"), n.ring.Shards), name, "k") {
						return fmt.Errorf("%s does not", r.Name())
					}
				}
				return nil
			})
			soon(t, "a put says that nobody goes on", func() error {
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, err := nodes[2].Put(short, name+"/k", nil)
				if codeOf(err) != string(client.CodeNamespaceClosed) {
					return fmt.Errorf("not closed: %w", err)
				}
				return nil
			})
			if _, err := nodes[1].SetNamespace(ctx, Namespace{Name: name, Replicas: 1}); err != nil {
				t.Fatal(err)
			}
		} else {
			want = 3
			if mine, err := n.giveUp(ctx, name, has); err != nil || !mine {
				t.Fatal(mine, err)
			}
		}
		if r, err := nodes[2].Put(ctx, name+"/k", nil); err != nil || r.N != want {
			t.Errorf("then: %+v, %v", r, err)
		}
	}
}
