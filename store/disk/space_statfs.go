//go:build darwin || freebsd || linux

package disk

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// freeBytes returns how much more can be written to the file system of dir, if
// the system tells.
func freeBytes(dir string) (int64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true //nolint:unconvert // their types differ by system
}

// allocated returns what the files under dir take on the file system. Both
// Badgers keep files with holes, whose lengths tell little.
func allocated(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the engine removed it meanwhile
		}
		n += st.Blocks * 512
		return err
	})
	return n, err
}
