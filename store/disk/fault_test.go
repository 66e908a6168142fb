package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chorus-net/chorus/store"
)

func isLocked(err error) bool { return errors.Is(err, ErrLocked) }

func TestLocked(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		if _, err := Open(t.Context(), h.dir, h.o); !isLocked(err) {
			t.Fatalf("open twice: %v", err)
		}
		s.Close()
		h.open()
	})
}

func TestFormat(t *testing.T) {
	newHome := func(t *testing.T) *home { return &home{t: t, dir: t.TempDir(), o: Options{Shards: testShards}} }
	t.Run("newer", func(t *testing.T) {
		h := newHome(t)
		h.open().Close()
		text := "format 2\nengine pebble\nshape round\n"
		h.write(formatFile, text+checkWord+checkOf(text))
		_, err := Open(t.Context(), h.dir, h.o)
		if !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), "run the newer program") {
			t.Fatal(err)
		}
	})
	t.Run("garbage", func(t *testing.T) {
		h := newHome(t)
		h.open().Close()
		h.write(formatFile, "\x00\x01")
		if _, err := Open(t.Context(), h.dir, h.o); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
	t.Run("engine", func(t *testing.T) {
		h := newHome(t)
		h.open().Close()
		h.o.Engine = Badger
		if _, err := Open(t.Context(), h.dir, h.o); !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "badger4") {
			t.Fatal(err)
		}
		h.o.Engine = ""
		if s := h.open(); s.Engine() != Badger4 {
			t.Fatal(s.Engine())
		}
		h.o.Engine = "pebble"
		if _, err := Open(t.Context(), h.dir, h.o); !errors.Is(err, ErrEngine) {
			t.Fatal(err)
		}
	})
	t.Run("shards", func(t *testing.T) {
		h := newHome(t)
		h.open().Close()
		h.o.Shards = 2 * testShards
		if _, err := Open(t.Context(), h.dir, h.o); err == nil || !strings.Contains(err.Error(), "16 shards, not 32") {
			t.Fatal(err)
		}
		h.o.Shards = 0
		if s := h.open(); s.Shards() != testShards {
			t.Fatal(s.Shards())
		}
	})
}

func (h *home) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// Golden bytes of the folder: what the next version must still read.
func TestFormatGolden(t *testing.T) {
	h := &home{t: t, dir: t.TempDir(), o: Options{}}
	h.open().Close()
	b, err := os.ReadFile(filepath.Join(h.dir, formatFile))
	if want := "format 1\nengine badger4\nshards 256\ncheck 4b3d4618\n"; err != nil || string(b) != want {
		t.Fatalf("%q, %v; want %q", b, err, want)
	}
}

// FORMAT is taken whole or not at all: a part of it, or one bit less, says another thing.
func TestFormatHarmed(t *testing.T) {
	h := &home{t: t, dir: t.TempDir(), o: Options{Shards: 256}}
	h.open().Close()
	b, err := os.ReadFile(filepath.Join(h.dir, formatFile))
	if err != nil {
		t.Fatal(err)
	}
	try := func(harmed []byte) {
		h.write(formatFile, string(harmed))
		if _, err := Open(t.Context(), h.dir, h.o); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", harmed, err)
		}
	}
	for i := range b {
		try(b[:i])
		try(append(append(bytes.Clone(b[:i]), b[i]^1<<(i%8)), b[i+1:]...))
	}
	h.write(formatFile, string(b))
	h.open().Close()
}

