package model

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// TestPositionsShareMaintenance compares what peers at rest send by their number of
// positions, which is less than half of what as many peers would: what one asks another of
// all its positions travels in one message, and slots that rest take turns.
func TestPositionsShareMaintenance(t *testing.T) {
	rates := make(map[int]float64)
	for _, positions := range []int{1, 8, 32} {
		s := Settings{Peers: 60, Positions: positions, FingersOnly: true, Formed: true}.withDefaults()
		x := &experiment{World: NewWorld(chord.Config{TableSize: -1}, 1), s: s, rep: &Report{}}
		if err := x.form(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.let(t, 2*time.Minute)
		messages, bytes := x.Messages, x.Bytes
		x.let(t, 2*time.Minute)
		rates[positions] = float64(x.Messages-messages) / 120 / 60
		t.Logf("%d positions: %.2f messages and %.0f bytes a second", positions, rates[positions], float64(x.Bytes-bytes)/120/60)
		if most := float64(positions+1) / 2 * rates[1]; rates[positions] > most {
			t.Errorf("%d positions: %.2f messages a second, want %.2f at most", positions, rates[positions], most)
		}
	}
}
