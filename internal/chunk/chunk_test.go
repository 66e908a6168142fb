package chunk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bin keeps chunks by their hashes.
type bin struct {
	mu     sync.Mutex
	chunks map[Hash][]byte
	gets   atomic.Int32
	now    atomic.Int32 // fetches under way
	most   atomic.Int32
}

func newBin() *bin { return &bin{chunks: make(map[Hash][]byte)} }

func (b *bin) put(_ context.Context, h Hash, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chunks[h] = bytes.Clone(data)
	return nil
}

func (b *bin) fetch(m Manifest) Fetch {
	return func(_ context.Context, i int) ([]byte, error) {
		defer b.now.Add(-1)
		if now := b.now.Add(1); now > b.most.Load() {
			b.most.Store(now)
		}
		b.gets.Add(1)
		b.mu.Lock()
		defer b.mu.Unlock()
		data := b.chunks[m.Hashes[i]]
		return data, m.Check(i, data)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	if _, err := rng.Read(b); err != nil {
		panic(err)
	}
	return b
}

func TestCutAndRead(t *testing.T) {
	for _, size := range []int{1, Size - 1, Size, Size + 1, 5*Size + 17} {
		value := randomBytes(size)
		b := newBin()
		m, err := Cut(t.Context(), iotest.HalfReader(bytes.NewReader(value)), 3, b.put)
		if err != nil {
			t.Fatal(err)
		}
		if m.Size != int64(size) || len(m.Hashes) != (size+Size-1)/Size {
			t.Errorf("%d bytes: a manifest of %d bytes in %d chunks", size, m.Size, len(m.Hashes))
		}
		parsed, err := ParseManifest(m.AppendTo(nil))
		if diff := cmp.Diff(m, parsed); diff != "" || err != nil {
			t.Fatalf("%v: manifest (-want +got):\n%s", err, diff)
		}
		r := NewReader(t.Context(), m, 2, b.fetch(m))
		if got, err := io.ReadAll(r); !bytes.Equal(got, value) || err != nil {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A Reader does what its interfaces promise, at every offset.
func TestReaderConforms(t *testing.T) {
	for _, size := range []int{1, 7, 100} {
		value := randomBytes(size)
		b := newBin()
		m := Manifest{Size: int64(size), Chunk: 7}
		for part := range slices.Chunk(value, m.Chunk) {
			h := Hash(sha256.Sum256(part))
			m.Hashes = append(m.Hashes, h)
			if err := b.put(t.Context(), h, part); err != nil {
				t.Fatal(err)
			}
		}
		r := NewReader(t.Context(), m, 3, b.fetch(m))
		if err := iotest.TestReader(r, value); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, value := range []string{"", "short"} {
		if err := iotest.TestReader(NewBytesReader(t.Context(), []byte(value)), []byte(value)); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// A reader of all goes ahead, by no more than the window; one of a range
// fetches little beside it.
func TestReaderGoesAhead(t *testing.T) {
	value := randomBytes(40 * Size)
	b := newBin()
	m, err := Cut(t.Context(), bytes.NewReader(value), 4, b.put)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := NewReader(t.Context(), m, 8, b.fetch(m))
		defer r.Close()
		if _, err := r.Seek(20*Size+5, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, value[20*Size+5:][:100]) {
			t.Errorf("a range is wrong: %v", err)
		}
		synctest.Wait()
		if n := b.gets.Load(); n != 1 {
			t.Errorf("%d chunks fetched for 100 bytes", n)
		}
		if _, err := io.ReadFull(r, make([]byte, 6*Size)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := b.gets.Load(); n < 7+4 || n > 7+8 {
			t.Errorf("%d chunks fetched for 7 read in order, by a window of 8", n)
		}
	})
}

func TestReaderHoldsToItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var now, most atomic.Int32
		m := Manifest{Size: 100 * Size, Chunk: Size, Hashes: make([]Hash, 100)}
		r := NewReader(t.Context(), m, 4, func(context.Context, int) ([]byte, error) {
			defer now.Add(-1)
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			<-gate
			return make([]byte, Size), nil
		})
		go func() {
			for range 100 {
				synctest.Wait()
				gate <- struct{}{}
			}
		}()
		if n, err := io.Copy(io.Discard, r); err != nil || n != 100*Size {
			t.Errorf("%d bytes: %v", n, err)
		}
		if most.Load() != 4 {
			t.Errorf("%d fetches under way at once, the window is 4", most.Load())
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A chunk that could not be had is asked for again by the next Read.
func TestReaderTriesAgain(t *testing.T) {
	value := randomBytes(3 * Size)
	b := newBin()
	m, err := Cut(t.Context(), bytes.NewReader(value), 1, b.put)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	fails := true
	r := NewReader(t.Context(), m, 4, func(ctx context.Context, i int) ([]byte, error) {
		if i == 1 && fails {
			fails = false
			return nil, broken
		}
		return b.fetch(m)(ctx, i)
	})
	defer r.Close()
	head, err := io.ReadAll(r)
	if !errors.Is(err, broken) || len(head) != Size {
		t.Fatalf("%d bytes, then %v", len(head), err)
	}
	tail, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(head, tail...), value) {
		t.Errorf("went on with %d bytes: %v", len(tail), err)
	}
}

func TestReaderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := Manifest{Size: 2 * Size, Chunk: Size, Hashes: make([]Hash, 2)}
	r := NewReader(ctx, m, 2, func(ctx context.Context, _ int) ([]byte, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	})
	defer r.Close()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCutStops(t *testing.T) {
	broken := errors.New("broken")
	_, err := Cut(t.Context(), bytes.NewReader(make([]byte, 9*Size)), 2, func(context.Context, Hash, []byte) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("a chunk that cannot be stored: %v", err)
	}
	_, err = Cut(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, Size+1)), iotest.ErrReader(broken)), 2, newBin().put)
	if !errors.Is(err, broken) {
		t.Errorf("a value that cannot be read: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Cut(ctx, endless{}, 2, func(context.Context, Hash, []byte) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends: %v", err)
	}
	_, err = cut(t.Context(), endless{}, 2, 3, func(context.Context, Hash, []byte) error { return nil })
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("a value without end: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// The format on disk: these bytes may not change.
func TestGolden(t *testing.T) {
	m := Manifest{Size: 3, Chunk: 2, Hashes: []Hash{{1}, {2}}}
	const manifest = "01" + "00000002" + "0000000000000003" +
		"0100000000000000000000000000000000000000000000000000000000000000" +
		"0200000000000000000000000000000000000000000000000000000000000000"
	if got := hex.EncodeToString(m.AppendTo(nil)); got != manifest {
		t.Errorf("manifest\n got %s\nwant %s", got, manifest)
	}
}

// A manifest that lies about its sizes is refused.
func TestParseManifestRefuses(t *testing.T) {
	m := Manifest{Size: 3, Chunk: 2, Hashes: []Hash{{1}, {2}}}
	good := m.AppendTo(nil)
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"cut":             good[:len(good)-1],
		"more":            append(bytes.Clone(good), 0),
		"format":          change(func(b []byte) []byte { b[0] = 2; return b }),
		"larger":          change(func(b []byte) []byte { b[12] = 5; return b }),
		"smaller":         change(func(b []byte) []byte { b[12] = 2; return b }),
		"empty":           change(func(b []byte) []byte { b[12] = 0; return b[:manifestHeader] }),
		"huge":            change(func(b []byte) []byte { binary.BigEndian.PutUint64(b[5:], 1<<63+3); return b }),
		"chunks of 0":     change(func(b []byte) []byte { b[4] = 0; return b }),
		"too large parts": change(func(b []byte) []byte { binary.BigEndian.PutUint32(b[1:], Size+1); return b }),
	} {
		if _, err := ParseManifest(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	data := []byte("abc")
	h := Hash(sha256.Sum256(data))
	if err := Check(h, 3, data); err != nil {
		t.Error(err)
	}
	if !errors.Is(Check(h, 3, []byte("abd")), ErrMismatch) || !errors.Is(Check(h, 4, data), ErrMismatch) {
		t.Error("other bytes, or another length, pass")
	}
}

func FuzzParseManifest(f *testing.F) {
	m := Manifest{Size: 3, Chunk: 2, Hashes: []Hash{{1}, {2}}}
	f.Add(m.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("not ErrMalformed: %v", err)
			}
			return
		}
		if !bytes.Equal(m.AppendTo(nil), b) {
			t.Fatal("a manifest has two encodings")
		}
		var sum int64
		for i := range m.Hashes {
			from, to := m.Span(i)
			if from != sum || to <= from || to-from > Size {
				t.Fatalf("chunk %d lies at %d to %d", i, from, to)
			}
			sum = to
		}
		if sum != m.Size || sum > MaxValue {
			t.Fatalf("chunks make up %d bytes, the manifest says %d", sum, m.Size)
		}
	})
}