func TestLayoutGolden(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{recordKey(0x1a2b, "ns", "k/1"), "/r/1a2b/6e732f6b2f31"},
		{recordKey(0, "", "k"), "/r/0000/6b"},
		{recordPrefix(0xffff, "ns/"), "/r/ffff/6e732f"},
		{registerKey(0x00ff), "/g/00ff"},
		{metaKey("identity"), "/m/6964656e74697479"},
		{incarnationKey, "/s/incarnation"},
		{totalsKey, "/s/totals"},
		{commitKey, "/s/commit"},
		{string(seal([]byte("abc"))), "abc\x36\x4b\x3f\xb7"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	shards := []total{{}, {store.Fingerprint{Hi: 1, Lo: 2, Count: 7}, Counts{Live: 3, Tombstones: 4, Expiring: 2, Bytes: 5}}}
	b := encodeTotals(shards)
	want := []byte{2, 0, 1, 7: 0, 10: 1, 18: 2, 26: 3, 34: 4, 42: 5, 50: 2}
	if !bytes.Equal(b, want) {
		t.Errorf("totals % x, want % x", b, want)
	}
	back, err := decodeTotals(b)
	if err != nil || back[0] != shards[0] || back[1] != shards[1] {
		t.Errorf("decoded %+v, %v", back, err)
	}
}

func FuzzDecodeTotals(f *testing.F) {
	f.Add(encodeTotals([]total{{}, {store.Fingerprint{Hi: 1, Lo: 2, Count: 7}, Counts{Live: 3, Tombstones: 4, Expiring: 2, Bytes: 5}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		shards, err := decodeTotals(b)
		if err != nil {
			return
		}
		if _, err := decodeTotals(encodeTotals(shards)); err != nil || len(shards) > store.MaxShards {
			t.Fatal(len(shards), err)
		}
	})
}

// A write that fails is told so; reads go on; writes do again when they can.
func TestFailedCommit(t *testing.T) {
	h := &home{t: t, o: Options{Engine: Memory, Memory: NewMemoryDisk(), Shards: testShards}}
	s := h.open()
	shard, b := record("k", 1, "one")
	h.apply(s, shard, b)
	print := s.Fingerprint(shard)
	h.o.Memory.Fail(syscall.ENOSPC)
	_, two := record("k", 2, "two")
	for range 3 {
		if _, err := s.Apply(t.Context(), shard, two); !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("apply to a full disk: %v", err)
		}
	}
	if err := s.SaveRegister(t.Context(), shard, []byte("x")); !errors.Is(err, ErrFull) {
		t.Fatalf("save register on a full disk: %v", err)
	}
	h.want(s, "k", "one")
	if s.Fingerprint(shard) != print {
		t.Fatal("fingerprint counts a write that failed")
	}
	h.o.Memory.Fail(nil)
	h.apply(s, shard, two)
	h.want(s, "k", "two")
	checkTotals(t, s)
}

func TestQuota(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		shard, b := record("k", 1, strings.Repeat("x", 1000))
		h.o.Quota = int64(len(b)) + 100
		s := h.open()
		h.apply(s, shard, b)
		_, more := record("other", 1, strings.Repeat("x", 1000))
		other, more := record("other", 1, string(more))
		if _, err := s.Apply(t.Context(), other, more); !errors.Is(err, ErrQuota) {
			t.Fatalf("apply over the quota: %v", err)
		}
		_, gone := tombstone("k", 2)
		h.apply(s, shard, gone)
		if err := s.PutMeta(t.Context(), "m", make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
		h.apply(s, other, func() []byte { _, b := record("other", 1, strings.Repeat("x", 900)); return b }())
	})
}

// Whatever byte of a stored record flips, it is reported and not served, and a
// good copy heals it.
func TestFlippedRecord(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		shard, good := record("ns/k", 3, "value")
		h.apply(s, shard, good)
		clean := s.Fingerprint(shard)
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			s.queue.mu.Lock() // the committer does not write meanwhile
			err := s.committer.engine.commit([]op{{recordKey(shard, "ns", "k"), bad}})
			s.queue.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			var corrupt *CorruptError
			_, _, err = s.Get(shard, "ns", "k")
			if !errors.As(err, &corrupt) || corrupt.Key != "ns/k" || !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d: get: %v", i, err)
			}
			if i%16 > 0 {
				continue
			}
			for _, q := range []Query{{}, {Paths: []uint64{store.PathOf("ns/k")}}} {
				met := s.Damage()
				p, err := s.Scan(shard, q)
				if err != nil || len(p.Entries) != 0 || len(p.Corrupt) != 1 || p.Corrupt[0] != "ns/k" {
					t.Fatalf("byte %d: scan: %+v, %v", i, p, err)
				}
				if s.Damage() == met {
					t.Fatalf("byte %d: the damage does not count", i)
				}
			}
			if o := h.apply(s, shard, good); !o.Stored {
				t.Fatalf("byte %d: good copy of the same version: %+v", i, o)
			}
			h.want(s, "ns/k", "value")
			if s.Fingerprint(shard) != clean {
				t.Fatalf("byte %d: fingerprint is not as before", i)
			}
		}
		if err := s.committer.engine.commit([]op{{recordKey(shard, "ns", "k"), []byte("rubbish")}}); err != nil {
			t.Fatal(err)
		}
		if err := s.DropShard(t.Context(), shard); err != nil {
			t.Fatal(err)
		}
		if _, found, err := s.Get(shard, "ns", "k"); found || err != nil {
			t.Fatalf("get after drop: %v, %v", found, err)
		}
		checkTotals(t, s)
	})
}

