package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func sampleRecord() Record {
	return Record{
		Class: ClassEventual, Namespace: "photos", Key: "7", Position: Route("photos", "7"),
		Version: Version{Clock: 0x0123456789ab0001, Writer: 0xfeed}, Dot: Dot{Actor: 0xfeed, Counter: 9},
		Expires: 1_900_000_000_000, Value: []byte("jpeg"),
	}
}

// The format on disk and on the wire: these bytes may not change.
const (
	goldenValue = "01000000e468d4c60123456789ab0001000000000000feed000000000000feed0000000000000009000001ba60d33800" +
		"b713a3ee428fec2db2a404071e4ffd2933664206f90a3bcb62f0bd5107f70f3f0006000100000000000470686f746f73" +
		"376a706567"
	goldenLarge = "01000200f3b112e80123456789ab0001000000000000feed000000000000feed0000000000000009000001ba60d33800" +
		"b713a3ee428fec2db2a404071e4ffd2933664206f90a3bcb62f0bd5107f70f3f0006000100000000000470686f746f73" +
		"376a706567"
	goldenTombstone = "01000100b4a234f300000000000000020000000000000003000000000000000000000000000000000000000000000000" +
		"c1a589a9f4a55110455b9f3299ef376c37a5cd38b5c908a8e017a0fbe41595ee00000004000100000000676f6e65aa"
)

func TestRecordGolden(t *testing.T) {
	rec := sampleRecord()
	tomb := Record{Key: "gone", Position: Route("", "gone"), Version: Version{Clock: 2, Writer: 3}, Tombstone: true, Owner: []byte{0xaa}}
	large := rec
	large.Large = true
	for _, tt := range []struct {
		name string
		rec  Record
		want string
	}{
		{"value", rec, goldenValue},
		{"large", large, goldenLarge},
		{"tombstone", tomb, goldenTombstone},
	} {
		if got := hex.EncodeToString(tt.rec.AppendTo(nil)); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func genKey(t *rapid.T) (ns, key string) {
	return SplitKey(rapid.StringMatching(`[a-c]{0,3}/?[a-c/]{1,4}`).Draw(t, "key"))
}

func genRecord(t *rapid.T) Record {
	var r Record
	r.Namespace, r.Key = genKey(t)
	r.Class = Class(rapid.IntRange(0, 2).Draw(t, "class"))
	copy(r.Position[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "position"))
	r.Version = Version{Clock: rapid.Uint64().Draw(t, "clock"), Writer: rapid.Uint64().Draw(t, "writer")}
	r.Dot = Dot{Actor: rapid.Uint64().Draw(t, "actor"), Counter: rapid.Uint64().Draw(t, "counter")}
	r.Expires = rapid.Int64Min(0).Draw(t, "expires")
	r.Tombstone = rapid.Bool().Draw(t, "tombstone")
	if b := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "owner"); len(b) > 0 {
		r.Owner = b
	}
	if b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value"); len(b) > 0 && !r.Tombstone {
		r.Value = b
	}
	r.Large = !r.Tombstone && rapid.Bool().Draw(t, "large")
	return r
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genRecord(t)
		if err := want.Check(); err != nil {
			t.Fatal(err)
		}
		prefix := []byte("before")
		b := want.AppendTo(prefix)
		if !bytes.HasPrefix(b, prefix) || len(b) != len(prefix)+want.Size() {
			t.Fatalf("%d bytes appended, Size says %d", len(b)-len(prefix), want.Size())
		}
		b = b[len(prefix):]
		got, err := DecodeRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		v, err := OpenRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if v.Version() != want.Version || v.Position() != want.Position || v.Expires() != want.Expires ||
			v.Tombstone() != want.Tombstone || v.Large() != want.Large || !v.Is(want.Namespace, want.Key) || !bytes.Equal(v.Value(), want.Value) {
			t.Fatalf("view differs from %+v", want)
		}
	})
}

