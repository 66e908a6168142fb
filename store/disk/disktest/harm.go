package disktest

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Harm flips a bit of a file below dir, or cuts its end off, and returns what it did. The
// file, the place and which of both it is are drawn from rng; a log counts up to its last
// byte that is not zero, as engines make it longer ahead of time.
func Harm(t testing.TB, rng *rand.Rand, dir string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if info, err := e.Info(); err == nil && info.Size() > 0 {
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("files of %s: %d, %v", dir, len(files), err)
	}
	path := files[rng.IntN(len(files))]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(b)
	for used > 1 && b[used-1] == 0 {
		used--
	}
	at, what := rng.IntN(used), "a flip"
	if rng.IntN(2) == 0 {
		b, what = b[:at], "a cut"
	} else {
		b[at] ^= 1 << rng.IntN(8)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s at %d of %d in %s", what, at, used, filepath.Base(path))
}
