package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadOnly(t *testing.T) {
	if os.Getuid() == 0 {
		dir := t.TempDir()
		if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Skip("cannot mount a file system here: ", err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
		if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), dir, Options{})
		if !errors.Is(err, ErrReadOnly) {
			t.Fatalf("open on a read-only file system: %v", err)
		}
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("open in a folder without permission: %v", err)
	}
}

// A file system that its own records fill up: writes are refused, reads and
// registers go on, and when there is space writes do again.
func TestFullDisk(t *testing.T) {
	for _, engine := range []Engine{Badger4, Badger} {
		t.Run(string(engine), func(t *testing.T) {
			dir := smallDisk(t)
			h := &home{t: t, dir: filepath.Join(dir, "store"), o: Options{Engine: engine, Shards: testShards}}
			s := h.open()
			shard, b := record("first", 1, "value")
			h.apply(s, shard, b)

			acknowledged, refused := 0, error(nil)
			for ; refused == nil; acknowledged++ {
				shard, b := record(fmt.Sprint("fill/", acknowledged), 1, strings.Repeat("x", 200<<10))
				_, refused = s.Apply(t.Context(), shard, b)
			}
			acknowledged--
			if !errors.Is(refused, ErrFull) || acknowledged < 50 {
				t.Fatalf("after %d records: %v", acknowledged, refused)
			}
			h.want(s, "first", "value")
			if err := s.SaveRegister(t.Context(), 1, []byte("state")); err != nil {
				t.Fatalf("save register on a nearly full disk: %v", err)
			}

			enlarge(t, dir)
			_, b = record("first", 2, "again")
			h.apply(s, shard, b)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = h.open()
			h.want(s, "first", "again")
			if n := s.Totals().Live; n != int64(acknowledged+1) {
				t.Fatalf("%d records, want %d", n, acknowledged+1)
			}
		})
	}
}

// A file system that others fill to the brim: writes and registers are refused,
// reads go on, and when there is space writes do again. The store is too small to
// have anything to compact, which Badger 4 does not survive then (see doc.go).
func TestDiskThatOthersFill(t *testing.T) {
	for _, engine := range []Engine{Badger4, Badger} {
		t.Run(string(engine), func(t *testing.T) {
			dir := smallDisk(t)
			h := &home{t: t, dir: filepath.Join(dir, "store"), o: Options{Engine: engine, Shards: testShards}}
			s := h.open()
			shard, b := record("first", 1, "value")
			h.apply(s, shard, b)
			if err := s.SaveRegister(t.Context(), 1, []byte("state")); err != nil {
				t.Fatal(err)
			}

			ballast := filepath.Join(dir, "ballast")
			fill(t, ballast)
			if _, err := s.Apply(t.Context(), shard, b); !errors.Is(err, ErrFull) {
				t.Fatalf("apply on a full disk: %v", err)
			}
			if err := s.SaveRegister(t.Context(), 1, []byte("other")); !errors.Is(err, ErrFull) {
				t.Fatalf("save register on a full disk: %v", err)
			}
			h.want(s, "first", "value")

			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			enlarge(t, dir)
			_, b = record("first", 2, "again")
			h.apply(s, shard, b)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = h.open()
			h.want(s, "first", "again")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// smallDisk mounts a small file system, until the test has ended.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=220m"); err != nil {
		t.Skip("cannot mount a file system here: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// enlarge gives the file system of smallDisk room to spare.
func enlarge(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=600m"); err != nil {
		t.Fatal(err)
	}
}

// On a full disk a store does not open, and one that is open closes as a crash
// would close it, since there is no room to tidy up. Nothing is lost.
func TestCloseOnFullDisk(t *testing.T) {
	for _, engine := range []Engine{Badger4, Badger} {
		t.Run(string(engine), func(t *testing.T) {
			dir := smallDisk(t)
			h := &home{t: t, dir: filepath.Join(dir, "store"), o: Options{Engine: engine, Shards: testShards}}
			_, lines, tell := startChild(t, engine, h.dir, "closes")
			if !lines.Scan() || lines.Text() != "put <nil>" {
				t.Fatalf("child said %q", lines.Text())
			}
			ballast := filepath.Join(dir, "ballast")
			fill(t, ballast)
			fmt.Fprintln(tell)
			if !lines.Scan() || !strings.HasPrefix(lines.Text(), "closed true ") {
				t.Fatalf("child said %q", lines.Text())
			}
			for lines.Scan() { // until it has ended
			}
			if _, err := Open(t.Context(), h.dir, h.o); !errors.Is(err, ErrFull) {
				t.Fatalf("open on a full disk: %v", err)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			s := h.open()
			h.want(s, "child", "value")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// fill writes to path until the file system takes no more.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 1<<20); ; {
		if _, err := f.Write(b); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
