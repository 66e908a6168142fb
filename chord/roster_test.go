package chord_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/netsim/model"
)

// TestStand starts rings at rest: they are perfect, and remain as they are.
func TestStand(t *testing.T) {
	for _, c := range []struct{ peers, table int }{{1, 0}, {3, 0}, {9, -1}, {30, 0}, {50, 0}, {50, -1}} {
		t.Run(fmt.Sprintf("peers=%d/table=%d", c.peers, c.table), func(t *testing.T) {
			w := model.NewWorld(chord.Config{TableSize: c.table}, 1)
			w.AfterCall = func(r *chord.Ring) error { return r.Check() }
			roster := chord.NewRoster()
			for range c.peers {
				p := w.Add(nil)
				p.Record.Indexes = roster.Choose(p.Record.ID, 4)
				roster.Add(p.Record)
			}
			w.Stand(w.Peers())
			if err := w.Converged(); err != nil {
				t.Fatalf("at the start: %v", err)
			}
			if c.table == 0 && !w.Agreed() {
				t.Error("the views differ")
			}
			var began []uint64
			for _, p := range w.Peers() {
				began = append(began, p.Ring.Revision())
			}
			if err := w.Run(time.Minute); err != nil {
				t.Fatal(err)
			}
			for i, p := range w.Peers() {
				if now, s := p.Ring.Revision(), p.Ring.Stats(); now != began[i] || s.Timeouts+s.Refused+s.Evicted > 0 {
					t.Errorf("%s went from %d to %d: %+v", p, began[i], now, s)
				}
			}
		})
	}
}
