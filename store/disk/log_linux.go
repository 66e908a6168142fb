package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ownSync: commits are synced by logSync, not by Badger 4. Of its two syncs for
// each commit one is of the value log, in which there is nothing.
const ownSync = true

// logSync syncs the log that Badger 4 writes to: the newest of its files
// NNNNN.mem, which it maps into memory. A commit, being smaller than a log, lies
// in one file; the next begins a new one when the last is full.
type logSync struct {
	dir  string
	id   int
	file *os.File
	next string // the name of the file after it
}

// openLogSync finds the log of an engine that was just opened.
func openLogSync(dir string) (*logSync, error) {
	path, err := newest(dir, "*.mem")
	if err != nil {
		return nil, err
	}
	l := &logSync{dir: dir}
	if _, err := fmt.Sscanf(filepath.Base(path), "%05d.mem", &l.id); err != nil {
		return nil, fmt.Errorf("find log in %s: %w", dir, err)
	}
	return l, l.open()
}

func (l *logSync) name(id int) string { return filepath.Join(l.dir, fmt.Sprintf("%05d.mem", id)) }

// open turns to a log, whose name it syncs: Badger 4 does not.
func (l *logSync) open() (err error) {
	l.next = l.name(l.id + 1)
	if l.file, err = os.Open(l.name(l.id)); err != nil {
		return err
	}
	return syncFolder(l.dir)
}

// sync returns when what was committed is on disk.
func (l *logSync) sync() error {
	for unix.Access(l.next, unix.F_OK) == nil {
		l.close()
		l.id++
		if err := l.open(); err != nil {
			return err
		}
	}
	for {
		err := unix.Fdatasync(int(l.file.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (l *logSync) close() { l.file.Close() } // it was open for reading
