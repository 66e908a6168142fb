package overlay

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/internal/wire"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// watching begins a watch that ends with the test.
func watching(t *testing.T, n *Node, spec client.WatchSpec) *Watch {
	t.Helper()
	w, err := n.Watch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// gather reads events until all of want were seen, by key: the last event of
// each has the kind that want says. It counts events, those of other keys among
// them, and resyncs.
func gather(t *testing.T, w *Watch, want map[string]string) (events, others, resyncs int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	open := len(want)
	last := make(map[string]string)
	for open > 0 {
		e, err := w.Next(ctx)
		if err != nil {
			for key, kind := range want {
				if last[key] != kind {
					t.Errorf("%s: %q, want %q", key, last[key], kind)
				}
			}
			t.Fatalf("%d keys did not show: %v", open, err)
		}
		events++
		if e.Kind == client.EventResync {
			resyncs++
			continue
		}
		kind, wanted := want[e.Key]
		if !wanted {
			others++
		} else if last[e.Key] == kind {
			open++
		}
		if last[e.Key] = e.Kind; e.Kind == kind {
			open--
		}
	}
	return events, others, resyncs
}

func putAll(t *testing.T, n *Node, from, to int, want map[string]string, opts ...PutOption) {
	t.Helper()
	for i := from; i < to; i++ {
		key := fmt.Sprintf("w/%03d", i)
		if _, err := n.Put(t.Context(), key, nil, opts...); err != nil {
			t.Fatal(err)
		}
		want[key] = client.EventPut
	}
}

// What is acknowledged after a watch began shows, what was there before does
// not, nor do other keys.
func TestWatch(t *testing.T) {
	nodes := trio(t, Config{})
	before, want := map[string]string{}, map[string]string{}
	putAll(t, nodes[0], 900, 950, before, WithW(All)) // or the one that is followed may get some late
	w := watching(t, nodes[0], client.WatchSpec{Prefix: "w/"})
	putAll(t, nodes[1], 0, 60, want)
	for i := range 20 {
		key := fmt.Sprintf("w/%03d", i)
		if _, err := nodes[2].Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		want[key] = client.EventDelete
	}
	if _, err := nodes[1].Put(t.Context(), "x/1", nil); err != nil {
		t.Fatal(err)
	}
	// A put and a delete of one key may reach a disk at once, then one of them
	// shows; where the followed voter was changed some show twice.
	if events, others, resyncs := gather(t, w, want); events < 60 || others != 0 || resyncs != 0 {
		t.Errorf("%d events, %d of other keys, %d resyncs for 80 changes of 60 keys", events, others, resyncs)
	}
	existing := watching(t, nodes[1], client.WatchSpec{Prefix: "w/9", Existing: true})
	if events, others, _ := gather(t, existing, before); events < 50 || others != 0 {
		t.Errorf("%d events, %d of other keys, for the 50 keys that were there", events, others)
	}
}

// A watch goes on at its cursor, here and elsewhere, with nothing left out and
// nothing told that was told before it.
func TestWatchResumes(t *testing.T) {
	nodes := trio(t, Config{})
	want := map[string]string{}
	w := watching(t, nodes[0], client.WatchSpec{Prefix: "w/"})
	putAll(t, nodes[1], 0, 30, want)
	gather(t, w, want)
	quiet(w)
	cursor := w.Cursor()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	missed := map[string]string{}
	putAll(t, nodes[1], 30, 60, missed)
	for i, n := range nodes[:2] {
		again := watching(t, n, client.WatchSpec{Prefix: "w/", Cursor: cursor})
		if events, others, resyncs := gather(t, again, missed); events < 30 || others != 0 || resyncs != 0 {
			t.Errorf("peer %d: %d events, %d of other keys, %d resyncs for 30 changes", i, events, others, resyncs)
		}
	}
	// The voter that was followed is gone: its shards are told anew, and all shows.
	nodes[0].Kill()
	putAll(t, nodes[1], 60, 70, missed)
	for key := range want {
		missed[key] = client.EventPut
	}
	again := watching(t, nodes[1], client.WatchSpec{Prefix: "w/", Cursor: cursor})
	if _, _, resyncs := gather(t, again, missed); resyncs == 0 {
		t.Error("no resync although a voter is gone")
	}
	for _, bad := range []string{"x", cursor[:len(cursor)-2], cursor} {
		if _, err := nodes[1].Watch(t.Context(), client.WatchSpec{Prefix: "other/", Cursor: bad}); codeOf(err) != string(client.CodeUsage) {
			t.Errorf("cursor %.10q: %v", bad, err)
		}
	}
}

// quiet reads what moves of the cursor are there.
func quiet(w *Watch) {
	ctx, cancel := context.WithTimeout(w.ctx, 300*time.Millisecond)
	defer cancel()
	_, _ = w.Next(ctx) // nothing shows
}

// Shards move while they are watched: nothing is left out.
func TestWatchWhileTheRingMoves(t *testing.T) {
	cfg := Config{ReplaceAfter: time.Second}
	nodes := trio(t, cfg)
	want := map[string]string{}
	w := watching(t, nodes[0], client.WatchSpec{Prefix: "w/"})
	putAll(t, nodes[0], 0, 50, want)
	fourth, fifth := joinTest(t, nodes[0], cfg), joinTest(t, nodes[0], cfg)
	putAll(t, fifth, 50, 100, want)
	if err := nodes[1].Leave(t.Context()); err != nil {
		t.Error(err)
	}
	putAll(t, fourth, 100, 150, want)
	nodes[2].Kill()
	putAll(t, fourth, 150, 200, want)
	gather(t, w, want)
}

// A watch that is not read ends by name, and holds no more than its buffer
// meanwhile; another one goes on where it ended.
func TestWatchThatIsNotRead(t *testing.T) {
	n := joinTest(t, nil, Config{watchStall: 50 * time.Millisecond})
	w := watching(t, n, client.WatchSpec{Prefix: "w/"})
	want := map[string]string{}
	if err := n.each(t.Context(), 3*watchBuffer, func(ctx context.Context, i int) error {
		_, err := n.Put(ctx, fmt.Sprintf("w/%05d", i), nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * watchBuffer {
		want[fmt.Sprintf("w/%05d", i)] = client.EventPut
	}
	select {
	case <-w.ctx.Done():
	case <-time.After(time.Minute):
		t.Fatal("a watch that nobody reads goes on")
	}
	read := 0
	for {
		e, err := w.Next(t.Context())
		if err != nil {
			if !errors.Is(err, client.ErrLagging) {
				t.Errorf("it ended with %v", err)
			}
			break
		}
		delete(want, e.Key)
		read++
	}
	if read > watchBuffer {
		t.Errorf("%d events were kept, the buffer has %d", read, watchBuffer)
	}
	gather(t, watching(t, n, client.WatchSpec{Prefix: "w/", Cursor: w.Cursor()}), want)
}

// A log that does not reach back says so.
func TestChangesThatAreForgotten(t *testing.T) {
	n := joinTest(t, nil, Config{})
	want := map[string]string{}
	w := watching(t, n, client.WatchSpec{Prefix: "w/"})
	putAll(t, n, 0, 10, want)
	gather(t, w, want)
	quiet(w)
	cursor := w.Cursor()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	n.changes.Doubt()
	again := watching(t, n, client.WatchSpec{Prefix: "w/", Cursor: cursor})
	if _, _, resyncs := gather(t, again, want); resyncs != n.ring.Shards {
		t.Errorf("%d resyncs for %d shards", resyncs, n.ring.Shards)
	}
}

// Where a delete may be forgotten that came behind a cursor, the log tells of it, or
// the watch ends: it does not go on without the delete.
func TestWatchLapses(t *testing.T) {
	n := joinTest(t, nil, Config{ReclaimAfter: 300 * time.Millisecond})
	want := map[string]string{}
	w := watching(t, n, client.WatchSpec{Prefix: "w/"})
	putAll(t, n, 0, 10, want)
	gather(t, w, want)
	quiet(w)
	cursor := w.Cursor()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := n.Delete(t.Context(), fmt.Sprintf("w/%03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	gone(t, "deletes are forgotten", 0, n)
	again := watching(t, n, client.WatchSpec{Prefix: "w/", Cursor: cursor})
	for range 10 {
		if e, err := again.Next(t.Context()); err != nil || e.Kind != client.EventDelete {
			t.Fatalf("from the log: %+v, %v", e, err)
		}
	}
	n.changes.Doubt()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for again = watching(t, n, client.WatchSpec{Prefix: "w/", Cursor: cursor}); ; {
		_, err := again.Next(ctx)
		if errors.Is(err, ErrLapsed) {
			break
		}
		if err != nil {
			t.Fatalf("without the log: %v", err)
		}
	}
}

// A horizon matters to a shard that was followed, from the time on that it was.
func TestMissed(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) uint64 { return store.ClockAt(now.Add(d)) }
	for _, tt := range []struct {
		name    string
		since   time.Time
		horizon uint64
		missed  bool
	}{
		{"never followed", time.Time{}, at(0), false},
		{"no horizon", now, 0, false},
		{"an old horizon", now, at(-10 * time.Minute), false},
		{"just not, with clocks off by the most", now, at(-store.DefaultSkew - time.Second), false},
		{"a horizon within the skew", now, at(-store.DefaultSkew), true},
		{"a horizon raised since", now, at(time.Minute), true},
	} {
		if got := (watchShard{since: tt.since}).missed(tt.horizon); got != tt.missed {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestWatchOverTheSocket(t *testing.T) {
	n, cl := startAt(t, t.TempDir())
	ctx := t.Context()
	w, err := cl.Watch(ctx, client.WatchSpec{Prefix: "a/"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := n.Put(ctx, fmt.Sprintf("a/%d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for len(seen) < 3 {
		e, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Key] = true
	}
	cursor := w.Cursor()
	if err := w.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, err := w.Next(ctx); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Next after Close: %v", err)
	}
	if len(n.control.desk.watches.list) != 0 {
		t.Error("the peer keeps a watch that was ended")
	}
	if _, err := n.Delete(ctx, "a/1"); err != nil {
		t.Fatal(err)
	}
	if w, err = cl.Watch(ctx, client.WatchSpec{Prefix: "a/", Cursor: cursor}); err != nil {
		t.Fatal(err)
	}
	for {
		e, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == client.EventDelete && e.Key == "a/1" {
			break
		}
	}
	_ = w.Close(ctx)
}

// A cursor is of a caller: what is taken is read again from what it says of itself.
func FuzzCursor(f *testing.F) {
	const shards = 256
	w := &Watch{n: &Node{ring: bootstrap.Ring{Shards: shards}}, spec: client.WatchSpec{Prefix: "songs/"}, places: map[store.Voter]*watchPlace{
		{Peer: "ada", Incarnation: 7}: {run: 1, at: 2, when: time.UnixMilli(3), shards: wire.ShardSet{5}},
	}}
	f.Add("songs/", w.Cursor())
	f.Add("", w.Cursor())
	f.Add("\xbc", "")
	f.Add("songs/", "bm9uc2Vuc2U")
	f.Fuzz(func(t *testing.T, prefix, cursor string) {
		places, since, err := parseCursor(client.WatchSpec{Prefix: prefix, Cursor: cursor}, shards)
		if err != nil {
			return
		}
		w := &Watch{n: w.n, spec: client.WatchSpec{Prefix: prefix}, places: places, lost: map[store.ShardID]time.Time{}}
		if !since.IsZero() {
			w.lost[0] = since
		}
		again, sinceAgain, err := parseCursor(client.WatchSpec{Prefix: prefix, Cursor: w.Cursor()}, shards)
		if err != nil || len(again) > len(places) || !sinceAgain.Equal(since) {
			t.Fatalf("%d places since %v came back as %d since %v, %v", len(places), since, len(again), sinceAgain, err)
		}
	})
}
