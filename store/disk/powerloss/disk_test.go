package powerloss

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func never() bool  { return false }
func always() bool { return true }

// restored returns what the disk would hold, by name.
func restored(t *testing.T, d *Disk, keep func() bool) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := d.Restore(dir, keep); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

// Of a file survives what a sync of it saw, under a name that a sync of its
// folder saw.
func TestDiskForgets(t *testing.T) {
	d, err := NewDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := d.newFile(d.root, "f")
	d.root.now["f"] = f
	check := func(what string, keep func() bool, want map[string]string) {
		t.Helper()
		got := restored(t, d, keep)
		if len(got) != len(want) {
			t.Errorf("%s: %d files, want %d", what, len(got), len(want))
		}
		for name, text := range want {
			if got[name] != text {
				t.Errorf("%s: %s holds %.20q (%d bytes), want %.20q (%d bytes)", what, name, got[name], len(got[name]), text, len(text))
			}
		}
	}
	f.write([]byte("one"), 0)
	check("not synced", never, nil)
	check("kept by chance", always, map[string]string{"f": "one"})
	d.sync(f)
	check("synced", never, map[string]string{"f": "one"})
	d.root.now["sub"] = d.newFolder()
	check("folder not synced", never, map[string]string{"f": "one"})
	delete(d.root.now, "sub")

	far := bytes.Repeat([]byte("x"), 2*pageSize)
	f.write([]byte("two"), 0)
	f.write(far, pageSize)
	check("overwritten", never, map[string]string{"f": "one"})
	check("overwritten and kept", always, map[string]string{"f": "two" + string(make([]byte, pageSize-3)) + string(far)})
	odd := false
	check("every other page kept", func() bool { odd = !odd; return odd }, // the length, not page 0, page 1, not page 2
		map[string]string{"f": "one" + string(make([]byte, pageSize-3)) + string(far[:pageSize]) + string(make([]byte, pageSize))})
	d.sync(f)

	f.truncate(2)
	check("cut short", never, map[string]string{"f": "two" + string(make([]byte, pageSize-3)) + string(far)})
	f.truncate(4)
	d.sync(f)
	check("cut short and longer again", never, map[string]string{"f": "tw\x00\x00"})

	d.root.now["g"] = f
	delete(d.root.now, "f")
	check("renamed", never, map[string]string{"f": "tw\x00\x00"})
	d.sync(d.root)
	check("renamed and synced", never, map[string]string{"g": "tw\x00\x00"})
	delete(d.root.now, "g")
	check("removed", never, map[string]string{"g": "tw\x00\x00"})
	check("removed by chance", always, nil)

	d.Cut()
	if d.sync(f) == 0 || d.sync(d.root) == 0 {
		t.Error("a disk without power syncs")
	}
}
