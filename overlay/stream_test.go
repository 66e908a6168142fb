package overlay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/chorus-net/chorus/internal/chunk"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk"
)

// noise returns n bytes that do not repeat.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	if _, err := rand.NewChaCha8([32]byte{seed}).Read(b); err != nil {
		panic(err)
	}
	return b
}

func getAll(t *testing.T, n *Node, key string) ([]byte, error) {
	t.Helper()
	s, err := n.GetStream(t.Context(), key)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return io.ReadAll(s)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// trio starts three peers in memory.
func trio(t *testing.T, cfg Config) []*Node {
	t.Helper()
	first := joinTest(t, nil, cfg)
	nodes := []*Node{first, joinTest(t, first, cfg), joinTest(t, first, cfg)}
	soon(t, "three replicas", func() error { return alike(nodes, 3) })
	return nodes
}

func TestStreams(t *testing.T) {
	nodes := trio(t, Config{})
	for _, size := range []int{0, 5, store.MaxValue, store.MaxValue + 1, 5*chunk.Size + 3} {
		key, value := fmt.Sprintf("s/%d", size), noise(1, size)
		r, err := nodes[0].PutStream(t.Context(), key, iotest.HalfReader(bytes.NewReader(value)))
		if err != nil {
			t.Fatal(err)
		}
		large := size > store.MaxValue
		if len(r.Acks) < 2 || large != (r.Chunks > 0) || large && r.Bytes != int64(size) {
			t.Errorf("%d bytes: receipt %+v", size, r)
		}
		got, err := getAll(t, nodes[1], key)
		if err != nil || !bytes.Equal(got, value) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		rec, err := nodes[2].Get(t.Context(), key)
		if large && codeOf(err) != string(client.CodeValueTooLarge) || !large && (err != nil || !bytes.Equal(rec.Value, value)) {
			t.Errorf("%d bytes: Get: %v", size, err)
		}
	}
	s, err := nodes[1].GetStream(t.Context(), fmt.Sprintf("s/%d", 5*chunk.Size+3))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	part := make([]byte, 1000)
	if _, err := s.ReadAt(part, 3*chunk.Size-500); err != nil || !bytes.Equal(part, noise(1, 5*chunk.Size+3)[3*chunk.Size-500:][:1000]) {
		t.Errorf("a range over the edge of a chunk: %v", err)
	}
	keys, err := nodes[2].List(t.Context(), "", "", 0)
	if err != nil || len(keys) != 5 {
		t.Errorf("keys beside chunks: %q, %v", keys, err)
	}
	if _, err := getAll(t, nodes[0], "s/none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a key that is not there: %v", err)
	}
	long := strings.Repeat("k", store.MaxKey)
	if _, err := nodes[0].PutStream(t.Context(), long, bytes.NewReader(make([]byte, 1<<20))); codeOf(err) != string(client.CodeKeyTooLong) {
		t.Errorf("a large value under a key that is too long for one: %v", err)
	}
}

// A put that was cut short goes on where it was, and shows nothing before its
// end.
func TestPutStreamResumes(t *testing.T) {
	nodes := trio(t, Config{})
	value := noise(2, 12*chunk.Size)
	broken := errors.New("broken")
	half := io.MultiReader(bytes.NewReader(value[:8*chunk.Size]), readerFunc(func([]byte) (int, error) {
		// The last chunk may still be waiting to be known as full.
		for i := 0; i < 1200 && slices.ContainsFunc(nodes, func(n *Node) bool { return chunks(n) < 7 }); i++ {
			time.Sleep(50 * time.Millisecond)
		}
		return 0, broken
	}))
	if _, err := nodes[0].PutStream(t.Context(), "r", half); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if _, err := getAll(t, nodes[1], "r"); !errors.Is(err, ErrNotFound) {
		t.Errorf("half a value shows: %v", err)
	}
	r, err := nodes[1].PutStream(t.Context(), "r", bytes.NewReader(value))
	if err != nil || r.Chunks != 12 || r.Reused < 7 || r.Reused > 8 {
		t.Errorf("%d of %d chunks were there already, %v", r.Reused, r.Chunks, err)
	}
	if got, err := getAll(t, nodes[2], "r"); err != nil || !bytes.Equal(got, value) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	// Chunks that the collector may soon take are not relied upon.
	nodes[2].chunkTimes.reuse = time.Nanosecond
	if r, err = nodes[2].PutStream(t.Context(), "r", bytes.NewReader(value)); err != nil || r.Reused != 0 {
		t.Errorf("%d old chunks were reused, %v", r.Reused, err)
	}
	nodes[2].chunkTimes.commit = time.Nanosecond
	if _, err = nodes[2].PutStream(t.Context(), "r2", bytes.NewReader(value)); codeOf(err) != string(client.CodeTimeout) {
		t.Errorf("a put that took too long for its chunks to be safe: %v", err)
	}
	if _, err := getAll(t, nodes[1], "r2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("and shows: %v", err)
	}
}

