package disk

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A store's folder:
//
//	FORMAT     what this is: lines of "name value", written once
//	COMMITTED  the number of a commit that was synced, see committed.go
//	lock       flock'ed while open; names the process
//	<engine>/  the engine's own files
const (
	formatFile = "FORMAT"
	lockFile   = "lock"
	format     = 1
)

// folder is a store's folder, locked.
type folder struct {
	dir       string
	lock      *os.File
	committed *os.File
}

// openFolder creates dir if need be and locks it.
func openFolder(ctx context.Context, dir string) (*folder, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	d := &folder{dir: dir, lock: f}
	if err := d.acquire(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(d.note(""), d.openCommitted()); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// acquire takes the lock. It waits only for a Store of this process that has
// crashed and whose engine is being closed.
func (d *folder) acquire(ctx context.Context) error {
	for {
		err := flock(d.lock)
		if err == nil || !errors.Is(err, errHeld) {
			return err
		}
		pid, leaving := d.holder()
		if pid != os.Getpid() || !leaving {
			if pid == 0 {
				return ErrLocked
			}
			return fmt.Errorf("%w by process %d", ErrLocked, pid)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w by a crashed store of this process: %w", ErrLocked, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// note writes this process's number into the lock file, and a word.
func (d *folder) note(word string) error {
	text := strings.TrimSpace(fmt.Sprint(os.Getpid(), " ", word)) + "\n"
	if err := d.lock.Truncate(0); err != nil {
		return err
	}
	_, err := d.lock.WriteAt([]byte(text), 0)
	return err
}

const leavingWord = "leaving"

// holder reads what note wrote: 0 if it cannot be made out.
func (d *folder) holder() (pid int, leaving bool) {
	b, err := os.ReadFile(d.lock.Name())
	if err != nil {
		return 0, false
	}
	number, word, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	if pid, err = strconv.Atoi(number); err != nil {
		return 0, false
	}
	return pid, word == leavingWord
}

// close unlocks the folder. The file stays as it is: changing it would race with
// the next holder.
func (d *folder) close() error {
	var err error
	if d.committed != nil {
		err = d.committed.Close()
	}
	return errors.Join(err, d.lock.Close())
}

// describe settles what the folder holds: it fills in the engine and the
// number of shards from FORMAT, or writes FORMAT if the folder is new.
func (d *folder) describe(o Options) (Options, error) {
	b, err := os.ReadFile(filepath.Join(d.dir, formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		o.Engine, o.Shards = Engine(orDefault(string(o.Engine), string(Badger4))), orDefault(o.Shards, defaultShards)
		return o, d.writeFormat(o)
	}
	if err != nil {
		return o, err
	}
	text, check, checked := strings.Cut(string(b), checkWord)
	if !checked || check != checkOf(text) {
		return o, &CorruptError{Key: formatFile, Err: fmt.Errorf("%q", b)}
	}
	var version, shards int
	var engine Engine
	if _, err := fmt.Sscanf(text, "format %d\nengine %s\nshards %d\n", &version, &engine, &shards); version > format {
		return o, fmt.Errorf("%w: format %d, this one knows %d: run the newer program, or start with an empty folder",
			ErrNewerFormat, version, format)
	} else if err != nil || version < 1 {
		return o, &CorruptError{Key: formatFile, Err: fmt.Errorf("%q", b)}
	}
	switch {
	case o.Engine != "" && o.Engine != engine:
		return o, fmt.Errorf("%w: the folder was made with %s, not %s: ask for %[2]s, or start with an empty folder",
			ErrEngine, engine, o.Engine)
	case o.Shards != 0 && o.Shards != shards:
		return o, fmt.Errorf("the folder was made for a ring of %d shards, not %d: start with an empty folder", shards, o.Shards)
	}
	o.Engine, o.Shards = engine, shards
	return o, o.validate()
}

// checkWord begins the last line of FORMAT.
const checkWord = "check "

// checkOf returns the rest of that line: the CRC-32C of all before it.
func checkOf(text string) string {
	return fmt.Sprintf("%08x\n", crc32.Checksum([]byte(text), castagnoli))
}

// writeFormat leaves FORMAT whole or not there at all.
func (d *folder) writeFormat(o Options) (err error) {
	text := fmt.Sprintf("format %d\nengine %s\nshards %d\n", format, o.Engine, o.Shards)
	text += checkWord + checkOf(text)
	path := filepath.Join(d.dir, formatFile)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncFolder(d.dir)
}

// makeFolder is os.MkdirAll, but the names of the folders that it makes are on
// disk when it returns: what is synced in a folder without a name is lost with
// it.
func makeFolder(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func orDefault[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
