package model

import (
	"testing"
	"time"

	"github.com/chorus-net/chorus/chord"
)

// TestPositionsShareMaintenance compares what peers at rest send by their number of
// positions, which makes hardly a difference: what one asks another of all its positions
// travels in one message, and those before the positions of a peer take turns.
func TestPositionsShareMaintenance(t *testing.T) {
	const span = 2 * time.Minute
	for _, c := range []struct {
		name  string
		table int
	}{{"tables", 0}, {"fingers", -1}} {
		t.Run(c.name, func(t *testing.T) {
			var messages, bytes uint64 // of peers with one position
			for _, positions := range []int{1, 8, 32, 64} {
				x := stood(t, 60, positions, c.table)
				x.let(t, span)
				m, b := x.Messages, x.Bytes
				x.let(t, span)
				m, b = x.Messages-m, x.Bytes-b
				t.Logf("%d positions: %d messages of %d bytes", positions, m, b)
				if positions == 1 {
					messages, bytes = m, b
				} else if 10*m > 11*messages || 10*b > 11*bytes {
					t.Errorf("%d positions: %d messages of %d bytes, with one %d of %d", positions, m, b, messages, bytes)
				}
			}
		})
	}
}

// stood returns a ring at rest of peers with so many positions.
func stood(t *testing.T, peers, positions, table int) *experiment {
	t.Helper()
	x := &experiment{
		World: NewWorld(chord.Config{TableSize: table}, 1),
		s:     Settings{Peers: peers, Positions: positions, FingersOnly: table < 0, Formed: true}.withDefaults(), rep: &Report{},
	}
	if err := x.form(t.Context()); err != nil {
		t.Fatal(err)
	}
	return x
}
