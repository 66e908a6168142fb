package overlay

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/store"
)

// newDamageTrial forms a ring of three peers, the last of which has a disk, and returns
// with it a key whose shard the last one leads.
func newDamageTrial(t *testing.T, cfg Config) (d *damageTest, k int, id store.ShardID) {
	d = &damageTest{t: t, cfg: cfg}
	d.nodes = []*Node{joinTest(t, nil, d.cfg)}
	d.nodes = append(d.nodes, joinTest(t, d.nodes[0], d.cfg))
	d.cfg.Home, d.cfg.Engine = t.TempDir(), "badger4"
	d.nodes = append(d.nodes, joinTest(t, d.nodes[0], d.cfg))
	d.alike("three replicas")
	for ; ; k++ {
		ns, name := store.SplitKey(damageKey(k))
		id = store.Shard(store.Route(ns, name), d.last().ring.Shards)
		if d.last().leads(id) {
			return d, k, id
		}
	}
}

// A record of a delete that is damaged at a shard's leader settles nothing: a voter that
// missed the delete would be told that it has missed none, and its copy would be the
// only one in the end.
func TestDamagedDelete(t *testing.T) {
	d, k, id := newDamageTrial(t, Config{ReplaceAfter: time.Minute, RepairEvery: time.Hour, ReclaimAfter: time.Hour})
	ns, name := store.SplitKey(damageKey(k))
	now := time.Now()
	record := func(age time.Duration, value []byte, expires int64) store.Record {
		return store.Record{
			Namespace: ns, Key: name, Position: store.Route(ns, name), Value: value, Expires: expires,
			Version: store.Version{Clock: store.ClockAt(now.Add(-age)), Writer: 7},
		}
	}
	apply := func(n *Node, r store.Record) {
		t.Helper()
		if _, err := n.disk.Apply(t.Context(), id, r.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
	}
	old := record(20*time.Second, []byte("old value"), 0)
	dead := record(10*time.Second, damageValue(k), now.Add(-5*time.Second).UnixMilli()) // as good as a tombstone, and found by its text
	for _, n := range d.nodes {
		apply(n, dead)
	}
	d.restart(func(string) {}) // which brings it into a table
	d.alike("restarted")
	missed := d.nodes[0]
	if _, err := missed.disk.Remove(t.Context(), id, ns, name, dead.Version); err != nil {
		t.Fatal(err)
	}
	apply(missed, old)
	leader := d.last()
	if err := leader.disk.Tree(t.Context(), id, func(*store.Tree) {}); err != nil { // it was compared before
		t.Fatal(err)
	}
	d.flip(filepath.Join(d.cfg.Home, bootstrap.DataDir), k)
	raise, err := store.NewRaise(leader.self, leader.shards.config(id), store.ClockAt(now.Add(-8*time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	if err := (&reclaimer{leader}).raise(t.Context(), id, raise); err == nil {
		t.Error("a voter confirmed by what the leader cannot read")
	}
	if h := leader.shards.config(id).Horizon; h != 0 {
		t.Errorf("the horizon is at %d", h)
	}
	soon(t, "the record is whole again", func() error {
		r, _, err := leader.disk.Get(id, ns, name)
		if err == nil && r.Version != dead.Version {
			err = errors.New("it is another")
		}
		return err
	})
	soon(t, "the horizon is raised", func() error {
		c := leader.shards.config(id)
		if c.Horizon > 0 {
			return nil
		}
		raise, err := store.NewRaise(leader.self, c, store.ClockAt(now.Add(-8*time.Second)))
		if err != nil {
			return err
		}
		return (&reclaimer{leader}).raise(t.Context(), id, raise)
	})
	if r, err := missed.Get(t.Context(), damageKey(k)); err == nil {
		t.Errorf("deleted, and read again: %q", r.Value)
	}
}

// A damaged record that nobody reads is found where its shard is searched for what was
// deleted, and put right before anything there is settled.
func TestDamageFoundByReclaim(t *testing.T) {
	d, k, id := newDamageTrial(t, Config{ReplaceAfter: time.Minute, RepairEvery: time.Hour, ReclaimAfter: 300 * time.Millisecond})
	put := func(key string) {
		t.Helper()
		if _, err := d.nodes[0].Put(t.Context(), key, damageValue(k), WithW(All)); err != nil {
			t.Fatal(err)
		}
	}
	put(damageKey(k))
	d.restart(func(string) {})
	d.alike("restarted")
	for _, n := range d.nodes {
		if err := n.disk.Tree(t.Context(), id, func(*store.Tree) {}); err != nil { // which reads the shard, and not again
			t.Fatal(err)
		}
	}
	d.flip(filepath.Join(d.cfg.Home, bootstrap.DataDir), k)
	other := k + 1
	for ; ; other++ {
		if ns, name := store.SplitKey(damageKey(other)); store.Shard(store.Route(ns, name), d.last().ring.Shards) == id {
			break
		}
	}
	put(damageKey(other))
	if _, err := d.nodes[0].Delete(t.Context(), damageKey(other)); err != nil {
		t.Fatal(err)
	}
	gone(t, "what was deleted", 3, d.nodes...)
	ns, name := store.SplitKey(damageKey(k))
	if _, found, err := d.last().disk.Get(id, ns, name); err != nil || !found {
		t.Errorf("the damaged record: found %v, %v", found, err)
	}
}