// A value of another kind that flips is reported, too.
func TestFlippedValue(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *home) {
		s := h.open()
		if err := s.SaveRegister(t.Context(), 1, []byte("state")); err != nil {
			t.Fatal(err)
		}
		bad := seal([]byte("state"))
		bad[2] ^= 4
		if err := s.committer.engine.commit([]op{{registerKey(1), bad}, {metaKey("m"), bad}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.LoadRegisters(); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("load registers: %v", err)
		}
		if _, _, err := s.GetMeta("m"); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("get meta: %v", err)
		}
	})
}

// Bits that flip in the engine's tables are noticed: the store does not open, or
// what it serves is what was written.
func TestFlippedFile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, engine := range []Engine{Badger4, Badger} {
		t.Run(string(engine), func(t *testing.T) {
			h := &home{t: t, dir: t.TempDir(), o: Options{Engine: engine, Shards: testShards}}
			s := h.open()
			values := make(map[string]string)
			for i := range 200 {
				full := fmt.Sprintf("k/%d", i)
				values[full] = fmt.Sprintf("value %d", rng.Uint64())
				shard, b := record(full, 1, values[full])
				if _, err := s.Queue(shard, b); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil { // memtables become tables
				t.Fatal(err)
			}
			tables, err := filepath.Glob(filepath.Join(h.dir, string(engine), "*.sst"))
			if err != nil || len(tables) == 0 {
				t.Fatalf("tables %v, %v", tables, err)
			}
			pristine, err := os.ReadFile(tables[0])
			if err != nil {
				t.Fatal(err)
			}
			noticed := 0
			for range 12 {
				bad := bytes.Clone(pristine)
				bad[rng.IntN(len(bad)/2)] ^= 1 << rng.IntN(8) // where the blocks are
				if err := os.WriteFile(tables[0], bad, 0o600); err != nil {
					t.Fatal(err)
				}
				s, err := Open(context.Background(), h.dir, h.o)
				if err != nil {
					if !errors.Is(err, ErrCorrupt) {
						t.Fatalf("open: %v", err)
					}
					noticed++
					continue
				}
				for full, value := range values {
					ns, key := store.SplitKey(full)
					r, found, err := s.Get(store.Shard(store.Route(ns, key), testShards), ns, key)
					if err != nil {
						noticed++
					} else if !found || string(r.Value) != value {
						t.Fatalf("%s: %q, %v; want %q or an error", full, r.Value, found, value)
					}
				}
				s.Crash() // nothing is to be written over the flip
			}
			if noticed == 0 {
				t.Fatal("no flip was noticed")
			}
		})
	}
}

