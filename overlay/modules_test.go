package overlay

import (
	"crypto/sha256"
	"os"
	"testing"
	"time"
)

// The folder of modules keeps the newest ones that fit.
func TestModulesFolderIsBounded(t *testing.T) {
	m := newModules(nil, t.TempDir())
	m.limit = 250
	for i := range 5 {
		module := make([]byte, 100)
		module[0] = byte(i)
		path := m.path(sha256.Sum256(module))
		m.keep(path, module)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("module %d was not kept: %v", i, err)
		}
		age := time.Now().Add(time.Duration(i-10) * time.Minute)
		if err := os.Chtimes(path, age, age); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(m.dir)
	if err != nil || len(files) != 2 {
		t.Errorf("%d files of 100 bytes in a folder of 250, %v", len(files), err)
	}
}