func TestRecordDetectsEveryFlip(t *testing.T) {
	rec := sampleRecord()
	b := rec.AppendTo(nil)
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if _, err := DecodeRecord(b); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	for n := range b {
		if _, err := DecodeRecord(b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := DecodeRecord(append(b, 0)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("one byte more: %v", err)
	}
}

func TestRecordCheck(t *testing.T) {
	long := strings.Repeat("k", MaxKey)
	for _, tt := range []struct {
		name string
		rec  Record
		want error // nil: passes; errAny: any error
	}{
		{"largest", Record{Key: long, Value: make([]byte, MaxValue), Owner: make([]byte, MaxOwner)}, nil},
		{"no key", Record{}, ErrKeyEmpty},
		{"long key", Record{Key: long + "k"}, ErrKeyTooLong},
		{"long with namespace", Record{Namespace: "n", Key: long[1:]}, ErrKeyTooLong},
		{"large value", Record{Key: "k", Value: make([]byte, MaxValue+1)}, ErrValueTooLarge},
		{"owner", Record{Key: "k", Owner: make([]byte, MaxOwner+1)}, errAny},
		{"class", Record{Key: "k", Class: 3}, errAny},
		{"expiry", Record{Key: "k", Expires: -1}, errAny},
		{"tombstone with value", Record{Key: "k", Tombstone: true, Value: []byte{1}}, errAny},
		{"large tombstone", Record{Key: "k", Tombstone: true, Large: true}, errAny},
		{"slash in namespace", Record{Namespace: "a/b", Key: "k"}, errAny},
		{"key that would split", Record{Key: "a/b"}, errAny},
	} {
		err := tt.rec.Check()
		if tt.want == errAny && err != nil || errors.Is(err, tt.want) {
			continue
		}
		t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
	}
	largest := Record{Key: long, Value: make([]byte, MaxValue), Owner: make([]byte, MaxOwner)}
	if largest.Size() != MaxRecord {
		t.Errorf("largest record has %d bytes, MaxRecord is %d", largest.Size(), MaxRecord)
	}
}

var errAny = errors.New("any error")

func TestRecordLive(t *testing.T) {
	now := time.UnixMilli(1000)
	for _, tt := range []struct {
		rec  Record
		want bool
	}{
		{Record{Key: "k"}, true},
		{Record{Key: "k", Expires: 1001}, true},
		{Record{Key: "k", Expires: 1000}, false},
		{Record{Key: "k", Tombstone: true}, false},
	} {
		if got := tt.rec.Live(now); got != tt.want {
			t.Errorf("%+v is live: %v", tt.rec, got)
		}
		if v, err := OpenRecord(tt.rec.AppendTo(nil)); err != nil || v.Live(now) != tt.want {
			t.Errorf("view of %+v is live: %v, %v", tt.rec, v.Live(now), err)
		}
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	rec := sampleRecord()
	b := rec.AppendTo(nil)
	var sink Version
	if n := testing.AllocsPerRun(100, func() {
		b = rec.AppendTo(b[:0])
		v, err := OpenRecord(b)
		if err != nil || v.Verify() != nil || !v.Is("photos", "7") {
			t.Fatal(err)
		}
		sink = v.Version()
		_ = Route("photos", "7")
		_ = FingerprintOf(v.Namespace(), v.Key(), sink)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	rec := sampleRecord()
	f.Add(rec.AppendTo(nil))
	tomb := Record{Key: "k", Tombstone: true}
	f.Add(tomb.AppendTo(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := DecodeRecord(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("not ErrCorrupt: %v", err)
			}
			return
		}
		if err := rec.Check(); err != nil {
			t.Fatalf("decoded a record that breaks bounds: %v", err)
		}
		if !bytes.Equal(rec.AppendTo(nil), b) {
			t.Fatal("a record has two encodings")
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	rec := sampleRecord()
	rec.Value = make([]byte, 100)
	enc := rec.AppendTo(nil)
	b.Run("append", func(b *testing.B) {
		buf := make([]byte, 0, 512)
		for b.Loop() {
			buf = rec.AppendTo(buf[:0])
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeRecord(enc); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("version", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v, err := OpenRecord(enc)
			if err != nil || v.Version().IsZero() {
				b.Fatal(err)
			}
		}
	})
}
