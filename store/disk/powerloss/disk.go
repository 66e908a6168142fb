package powerloss

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

const pageSize = 4096

// Disk holds a tree of files, and knows what of it is durable. Its methods may
// be called from any goroutine.
type Disk struct {
	mu    sync.Mutex
	cut   bool
	root  *folder
	last  uint64 // number of the last node
	syncs int
}

// node is a *file or a *folder.
type node interface{ number() uint64 }

// folder is a folder: the names in it, and those that are durable.
type folder struct {
	ino          uint64
	now, durable map[string]node
}

// file is a file. What undo holds of a page is durable, what now holds of it is
// not yet.
type file struct {
	ino     uint64
	in      *folder // where it was made, and under which name
	name    string
	now     []byte
	undo    map[int][]byte // by number of the page, each a whole one
	durable int            // length
}

func (f *folder) number() uint64 { return f.ino }
func (f *file) number() uint64   { return f.ino }

// NewDisk returns a disk with a durable copy of what is in the folder from.
func NewDisk(from string) (*Disk, error) {
	d := new(Disk)
	d.root = d.newFolder()
	return d, d.load(d.root, from)
}

func (d *Disk) load(to *folder, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(from, e.Name())
		if e.IsDir() {
			sub := d.newFolder()
			to.now[e.Name()] = sub
			if err := d.load(sub, path); err != nil {
				return err
			}
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f := d.newFile(to, e.Name())
		f.now, f.durable = b, len(b)
		to.now[e.Name()] = f
	}
	to.durable = maps.Clone(to.now)
	return nil
}

func (d *Disk) newFolder() *folder {
	d.last++
	return &folder{ino: d.last, now: make(map[string]node), durable: make(map[string]node)}
}

func (d *Disk) newFile(in *folder, name string) *file {
	d.last++
	return &file{ino: d.last, in: in, name: name, undo: make(map[int][]byte)}
}

// Cut ends the disk: what is written or synced from now on fails.
func (d *Disk) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
}

// Syncs returns how many syncs of files and folders there were.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// change runs fn, which changes the disk, while it has power.
func (d *Disk) change(fn func() syscall.Errno) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return syscall.EIO
	}
	return fn()
}

// look runs fn, which reads.
func (d *Disk) look(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn()
}

func (d *Disk) sync(n node) syscall.Errno {
	return d.change(func() syscall.Errno {
		d.syncs++
		switch n := n.(type) {
		case *file:
			clear(n.undo)
			n.durable = len(n.now)
			if n.in != nil && n.in.now[n.name] == n {
				n.in.durable[n.name] = n
			}
		case *folder:
			n.durable = maps.Clone(n.now)
		}
		return 0
	})
}

// touch remembers the durable bytes of the pages from one byte to another.
func (f *file) touch(from, to int) {
	for p := from / pageSize; p*pageSize < to; p++ {
		if _, known := f.undo[p]; known {
			continue
		}
		page := make([]byte, pageSize)
		if start := p * pageSize; start < len(f.now) {
			copy(page, f.now[start:])
		}
		f.undo[p] = page
	}
}

func (f *file) write(b []byte, at int) {
	f.touch(at, at+len(b))
	f.grow(at + len(b))
	copy(f.now[at:], b)
}

func (f *file) truncate(n int) {
	if n < len(f.now) {
		f.touch(n, len(f.now))
		clear(f.now[n:]) // should it grow again
		f.now = f.now[:n]
		return
	}
	f.grow(n)
}

func (f *file) grow(n int) {
	if n > len(f.now) {
		f.now = append(f.now, make([]byte, n-len(f.now))...)
	}
}

// Restore writes to the folder to what the disk holds after the loss of power. Of
// each change that was not synced keep decides whether it reached the disk.
func (d *Disk) Restore(to string, keep func() bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return restore(d.root, to, keep)
}

func restore(f *folder, to string, keep func() bool) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	names := maps.Clone(f.durable)
	for _, name := range changed(f) {
		if !keep() {
			continue
		}
		if delete(names, name); f.now[name] != nil {
			names[name] = f.now[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		path := filepath.Join(to, name)
		var err error
		switch n := names[name].(type) {
		case *folder:
			err = restore(n, path, keep)
		case *file:
			err = os.WriteFile(path, n.after(keep), 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changed returns the names that stand for something else than a sync has
// seen.
func changed(f *folder) []string {
	var names []string
	for name, n := range f.now {
		if f.durable[name] != n {
			names = append(names, name)
		}
	}
	for name := range f.durable {
		if f.now[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// after returns the file's bytes after the loss of power.
func (f *file) after(keep func() bool) []byte {
	size := f.durable
	if size != len(f.now) && keep() {
		size = len(f.now)
	}
	b := make([]byte, size)
	copy(b, f.now)
	for _, p := range slices.Sorted(maps.Keys(f.undo)) {
		if start := p * pageSize; start < size && !keep() {
			copy(b[start:], f.undo[p])
		}
	}
	return b
}