// A voter that dies in the middle stops neither a put nor a get.
func TestStreamsOutliveAVoter(t *testing.T) {
	nodes := trio(t, Config{ReplaceAfter: time.Hour})
	value := noise(3, 24*chunk.Size)
	kill := func(n *Node, at int64) io.Reader {
		return io.MultiReader(bytes.NewReader(value[:at]), doing{n.Kill}, bytes.NewReader(value[at:]))
	}
	if _, err := nodes[0].PutStream(t.Context(), "k", kill(nodes[2], 10*chunk.Size)); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[:2] {
		if got, err := getAll(t, n, "k"); err != nil || !bytes.Equal(got, value) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
	s, err := nodes[0].GetStream(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	head := make([]byte, 4*chunk.Size)
	if _, err := io.ReadFull(s, head); err != nil {
		t.Fatal(err)
	}
	nodes[1].Kill()
	tail, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(append(head, tail...), value) {
		t.Errorf("one replica left, %d bytes read on: %v", len(tail), err)
	}
}

// doing is a reader of nothing that does something.
type doing struct{ what func() }

func (d doing) Read([]byte) (int, error) {
	d.what()
	return 0, io.EOF
}

// plant writes a record of a chunk as a replica that lies would hold it: whole,
// and of other bytes than its name says.
func plant(t *testing.T, n *Node, key string, h chunk.Hash, data []byte) {
	t.Helper()
	name := chunkName(key, h)
	rec := store.Record{Namespace: chunkSpace, Key: name, Position: store.Route(chunkSpace, name), Value: data}
	if err := n.stamp(t.Context(), &rec); err != nil {
		t.Fatal(err)
	}
	if _, err := n.disk.Apply(t.Context(), store.Shard(rec.Position, n.ring.Shards), rec.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
}

// A chunk that does not match its hash is passed over for another replica's; if
// none is right, that has a name.
func TestWrongChunksArePassedOver(t *testing.T) {
	nodes := trio(t, Config{RepairEvery: time.Hour})
	value := noise(4, 4*chunk.Size)
	if _, err := nodes[0].PutStream(t.Context(), "w", bytes.NewReader(value), WithW(All)); err != nil {
		t.Fatal(err)
	}
	h := chunk.Hash(sha256.Sum256(value[chunk.Size : 2*chunk.Size]))
	plant(t, nodes[0], "w", h, noise(5, chunk.Size))
	plant(t, nodes[1], "w", h, value[chunk.Size:2*chunk.Size-1])
	for _, n := range nodes {
		if got, err := getAll(t, n, "w"); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	plant(t, nodes[2], "w", h, nil)
	got, err := getAll(t, nodes[1], "w")
	if !errors.Is(err, ErrDamaged) || !bytes.Equal(got, value[:chunk.Size]) || !strings.Contains(err.Error(), nodes[0].ID()) {
		t.Errorf("no replica is right: %d bytes, %v", len(got), err)
	}
}

// A manifest that lies about its value is refused.
func TestManifestThatLies(t *testing.T) {
	n := joinTest(t, nil, Config{})
	m := chunk.Manifest{Size: 2 * chunk.Size, Chunk: chunk.Size, Hashes: []chunk.Hash{{1}, {2}}}
	lie := m.AppendTo(nil)
	lie[12]++ // one byte more than its chunks have
	if _, err := n.put(t.Context(), "lie", store.Record{Value: lie, Large: true}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := getAll(t, n, "lie"); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestStreamsOverTheSocket(t *testing.T) {
	_, cl := startAt(t, t.TempDir())
	value := noise(6, 23*chunk.Size+1)
	ctx, cancel := context.WithCancel(t.Context())
	cut := io.MultiReader(bytes.NewReader(value[:20*chunk.Size]), doing{cancel}, bytes.NewReader(value[20*chunk.Size:]))
	if _, err := cl.PutStream(ctx, "c", cut); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r, err := cl.PutStream(t.Context(), "c", bytes.NewReader(value))
	if err != nil || r.Bytes != int64(len(value)) || r.Chunks != 24 || r.Reused < 12 {
		t.Errorf("receipt %+v, %v", r, err)
	}
	s, err := cl.GetStream(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Size() != int64(len(value)) || s.Record.Size != s.Size() || s.Record.Version != r.Version {
		t.Errorf("record %+v", s.Record)
	}
	if _, err := s.Seek(5, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, value[5:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := cl.Get(t.Context(), "c"); !errors.Is(err, client.ErrTooLarge) {
		t.Errorf("Get of a large value: %v", err)
	}
	if r, err := cl.PutStream(t.Context(), "small", strings.NewReader("v")); err != nil || r.Chunks != 0 {
		t.Errorf("a small value: %+v, %v", r, err)
	}
	if s, err := cl.GetStream(t.Context(), "small"); err != nil {
		t.Error(err)
	} else if got, err := io.ReadAll(s); string(got) != "v" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// chunks counts the live chunks that a peer holds.
func chunks(n *Node) (live int) {
	for id := range n.shards.all() {
		page, _, _, err := n.replica.page(id, disk.Query{Prefix: chunkSpace + "/"})
		if err != nil {
			panic(err)
		}
		for _, e := range page {
			if !e.Deleted {
				live++
			}
		}
	}
	return live
}

// Chunks go when nothing refers to them any more: after a delete, after another
// value took the key, and after a put that did not end. Those of a value that
// is there stay, and so do young ones.
func TestChunksAreCollected(t *testing.T) {
	quick := chunkTimes{reuse: time.Hour, commit: time.Hour, keep: 2 * time.Second, sweep: 500 * time.Millisecond}
	nodes := trio(t, Config{chunkTimes: quick})
	ctx := t.Context()
	put := func(key string, value []byte) {
		t.Helper()
		if _, err := nodes[0].PutStream(ctx, key, bytes.NewReader(value), WithW(All)); err != nil {
			t.Fatal(err)
		}
	}
	kept, old := noise(7, 6*chunk.Size), noise(8, 5*chunk.Size)
	began := time.Now()
	put("kept", old)
	put("kept", kept)
	put("deleted", old)
	put("small", old)
	put("small", []byte("now small"))
	if _, err := nodes[1].Delete(ctx, "deleted"); err != nil {
		t.Fatal(err)
	}
	broken := iotest.ErrReader(errors.New("broken"))
	if _, err := nodes[2].PutStream(ctx, "never", io.MultiReader(bytes.NewReader(old), broken)); err == nil {
		t.Fatal("a put of a broken reader succeeds")
	}
	if n := chunks(nodes[0]); n < 20 && time.Since(began) < quick.keep {
		t.Fatalf("%d chunks before anything is old", n)
	}
	soon(t, "garbage is gone", func() error {
		for _, n := range nodes {
			if have := chunks(n); have != 6 {
				return fmt.Errorf("%d chunks, not 6", have)
			}
		}
		return nil
	})
	if got, err := getAll(t, nodes[2], "kept"); err != nil || !bytes.Equal(got, kept) {
		t.Errorf("what is referred to: %d bytes, %v", len(got), err)
	}
	put("deleted", old) // over the tombstones of its chunks
	if got, err := getAll(t, nodes[1], "deleted"); err != nil || !bytes.Equal(got, old) {
		t.Errorf("put again: %d bytes, %v", len(got), err)
	}
}

// Chunks go also where a horizon has long passed them.
func TestChunksAreCollectedBelowAHorizon(t *testing.T) {
	quick := chunkTimes{reuse: time.Hour, commit: time.Hour, keep: time.Second, sweep: 500 * time.Millisecond}
	nodes := trio(t, Config{chunkTimes: quick, ReclaimAfter: 200 * time.Millisecond})
	ctx := t.Context()
	r, err := nodes[0].PutStream(ctx, "large", bytes.NewReader(noise(7, 6*chunk.Size)), WithW(All))
	if err != nil {
		t.Fatal(err)
	}
	v, err := store.ParseVersion(r.Version) // of the manifest: newer than the chunks
	if err != nil {
		t.Fatal(err)
	}
	below := make(map[store.ShardID]bool)
	for i := 0; len(below) < nodes[0].ring.Shards; i++ {
		key := fmt.Sprintf("k/%d", i)
		if id := store.Shard(store.Route(store.SplitKey(key)), nodes[0].ring.Shards); !below[id] {
			below[id] = true
			if _, err := nodes[0].Delete(ctx, key); err != nil {
				t.Fatal(err)
			}
		}
	}
	soon(t, "all horizons raised", func() error {
		for id := range below {
			if nodes[1].shards.config(id).Horizon < v.Clock {
				return fmt.Errorf("not that of shard %d", id)
			}
		}
		return nil
	})
	if have := chunks(nodes[1]); have != 6 {
		t.Fatalf("%d chunks, not 6", have)
	}
	if _, err := nodes[2].Delete(ctx, "large"); err != nil {
		t.Fatal(err)
	}
	gone(t, "chunks, notes and tombstones", 0, nodes...)
}

// What the collector decided before a chunk was stored anew does not touch it,
// however late it comes.
func TestCollectingLateTouchesNothingNew(t *testing.T) {
	n := joinTest(t, nil, Config{})
	ctx := t.Context()
	data := noise(9, 1000)
	name := chunkName("k", chunk.Hash(sha256.Sum256(data)))
	read := func() error {
		_, err := n.getChunk(ctx, "k", chunk.Hash(sha256.Sum256(data)), len(data))
		return err
	}
	first, err := n.putChunk(ctx, "k", Quorum, data)
	if err != nil {
		t.Fatal(err)
	}
	n.chunkTimes.reuse = 0 // store it anew
	second, err := n.putChunk(ctx, "k", Quorum, data)
	if err != nil || second.Version <= first.Version || second.Reused {
		t.Fatalf("%+v after %+v, %v", second, first, err)
	}
	forget := func(version string) {
		t.Helper()
		v, err := store.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		rec := store.Record{Namespace: chunkSpace, Key: name, Position: store.Route(chunkSpace, name), Version: v, Tombstone: true}
		if err := n.replaceExactly(ctx, 0, rec); err != nil {
			t.Fatal(err)
		}
	}
	forget(first.Version)
	if err := read(); err != nil {
		t.Errorf("the new chunk went with the old one: %v", err)
	}
	forget(second.Version)
	if err := read(); !errors.Is(err, ErrDamaged) {
		t.Errorf("the chunk that was meant: %v", err)
	}
}

// A chunk for which a busy disk had no time is stored by the next attempt.
func TestPutChunkOnABusyDisk(t *testing.T) {
	n := joinTest(t, nil, Config{})
	floor, err := loadCeiling(n.disk)
	if err != nil {
		t.Fatal(err)
	}
	saves := 0
	n.clock = newClock(floor, func(ctx context.Context, ceiling uint64) error {
		if saves++; saves == 1 {
			return context.DeadlineExceeded
		}
		return saveCeiling(ctx, n.disk, ceiling)
	})
	if _, err := n.putChunk(t.Context(), "k", Quorum, noise(1, chunk.Size)); err != nil || saves != 2 {
		t.Errorf("after %d attempts: %v", saves, err)
	}
}
