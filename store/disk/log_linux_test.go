package disk

import (
	"fmt"
	"strings"
	"testing"
)

// The file that is synced is the one that Badger 4 writes to, also after it has
// begun a new one.
func TestLogSync(t *testing.T) {
	h := &home{t: t, dir: t.TempDir(), o: Options{Shards: testShards}}
	s := h.open()
	first := s.engine.(*badger4Engine).log.id
	for i := range 40 {
		shard, b := record(fmt.Sprint("k/", i), 1, strings.Repeat("v", 500<<10))
		h.apply(s, shard, b)
		e := s.engine.(*badger4Engine)
		if path, err := newest(s.engineDir(), "*.mem"); err != nil || e.log.file.Name() != path {
			t.Fatalf("synced %s, written %s, %v", e.log.file.Name(), path, err)
		}
	}
	if s.engine.(*badger4Engine).log.id == first {
		t.Fatal("the log was never full")
	}
}
