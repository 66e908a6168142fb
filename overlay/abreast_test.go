package overlay

import (
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

func TestAbreast(t *testing.T) {
	voter := func(peer string, incarnation uint64) store.Voter {
		return store.Voter{Peer: chord.PeerID(peer), Incarnation: incarnation}
	}
	self, b, c := voter("a", 1), voter("b", 2), voter("c", 3)
	config := store.Config{Epoch: 1, Voters: []store.Voter{self, b, c}}
	now := time.Now()
	var a abreast
	expect := func(what string, c store.Config, want time.Time) {
		t.Helper()
		if got := a.since(7, c, self, now); !got.Equal(want) {
			t.Errorf("%s: abreast since %v, want %v", what, got, want)
		}
	}
	expect("alone", store.Config{Epoch: 1, Voters: []store.Voter{self}}, now)
	expect("nobody was asked", config, time.Time{})
	a.note(7, config, b.Peer, now.Add(-time.Second))
	a.note(8, config, c.Peer, now)
	a.note(7, config, "stranger", now)
	expect("one was not asked", config, time.Time{})
	a.note(7, config, c.Peer, now.Add(-time.Minute))
	expect("the oldest counts", config, now.Add(-time.Minute))
	a.note(7, config, c.Peer, now.Add(-time.Millisecond))
	expect("a newer one replaces it", config, now.Add(-time.Second))
	back := store.Config{Epoch: 2, Voters: []store.Voter{self, b, voter("c", 4)}}
	expect("another disk", back, time.Time{})
	a.note(7, back, c.Peer, now)
	expect("that was asked", back, now.Add(-time.Second))
	expect("no voter", store.Config{Epoch: 3, Voters: []store.Voter{b, c}}, time.Time{})
}

// followedUntil returns until when a watch's cursor says that all is followed.
func followedUntil(t *testing.T, w *Watch) (oldest time.Time) {
	t.Helper()
	quiet(w)
	places, since, err := parseCursor(client.WatchSpec{Prefix: w.spec.Prefix, Cursor: w.Cursor()}, w.n.ring.Shards)
	if err != nil || !since.IsZero() {
		t.Fatalf("shards that are not followed since %v, %v", since, err)
	}
	for _, p := range places {
		if oldest.IsZero() || p.when.Before(oldest) {
			oldest = p.when
		}
	}
	return oldest
}

// A voter that is cut off tells its own changes only: a watch that follows it is as
// far as the voter was when it last held all that others do.
func TestWatchIsNoFurtherThanItsVoter(t *testing.T) {
	nodes := trio(t, Config{RepairEvery: 200 * time.Millisecond, ReplaceAfter: time.Hour})
	n := nodes[2]
	w := watching(t, n, client.WatchSpec{Prefix: "w/"}) // at the voter that it runs on
	began := time.Now()
	i := 0
	change := func() {
		t.Helper()
		rec := store.Record{Key: fmt.Sprint(i), Namespace: "w", Value: []byte("v")}
		rec.Position = store.Route(rec.Namespace, rec.Key)
		if err := n.stamp(t.Context(), &rec); err != nil {
			t.Fatal(err)
		}
		if _, err := n.disk.Apply(t.Context(), store.Shard(rec.Position, n.ring.Shards), rec.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		gather(t, w, map[string]string{"w/" + rec.Key: client.EventPut})
		i++
	}
	soon(t, "the watch gets on", func() error {
		change()
		if at := followedUntil(t, w); !at.After(began) {
			return fmt.Errorf("followed until %v before it began", began.Sub(at))
		}
		return nil
	})
	nodes[0].Kill()
	nodes[1].Kill()
	cut := time.Now()
	for range 3 {
		change()
		if at := followedUntil(t, w); at.After(cut) {
			t.Fatalf("followed until %v after the voter was cut off", at.Sub(cut))
		}
	}
}
