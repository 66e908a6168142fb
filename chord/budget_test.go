package chord_test

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/netsim/model"
)

// TestRestlessRestarts has one peer of a small ring start anew, with an empty disk, every two
// seconds for minutes. All still hear of everything: bytes are not spared there.
func TestRestlessRestarts(t *testing.T) {
	w := model.NewWorld(chord.Config{}, 1)
	indexes := []uint32{0, 1, 2, 3, 4, 5, 6, 7}
	for range 5 {
		w.Add(indexes)
	}
	w.Stand(w.Peers())
	p := w.Peers()[4]
	for range 60 {
		w.Crash(p)
		w.Wipe(p, indexes)
		w.Rejoin(p, w.Peers()[:4]...)
		if err := w.Run(2 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	agree := func() bool {
		for _, p := range w.Peers() {
			if n, of, _ := p.Ring.Agreement(); n != 4 || of != 4 {
				return false
			}
		}
		return true
	}
	if ok, err := w.RunUntil(15*time.Second, 100*time.Millisecond, agree); !ok {
		for _, p := range w.Peers() {
			n, of, _ := p.Ring.Agreement()
			t.Logf("%v: %d of %d others see what it does", p, n, of)
		}
		t.Fatalf("they do not agree 15 s after the last start: %v", err)
	}
}
