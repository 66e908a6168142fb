package disk

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/chorus-net/chorus/store"
	"github.com/chorus-net/chorus/store/disk/disktest"
)

var (
	harms    = flag.Int("harms", 30, "how often TestHarmed harms a folder, for each engine")
	harmSeed = flag.Uint64("harms.seed", 1, "of what TestHarmed does")
)

// Whatever file of a folder has a bit flipped, or its end cut off: the store says what is
// wrong and does not open, or what it serves is what was written.
func TestHarmed(t *testing.T) {
	for _, engine := range []Engine{Badger4, Badger} {
		t.Run(string(engine), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(*harmSeed, 0))
			// A folder as a killed process leaves it, with tables and a log.
			live := &home{t: t, dir: t.TempDir(), o: Options{Engine: engine, Shards: testShards}}
			values := make(map[string]string)
			var s *Store
			for part := range 3 {
				s = live.open()
				for i := range 100 {
					full := fmt.Sprintf("k/%d", 100*part+i)
					values[full] = fmt.Sprintf("value %d", rng.Uint64())
					shard, b := record(full, 1, values[full])
					live.apply(s, shard, b)
				}
				if part < 2 {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
			}
			noticed := 0
			for range *harms {
				dir := t.TempDir()
				copyFolder(t, live.dir, dir)
				what := disktest.Harm(t, rng, dir)
				s, err := Open(t.Context(), dir, live.o)
				if err != nil {
					if noticed++; !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) && !errors.Is(err, ErrEngine) {
						t.Errorf("%s: open: %v", what, err)
					}
					continue
				}
				for full, value := range values {
					ns, key := store.SplitKey(full)
					r, found, err := s.Get(store.Shard(store.Route(ns, key), testShards), ns, key)
					switch {
					case err != nil:
						if noticed++; !errors.Is(err, ErrCorrupt) {
							t.Errorf("%s: get: %v", what, err)
						}
					case !found:
						t.Errorf("%s: %s is missing", what, full)
					case string(r.Value) != value:
						t.Errorf("%s: %q, want %q", what, r.Value, value)
					}
				}
				s.Crash() // nothing is to be written over the flip
			}
			if noticed == 0 {
				t.Error("no harm was noticed")
			}
		})
	}
}
