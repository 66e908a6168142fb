//go:build !(darwin || freebsd || linux)

package disk

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// freeBytes does not know here; a full disk shows as a failed write.
func freeBytes(string) (int64, bool) { return 0, false }

// allocated returns the lengths of the files under dir.
func allocated(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		var fi fs.FileInfo
		if err == nil {
			fi, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && fi.Mode().IsRegular() {
			n += fi.Size()
		}
		return err
	})
	return n, err
}