// A log that ends in the middle of a write that was not acknowledged opens; one whose end
// is gone, or that is damaged before later writes, does not pretend that it ended there.
func TestDamagedLog(t *testing.T) {
	for _, engine := range []Engine{Badger4, Badger} {
		t.Run(string(engine), func(t *testing.T) {
			// A log as a killed process leaves it: copied while the store is open.
			live := &home{t: t, dir: t.TempDir(), o: Options{Engine: engine, Shards: testShards}}
			s := live.open()
			const records = 20
			for i := range records {
				shard, b := record(fmt.Sprint("k/", i), 1, strings.Repeat(fmt.Sprint(i), 50))
				live.apply(s, shard, b)
			}
			copyTo := func(damage func(log []byte) []byte) *home {
				h := &home{t: t, dir: t.TempDir(), o: live.o}
				copyFolder(t, live.dir, h.dir)
				for _, pattern := range []string{"*.mem", "*.vlog"} {
					path, err := newest(filepath.Join(h.dir, string(engine)), pattern)
					if err != nil {
						t.Fatal(err)
					}
					log, err := os.ReadFile(path)
					if err != nil || !bytes.Contains(log, []byte("/r/")) {
						continue // not where this engine logs
					}
					if err := os.WriteFile(path, damage(log), 0o600); err != nil {
						t.Fatal(err)
					}
					return h
				}
				t.Fatal("no log")
				return nil
			}
			end := func(log []byte) int { return len(bytes.TrimRight(log, "\x00")) }

			s = copyTo(func(log []byte) []byte { return log }).open()
			if n := s.Totals().Live; n != records {
				t.Fatalf("undamaged: %d records, want %d", n, records)
			}
			for _, cut := range []int{1, 30, 100, 200} {
				h := copyTo(func(log []byte) []byte { return log[:end(log)-cut] })
				if _, err := Open(t.Context(), h.dir, h.o); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("cut by %d, of what is known to have been synced: %v", cut, err)
				}
				if err := os.Remove(filepath.Join(h.dir, committedFile)); err != nil { // as if it had not been
					t.Fatal(err)
				}
				s = h.open()
				if n := s.Totals().Live; n != records-1 {
					t.Fatalf("cut by %d: %d records, want all but the last of %d", cut, n, records)
				}
			}
			for _, at := range []int{30, 300, 2000} {
				h := copyTo(func(log []byte) []byte { log[at] ^= 0x10; return log })
				if s, err := Open(t.Context(), h.dir, h.o); !errors.Is(err, ErrCorrupt) {
					if err == nil {
						t.Errorf("byte %d flipped: opens with %d of %d records", at, s.Totals().Live, records)
						s.Close()
						continue
					}
					t.Errorf("byte %d flipped: %v", at, err)
				}
			}
		})
	}
}

// What is left of a log whose records are in a table harms nobody.
func TestPiecesOfALog(t *testing.T) {
	h := &home{t: t, dir: t.TempDir(), o: Options{Engine: Badger4, Shards: testShards}}
	s := h.open()
	const records = 20
	for i := range records {
		shard, b := record(fmt.Sprint("k/", i), 1, strings.Repeat(fmt.Sprint(i), 1000))
		h.apply(s, shard, b)
	}
	path, err := newest(filepath.Join(h.dir, string(Badger4)), "*.mem")
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // which makes a table of it
		t.Fatal(err)
	}
	if tables, err := filepath.Glob(filepath.Join(h.dir, string(Badger4), "*.sst")); len(tables) == 0 {
		t.Fatalf("no table: %v", err)
	}
	clear(log[badger4LogHead : 4<<10])
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := h.open().Totals().Live; n != records {
		t.Errorf("%d records, want %d", n, records)
	}
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	err := os.CopyFS(to, os.DirFS(from))
	if err != nil {
		t.Fatal(err)
	}
}
