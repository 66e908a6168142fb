package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// The owner of a namespace writes there, and whom it lets; nobody else does.
func TestOwned(t *testing.T) {
	nodes := closedRing(t, 3, gossiping)
	ctx := t.Context()
	ada, bob := nodes[1], nodes[2]
	ns := "@" + ada.ID()
	if _, err := ada.Put(ctx, ns+"/k", []byte("v"), WithTTL(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if rec, err := bob.Get(ctx, ns+"/k"); err != nil || string(rec.Value) != "v" || rec.Expires.IsZero() {
		t.Errorf("%+v, %v", rec, err)
	}
	big := bytes.Repeat([]byte("large "), 200<<10)
	if _, err := ada.PutStream(ctx, ns+"/big", bytes.NewReader(big)); err != nil {
		t.Fatal(err)
	}
	s, err := bob.GetStream(ctx, ns+"/big")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := ada.Put(ctx, ns+"/sloppy", []byte("s"), WithW(Sloppy)); err != nil {
		t.Errorf("a sloppy put: %v", err)
	}
	if _, err := ada.Delete(ctx, ns+"/sloppy"); err != nil {
		t.Error(err)
	}
	if _, err := bob.Get(ctx, ns+"/sloppy"); !errors.Is(err, ErrNotFound) {
		t.Errorf("what was deleted: %v", err)
	}

	refused := func(what string, err error) {
		t.Helper()
		if e := client.AsError(err); e == nil || e.Code != client.CodeNotOwner || e.Code.Exit() != 8 || !strings.Contains(e.Fix, "peer grant "+bob.ID()) {
			t.Errorf("%s: %+v", what, e)
		}
	}
	put := func(n *Node, value string) error { _, err := n.Put(ctx, ns+"/k", []byte(value)); return err }
	refused("another's put", put(bob, "w"))
	_, err = bob.Delete(ctx, ns+"/k")
	refused("another's delete", err)
	_, err = bob.PutStream(ctx, ns+"/big", bytes.NewReader(big))
	refused("another's put of much", err)

	if g, err := ada.Grant(ctx, client.GrantSpec{Peer: bob.ID(), Expires: time.Hour}); err != nil || g.Namespace != ns || g.Peer != bob.ID() {
		t.Fatalf("%+v, %v", g, err)
	}
	if err := put(bob, "by bob"); err != nil {
		t.Fatal(err)
	}
	if rec, err := nodes[0].Get(ctx, ns+"/k"); err != nil || string(rec.Value) != "by bob" {
		t.Errorf("%q, %v", rec.Value, err)
	}
	refused("a third one's put", func() error { _, err := nodes[0].Put(ctx, ns+"/k", nil); return bobs(err, nodes[0], bob) }())
	if _, err := bob.Put(ctx, ns+"/"+store.GrantsPrefix+nodes[0].ID(), nil); err == nil {
		t.Error("a writer makes grants")
	}
	if _, err := ada.Grant(ctx, client.GrantSpec{Peer: bob.ID(), Revoke: true}); err != nil {
		t.Error(err)
	}
	bob.owned.mu.Lock()
	held := bob.owned.grants[ns]
	held.at = held.at.Add(-grantLook) // a minute has passed
	bob.owned.grants[ns] = held
	bob.owned.mu.Unlock()
	refused("a put after the grant was taken back", put(bob, "w"))
	if rec, err := nodes[0].Get(ctx, ns+"/k"); err != nil || string(rec.Value) != "by bob" {
		t.Errorf("what was written by a grant that was taken back: %q, %v", rec.Value, err)
	}

	// A grant ends by itself, and what was written by it is the owner's to replace.
	if _, err := ada.Grant(ctx, client.GrantSpec{Peer: bob.ID(), Expires: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	last := "by bob"
	eventually(t, "the grant expires", func() bool {
		value := fmt.Sprint("at ", time.Now())
		err = put(bob, value)
		if err == nil {
			last = value
		}
		return err != nil
	})
	refused("a put after the grant expired", err)
	if rec, err := nodes[0].Get(ctx, ns+"/k"); err != nil || string(rec.Value) != last {
		t.Errorf("what was written by a grant that expired: %q, %v, want %q", rec.Value, err, last)
	}
	if err := put(ada, "mine"); err != nil {
		t.Fatal(err)
	}
	if rec, err := bob.Get(ctx, ns+"/k"); err != nil || string(rec.Value) != "mine" {
		t.Errorf("what the owner wrote: %q, %v", rec.Value, err)
	}

	_, err = ada.CompareAndSwap(ctx, ns+"/r", 0, nil)
	wantCode(t, err, client.CodeUsage)
	_, err = ada.SetNamespace(ctx, Namespace{Name: ns, TTL: time.Second})
	wantCode(t, err, client.CodeBadKey)
	_, err = ada.Put(ctx, "@ada/k", nil)
	wantCode(t, err, client.CodeBadKey)
	wantCode(t, checkGrant(ns), client.CodeBadKey)
	if err := (grant{ada, ns}).Put(ctx, ns+"/k", nil); err == nil {
		t.Error("a module writes in the namespace of the peer that runs it")
	}
	for _, n := range nodes {
		if bad := n.owned.forged.Load(); bad > 3 { // bob's attempt to make a grant
			t.Errorf("%d records are taken for forged", bad)
		}
	}
}

// bobs puts bob's ID in the place of another one's in an error's fix.
func bobs(err error, other, bob *Node) error {
	e := client.AsError(err)
	e.Fix = strings.ReplaceAll(e.Fix, other.ID(), bob.ID())
	return e
}

// forgery is a record that its namespace's owner never made.
type forgery struct {
	what   string
	record store.Record
}

// forgeries are records of ada's key that mallory makes out of one that ada signed, and her own
// key, each newer than the one before.
func forgeries(t *testing.T, mallory *Node, good store.Record) []forgery {
	t.Helper()
	clock := store.ClockAt(time.Now().Add(time.Second))
	newer := func(edit func(*store.Record)) store.Record {
		r := good
		clock++
		r.Version = store.Version{Clock: clock, Writer: 666}
		r.Value = []byte("forged")
		edit(&r)
		return r
	}
	sign := func(g *store.Grant) func(*store.Record) {
		return func(r *store.Record) {
			if err := store.SignOwned(mallory.ring.ID, r, g, mallory.key.Sign); err != nil {
				t.Fatal(err)
			}
		}
	}
	grant, err := store.NewGrant(mallory.ring.ID, mallory.owned.key, mallory.owned.key, time.Now().Add(time.Hour), mallory.key.Sign)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := good
	elsewhere.Key = "other"
	elsewhere.Position = store.Route(elsewhere.Namespace, elsewhere.Key)
	return []forgery{
		{"replayed under another key", elsewhere},
		{"changed", newer(func(*store.Record) {})},
		{"stripped", newer(func(r *store.Record) { r.Owner = nil })},
		{"replayed as newer", newer(func(r *store.Record) { r.Value = good.Value })},
		{"signed by another", newer(sign(nil))},
		{"with a grant of her own", newer(sign(&grant))},
		{"deleted", newer(func(r *store.Record) { r.Tombstone, r.Value = true, nil; sign(nil)(r) })},
	}
}

// ownedPut has a node store a key of its own, and returns the record.
func ownedPut(t *testing.T, n *Node, key string) (full string, rec store.Record) {
	t.Helper()
	ns := "@" + n.ID()
	full = store.JoinKey(ns, key)
	if _, err := n.Put(t.Context(), full, []byte("true")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its own replica has it", func() bool { // a quorum may do without
		rec = heldBy(t, n, ns, key)
		return rec.Key == key
	})
	return full, rec
}

// heldBy returns what a node's disk holds of a key, nothing if it holds none.
func heldBy(t *testing.T, n *Node, ns, key string) (rec store.Record) {
	t.Helper()
	_, err := n.disk.View(store.Shard(store.Route(ns, key), n.ring.Shards), ns, key, func(v store.View) (err error) {
		rec, err = store.DecodeRecord(bytes.Clone(v.Raw()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// No honest voter stores what a member forges, by whichever call it comes.
func TestForgedIsRefused(t *testing.T) {
	nodes := closedRing(t, 3, gossiping)
	ctx := t.Context()
	ada, mallory, voter := nodes[0], nodes[1], nodes[2]
	soon(t, "three voters each", func() error { return alike(nodes, 3) })
	full, good := ownedPut(t, ada, "k")
	for _, f := range forgeries(t, mallory, good) {
		what, r := f.what, f.record
		b := r.AppendTo(nil)
		shard := store.Shard(r.Position, mallory.ring.Shards)
		by := goesBy{config: mallory.shards.config(shard)}
		before := voter.owned.forged.Load()
		for _, repair := range []bool{false, true} {
			if _, err := mallory.askWrite(ctx, voter.self, shard, by, b, repair); !errors.Is(err, &rpc.Error{Code: codeForged}) {
				t.Errorf("a record %s, repair %v: %v", what, repair, err)
			}
		}
		writes := []wire.Write{{Shard: shard, Epoch: by.config.Epoch, Request: store.WriteRequest{Target: by.target(voter.self), Record: b}}}
		results, err := call(ctx, mallory, voter.self.Peer, rpc.Header{Method: wire.MethodWrites}, wire.AppendWrites(nil, writes), wire.ParseWriteResults)
		if err != nil || len(results) != 1 || !errors.Is(results[0].Err, &rpc.Error{Code: codeForged}) {
			t.Errorf("a record %s, of several: %+v, %v", what, results, err)
		}
		if err := mallory.askHint(ctx, voter.self.Peer, shard, b); !errors.Is(err, &rpc.Error{Code: codeForged}) {
			t.Errorf("a record %s, as a hint: %v", what, err)
		}
		if n := voter.owned.forged.Load() - before; n < 4 {
			t.Errorf("a record %s: %d of 4 are counted", what, n)
		}
		if rec, err := voter.Get(ctx, full); err != nil || string(rec.Value) != "true" {
			t.Errorf("after a record %s: %q, %v", what, rec.Value, err)
		}

		// Nor does it take it over from a replica that has it.
		if _, err := mallory.disk.ApplyMany(ctx, shard, [][]byte{b}); err != nil {
			t.Fatal(err)
		}
		before = voter.owned.forged.Load()
		if _, err := voter.puller.pull(ctx, sourceOf(shard, voter.shards.config(shard), mallory.self), "", true); err != nil {
			t.Errorf("pull of a record %s: %v", what, err)
		}
		if voter.owned.forged.Load() == before {
			t.Errorf("a record %s, pulled, is not counted", what)
		}
		if held := heldBy(t, voter, r.Namespace, r.Key); held.Version == r.Version {
			t.Errorf("a record %s is taken over", what)
		}
	}
}

// Where all voters of a key lie, nobody reads what they forged.
func TestForgedByAllVoters(t *testing.T) {
	nodes := closedRing(t, 4, gossiping)
	ctx := t.Context()
	soon(t, "three voters each", func() error { return alike(nodes, 3) })
	ada, mallory := nodes[0], nodes[1]
	full, good := ownedPut(t, ada, keptKey(nodes, ada))
	shard := store.Shard(good.Position, mallory.ring.Shards)
	c := newestConfig(nodes, shard)
	var reader *Node
	for _, n := range nodes {
		if !c.IsMember(n.self) {
			reader = n
		}
	}
	read, refused := 0, uint64(0)
	for _, f := range forgeries(t, mallory, good) {
		what, r := f.what, f.record
		for _, n := range nodes {
			if c.IsMember(n.self) { // behind the checks: its disk says what it likes
				if _, err := n.disk.ApplyMany(ctx, store.Shard(r.Position, n.ring.Shards), [][]byte{r.AppendTo(nil)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		key := store.JoinKey(r.Namespace, r.Key)
		for _, level := range []Level{One, Quorum, All} {
			for _, n := range nodes {
				bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
				rec, err := n.Get(bounded, key, WithR(level))
				cancel()
				if err == nil && string(rec.Value) != "true" || errors.Is(err, ErrNotFound) && key == full {
					t.Errorf("a record %s: read %q, %v", what, rec.Value, err)
				}
				read++
			}
		}
		if _, err := reader.GetStream(ctx, key); err == nil {
			t.Errorf("a record %s: a stream of it opens", what)
		}
	}
	for _, n := range nodes {
		refused += n.owned.forged.Load()
	}
	t.Logf("%d reads of what all voters forged: none took it; %d replies refused", read, refused)
	if refused == 0 {
		t.Error("none was counted")
	}
}

// keptKey returns a key of a node's own namespace of which the node keeps a replica.
func keptKey(nodes []*Node, n *Node) string {
	ns := "@" + n.ID()
	for i := 0; ; i++ {
		key := fmt.Sprint("k", i)
		if newestConfig(nodes, store.Shard(store.Route(ns, key), n.ring.Shards)).IsMember(n.self) {
			return key
		}
	}
}
